"""Run the evidence suite; a run that was killed goes on with the part that it was at.

    python -m benchmarks.evidence [--scale tiny|small|full] [--only NAME] [--seed 0] [--data-dir DIR] [--out DIR] [--publish]

Parts are written to a folder as they are known, and then all together as evidence-SCALE.json and evidence.md.  With
--publish these go to benchmarks/results and docs instead.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.evidence.judged import judged
from benchmarks.evidence.page import PAGE, page, results_file
from benchmarks.evidence.parts import Part, Run, known_or_made
from benchmarks.evidence.problems import PROBLEMS
from benchmarks.evidence.races import RACES, race
from benchmarks.evidence.sizes import SIZES, Size
from glo.errors import ConfigError, GloError
from glo.provenance import commit, hardware, versions
from glo.report import write_text

NAMES = [*PROBLEMS, *(f"time-{name}" for name in RACES)]


def parts_of(names: Sequence[str], size: Size, seed: int) -> dict[str, Part]:
    """The parts to make, by the name of their file: the problems, and each seed of each race."""
    found: dict[str, Part] = {name: partial(judged, PROBLEMS[name]) for name in names if name in PROBLEMS}
    for name in RACES:
        if f"time-{name}" in names:
            for each in range(seed, seed + size.races):
                found[f"time-{name}-{each}"] = partial(race, name, each)
    return found


def make_all(names: Sequence[str], run: Run) -> dict[str, Any]:
    """Make the parts that are not known, and return all: the problems and the races."""
    parts = parts_of(names, run.size, run.seed)
    made: list[dict[str, Any]] = []
    for number, (name, part) in enumerate(parts.items(), 1):
        report = partial(_line, run.report, f"[{number}/{len(parts)}] {name}")
        report("begins")
        made.append(known_or_made(name, part, Run(run.scale, run.size, run.seed, run.data_dir, run.out, report)))
    return {
        "problems": [each for each in made if "problem" in each],
        "races": [each for each in made if "race" in each],
    }


def _line(report: Callable[[str], None], name: str, text: str) -> None:
    report(f"{name}: {text}")


def results_of(names: Sequence[str], run: Run) -> dict[str, Any]:
    """All that is published, with its provenance."""
    command = ["python", "-m", "benchmarks.evidence", "--scale", run.scale, "--seed", str(run.seed)]
    only = [word for name in names for word in ("--only", name)] if list(names) != NAMES else []
    return {
        "scale": run.scale,
        "command": shlex.join([*command, *only]),
        "seed": run.seed,
        "commit": commit(),
        "versions": versions(),
        "hardware": hardware(),
        **make_all(names, run),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", choices=SIZES, default="small")
    parser.add_argument("--only", action="append", choices=NAMES, metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, help="the folder of the images; by default $GLO_DATA or the user's cache")
    parser.add_argument("--out", type=Path, help="where parts and studies are written; by default evidence-SCALE-SEED")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results and docs/evidence.md")
    given = parser.parse_args(arguments)
    out: Path = given.out or Path(f"evidence-{given.scale}-{given.seed}")
    started = time.monotonic()

    def report(text: str) -> None:
        print(f"{time.monotonic() - started:6.0f} s  {text}", flush=True)

    names = [name for name in NAMES if not given.only or name in given.only]
    try:
        if given.publish and given.only:
            raise ConfigError("the whole suite is published: leave --only out, or --publish")
        out.mkdir(parents=True, exist_ok=True)
        results = results_of(names, Run(given.scale, SIZES[given.scale], given.seed, given.data_dir, out, report))
    except GloError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    file = results_file(given.scale)
    file, text = (file, PAGE) if given.publish else (out / file.name, out / PAGE.name)
    write_text(file, json.dumps(results, indent=1) + "\n")
    write_text(text, page(results))
    report(f"written: {file} and {text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
