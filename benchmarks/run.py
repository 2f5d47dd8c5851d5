"""Run the benchmarks: progress from the first second, each row as it is measured, and JSON with provenance.

    python -m benchmarks.run [WORK ...] [--full] [--list] [--pairs N] [--small] [--out FILE] [--publish]

By default the works that take minutes only (`make bench`), with --full all (`make bench-full`).  Glo and its peers are
measured in turn, A B A B ...; a row is the median of the ratios, with their spread.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Row, Run
from benchmarks.results import RESULTS, provenance, read_rows, shown, with_row, write_rows
from benchmarks.works.engine import CORES, adamw, digits
from benchmarks.works.gpu import gpu
from benchmarks.works.growth import growth
from benchmarks.works.images import images
from benchmarks.works.memory import memory
from benchmarks.works.quality import optuna, skilled
from benchmarks.works.search import search, short_search, tune
from benchmarks.works.stacked import vmap
from benchmarks.works.start import first_search, start
from benchmarks.works.step import step
from benchmarks.works.text import text
from benchmarks.works.trials import trials
from glo.errors import GloError

PUBLISHED = RESULTS / "bench.json"


@dataclass(frozen=True)
class Work:
    """Something that is measured.

    Attributes:
        rows: measures it, and yields its rows.
        full: whether it takes too long for `make bench`.
    """

    rows: Callable[[Run], Iterator[Row]]
    full: bool = False


WORKS = {
    "start": Work(start),
    "first-search": Work(first_search),
    "step": Work(step),
    "engine": Work(digits),
    "vmap": Work(vmap),
    "memory": Work(memory),
    "trials": Work(trials),
    "growth": Work(growth),
    "short-search": Work(short_search),
    "images": Work(images, full=True),
    "text": Work(text, full=True),
    "adamw": Work(adamw, full=True),
    "tune": Work(tune, full=True),
    "search": Work(search, full=True),
    "optuna": Work(optuna, full=True),
    "skilled": Work(skilled, full=True),
    "gpu": Work(gpu, full=True),
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if given.list:
        for name, work in WORKS.items():
            print(f"{name:14}{'full  ' if work.full else '      '}{(work.rows.__doc__ or '').partition(chr(10))[0]}")
        return 0
    if given.publish and given.small:
        sys.stderr.write("small measurements say nothing about speed: leave out --small or --publish\n")
        return 1
    names = given.works or [name for name, work in WORKS.items() if given.full or not work.full]
    torch.set_num_threads(min(CORES, os.cpu_count() or 1))
    try:
        measure(names, given.out or (PUBLISHED if given.publish else Path("build/bench.json")), given.pairs, given.small)
        if given.publish:
            from benchmarks.page import write_page

            write_page()
    except GloError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("works", nargs="*", choices=[[], *WORKS], metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--full", action="store_true", help="all works, not only those that take minutes")
    parser.add_argument("--list", action="store_true", help="say what can be measured, and end")
    parser.add_argument("--pairs", type=int, help="how often everything is measured in turn")
    parser.add_argument("--small", action="store_true", help="measure next to nothing, to see that it works")
    parser.add_argument("--out", type=Path, help="the JSON file, in which the rows measured now replace those of before")
    parser.add_argument("--publish", action="store_true", help="write benchmarks/results and the tables of docs")
    return parser


def measure(names: Sequence[str], out: Path, pairs: int | None = None, small: bool = False) -> list[Row]:
    """Run works; print and write each row as soon as it is measured, and at the end print the table of all.

    Args:
        names: of the works.
        out: the JSON file; its other rows stay.
        pairs: how often everything is measured in turn, instead of what each work says.
        small: whether to measure next to nothing.
    """
    started = time.monotonic()
    out.parent.mkdir(parents=True, exist_ok=True)
    rows, measured = read_rows(out), list[Row]()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {text}", flush=True)

    for number, name in enumerate(names, 1):
        label = f"[{number}/{len(names)}] {name}"
        say(f"{label}: begins")
        run = Run(lambda text, label=label: say(f"{label}: {text}"), pairs, small)
        for row in WORKS[name].rows(run):
            measured.append(row)
            rows = with_row(rows, {"work": name, **row, "provenance": provenance()})
            write_rows(out, rows)
            say(f"{label}: => {sentence(row)}")
    Console(width=120).print(table(measured))
    say(f"written: {out}")
    return measured


def sentence(row: Row) -> str:
    """A row as a line: what, the median, its range and the goal."""
    goal = f"; goal {row['goal']}: {'met' if row['met'] else 'missed'}" if row["goal"] else ""
    return f"{row['what']}: {shown(row['value'], row['unit'])} ({ranged(row)}{goal})"


def ranged(row: Row) -> str:
    """The range of the repeated measurements."""
    found = row["spread"]
    least, most = (shown(found[key], row["unit"]) for key in ("least", "most"))
    return f"{least} to {most}, n = {found['n']}" if found["n"] > 1 else "n = 1"


def table(rows: Sequence[Row]) -> Table:
    made = Table(title="glo compared with code that a user would write without it")
    for column in ("work", "measured", "range", "goal", "met"):
        made.add_column(column)
    for row in rows:
        met = ("yes" if row["met"] else "no") if row["goal"] else ""
        made.add_row(row["what"], shown(row["value"], row["unit"]), ranged(row), row["goal"], met)
    return made


if __name__ == "__main__":
    sys.exit(main())
