"""Run the benchmarks: progress from the first second, each row as it is measured, and JSON with provenance.

    python -m benchmarks.run [WORK ...] [--full] [--list] [--pairs N] [--small] [--out FILE] [--publish]

By default the works that take minutes only (`make bench`), with --full all (`make bench-full`).  Glo and its peers are
measured in turn, A B A B ...; a row is the median of the ratios, with their spread.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import Row, Run
from benchmarks.results import RESULTS, goal_met, provenance, read_rows, shown, with_row, write_rows
from glo.errors import ConfigError, GloError

PUBLISHED = RESULTS / "bench.json"


@dataclass(frozen=True)
class Work:
    """Something that is measured.

    Attributes:
        where: the module in benchmarks.works, and the function there that yields the rows.
        what: for the list of works.
        full: whether it takes too long for `make bench`.
    """

    where: str
    what: str
    full: bool = False

    def rows(self, run: Run) -> Iterator[Row]:
        """Measure it, and yield its rows.

        Raises:
            ConfigError: if a library is missing.
        """
        module, _, function = self.where.partition(":")
        try:
            measure = getattr(importlib.import_module(f"benchmarks.works.{module}"), function)
        except ModuleNotFoundError as error:
            raise ConfigError(f"{error.name} is missing: pip install -c constraints.txt -e '.[bench]'") from None
        yield from measure(run)


WORKS = {
    "start": Work("start:start", "`import glo`, and commands that train nothing"),
    "first-search": Work("start:first_search", "a search of one generation, all told"),
    "step": Work("step:step", "the share of the losses in a step, and the floor of its products"),
    "engine": Work("engine:digits", "80 digits networks: glo, the plain loop, a DataLoader"),
    "vmap": Work("stacked:vmap", "80 digits networks of one family of losses: glo, torch.func.vmap by hand"),
    "memory": Work("memory:memory", "the memory of 2,000 networks"),
    "trials": Work("trials:trials", "what a study adds to a trial of a user's function"),
    "growth": Work("growth:growth", "the cost of a generation of 10 to 1,000 candidates"),
    "short-search": Work("search:short_search", "the paper's algorithm, 5 generations: glo, DEAP"),
    "images": Work("images:images", "the paper's MNIST network: glo, the plain loop", full=True),
    "text": Work("text:text", "a text model: glo, the plain loop", full=True),
    "adamw": Work("engine:adamw", "80 digits networks by AdamW: glo, the plain loop", full=True),
    "tune": Work("search:tune", "tuning coefficients: glo, pycma", full=True),
    "search": Work("search:search", "the paper's algorithm, 20 generations: glo, DEAP", full=True),
    "optuna": Work("quality:optuna", "to the same quality: the default search, Optuna over published losses", full=True),
    "skilled": Work("quality:skilled", "to the same quality: the default search, a skilled user's with DEAP", full=True),
    "gpu": Work("gpu:gpu", "80 MNIST networks on a GPU: glo, eager, CUDA graphs", full=True),
}
CORES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if given.list:
        for name, work in WORKS.items():
            print(f"{name:14}{'full' if work.full else '    '}  {work.what}")
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
    goal = f"; goal {row['goal']}: {goal_met(row)}" if row["goal"] else ""
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
        made.add_row(row["what"], shown(row["value"], row["unit"]), ranged(row), row["goal"], goal_met(row))
    return made


if __name__ == "__main__":
    sys.exit(main())
