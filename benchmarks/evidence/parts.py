"""Parts of the suite that are written as soon as they are known, so that a run that was killed goes on with the next."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.evidence.sizes import Size
from glo.errors import ConfigError
from glo.provenance import commit
from glo.report import write_text

Report = Callable[[str], None]
EVERY = 5.0  # seconds between lines of progress


@dataclass(frozen=True)
class Run:
    """All that a part needs to know.

    Attributes:
        scale: the name of the size.
        size: how much data and training there is.
        seed: of the searches and measurements.
        data_dir: the folder of the images.
        out: where parts and studies are written.
        report: prints a line of progress.
    """

    scale: str
    size: Size
    seed: int
    data_dir: Path | None
    out: Path
    report: Report


Part = Callable[[Run], dict[str, Any]]


def known_or_made(name: str, part: Part, run: Run) -> dict[str, Any]:
    """A part as it was written before, or made and written now.

    Raises:
        ConfigError: if it was written by another commit, whose numbers must not be mixed with those of this one.
    """
    path = run.out / f"{name}.json"
    if path.exists():
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["commit"] != commit():
            raise ConfigError(
                f"{path} is from commit {known['commit']}, this is {commit()}: remove it, or give another --out"
            )
        run.report("known already")
        return known
    made = {"commit": commit(), **part(run)}
    write_text(path, json.dumps(made, indent=2) + "\n")
    return made


def sparingly(report: Report) -> Callable[[str, int, int], None]:
    """Progress of a comparison: a line every few seconds, and at each end."""
    last = time.monotonic()

    def show(label: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > EVERY:
            last = time.monotonic()
            report(f"{label}: {done} of {total} trainings")

    return show
