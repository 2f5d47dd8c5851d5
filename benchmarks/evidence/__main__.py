"""The command: `python -m benchmarks.evidence`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import benchmarks.evidence
from benchmarks.evidence.judged import Found, judged
from benchmarks.evidence.page import page
from benchmarks.evidence.problems import PROBLEMS, SCALES
from benchmarks.evidence.quality import tasks, time_to_quality
from glo.provenance import commit, hardware, versions
from glo.report.files import write_text

ROOT = Path(__file__).parents[2]
RESULTS, PAGE = ROOT / "benchmarks" / "results", ROOT / "docs" / "evidence.md"
SEEDS = {"tiny": (0,), "small": (0, 1, 2), "full": (0, 1, 2, 3, 4)}  # of the time to quality


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is not measured yet; if all is, write the JSON and, for the published scale, the page."""
    options = _parser().parse_args(arguments)
    folder = options.out / f"{options.scale}-{options.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    size = SCALES[options.scale]
    wanted = options.only or [*PROBLEMS, "quality"]
    problems = {
        name: _once(folder / f"{name}.json", name, lambda name=name: judged(
            name, PROBLEMS[name], size, options.data_dir, folder / "evidence.db", options.seed
        ))
        for name in PROBLEMS
        if name in wanted
    }  # fmt: skip
    quality = [
        _once(folder / f"quality-{task}-{seed}.json", f"time to quality, {task}, seed {seed}", lambda task=task, seed=seed: (
            time_to_quality(task, size, folder, seed)
        ))
        for seed in SEEDS[options.scale]
        for task in tasks()
        if "quality" in wanted
    ]  # fmt: skip
    command = " ".join(["python -m benchmarks.evidence", *(sys.argv[1:] if arguments is None else arguments)])
    found = {
        "command": command, "scale": options.scale, "seed": options.seed, "size": asdict(size), "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(), "hardware": hardware(), "versions": versions(),
        "seconds": sum(each.pop("took") for each in (*problems.values(), *quality)),
        "problems": problems, "quality": quality,
    }  # fmt: skip
    results = options.results or folder / "results.json"
    write_text(results, json.dumps(found, indent=1) + "\n")
    if options.page is not None:
        write_text(options.page, page(found, results.name))
    print(f"{time.perf_counter() - started:.0f} s; written to {results}{f' and {options.page}' if options.page else ''}")


def _parser() -> argparse.ArgumentParser:
    names = [*PROBLEMS, "quality"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=benchmarks.evidence.__doc__)
    parser.add_argument("--scale", choices=list(SCALES), default="small", help="small takes under 30 minutes on two cores")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, help="folder with mnist/ and cifar-10-batches-bin/; else GLO_DATA")
    parser.add_argument("--out", type=Path, default=Path("evidence"), help="what is measured is kept here")
    parser.add_argument("--results", type=Path, help="the JSON; by default in --out")
    parser.add_argument("--page", type=Path, help="the page to write from it")
    return parser


def _once(path: Path, what: str, measure: Callable[[], Found]) -> dict[str, Any]:
    """What a file has, or else what `measure` returns, written to it."""
    if path.exists():
        print(f"{what}: known", flush=True)
        return json.loads(path.read_text(encoding="utf-8"))
    print(f"{what} ...", flush=True)
    started = time.perf_counter()
    found = measure()
    found["took"] = time.perf_counter() - started
    write_text(path, json.dumps(found) + "\n")
    said = found["verdict"]["text"] if "verdict" in found else f"reached: {found['reached']}"
    print(f"{what}: {found['took']:.0f} s. {said}", flush=True)
    return found


if __name__ == "__main__":
    main()
