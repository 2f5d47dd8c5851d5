"""The JSON file of the benchmarks: each row with its provenance, written as soon as it is known."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import Row, load
from glo.errors import ConfigError
from glo.provenance import commit, hardware, versions
from glo.report import write_text

RESULTS = Path(__file__).parent / "results"
PEERS = ("deap", "optuna")


def provenance() -> dict[str, Any]:
    """Where a number that is measured now comes from."""
    found = versions()
    for name in PEERS:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {
        "commit": commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": load(),
        "hardware": {**hardware(), **_processor()},
        "versions": found,
    }


def _processor() -> dict[str, str]:
    """The name of the processor, where the system says it."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return {"processor": next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))}
    return {}


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none if there is no such file.

    Raises:
        ConfigError: if it is no file of the benchmarks.
    """
    if not path.exists():
        return []
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["rows"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(f"{path} is no file of the benchmarks: remove it, or give another --out") from None


def with_row(rows: Sequence[Row], new: Row) -> list[Row]:
    """The rows with a new one in the place of the one with its name, or at the end."""
    if new["name"] in [row["name"] for row in rows]:
        return [new if row["name"] == new["name"] else row for row in rows]
    return [*rows, new]


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows, atomically."""
    write_text(path, json.dumps({"rows": list(rows)}, indent=1) + "\n")


def goal_met(row: Row) -> str:
    """Whether a row meets its goal, for a reader; one pair of glo and a peer says too little."""
    if not row["goal"]:
        return ""
    if row["unit"] == "x" and row["spread"]["n"] == 1:
        return "measured once"
    return "met" if row["met"] else "missed"


def shown(value: float, unit: str) -> str:
    """A number for a reader, e.g. "7.4x", "32 %" or "0.07 s"."""
    digits = f"{100 * value:.3g}" if unit == "%" else f"{value:.3g}"
    number = f"{float(digits):,.0f}" if "e+" in digits or abs(float(digits)) >= 1000 else digits
    return f"{number}{unit}" if unit in ("x", "") else f"{number} {unit}"
