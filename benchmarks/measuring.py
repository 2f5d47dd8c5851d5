"""What the benchmarks share: interleaved measurements, their spread, peak memory, and the losses to train."""

from __future__ import annotations

import functools
import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from glo.evaluation import Funnel
from glo.execution import InlineExecutor
from glo.expr import Expr
from glo.records import FunnelConfig, TrainingConfig, generator
from glo.search import PAPER_WEIGHTS, Elements
from glo.tasks import load_task

Row = dict[str, Any]
Call = Callable[[], Any]
SAMPLE_EVERY = 0.02  # seconds between two looks at the memory


@dataclass(frozen=True)
class Spent:
    """What one call took.

    Attributes:
        wall: seconds of the clock.
        cpu: seconds of all cores, of this process and of all below it.
    """

    wall: float
    cpu: float


@dataclass(frozen=True)
class Run:
    """How a benchmark is run.

    Attributes:
        report: prints a line of progress.
        pairs: how often everything is measured in turn; None for as often as each benchmark says.
        small: whether to measure next to nothing, to see that it works.
    """

    report: Callable[[str], None]
    pairs: int | None = None
    small: bool = False

    def interleaved(self, calls: Mapping[str, Call], pairs: int) -> Measured:
        """Make all calls in turn, A B A B ...; the first round is a warm-up, in which only the memory is measured."""
        rounds = self.pairs or pairs
        measured = Measured({name: [] for name in calls}, {})
        for number in range(rounds + 1):
            for name, call in calls.items():
                self.report(f"{f'round {number} of {rounds}' if number else 'warm-up'}: {name}")
                if number:
                    measured.spent[name].append(spent(call))
                else:
                    measured.peak_mb[name] = peak_mb(call)
        return measured


@dataclass(frozen=True)
class Measured:
    """Everything that was measured in turn, by the name of the call.

    Attributes:
        spent: what each call took in each round.
        peak_mb: the most memory that a call had beyond what was there before, in its warm-up.
    """

    spent: dict[str, list[Spent]]
    peak_mb: dict[str, float]

    def wall(self, name: str) -> float:
        """The median seconds of a call."""
        return statistics.median(each.wall for each in self.spent[name])

    def ratios(self, over: str, under: str) -> list[float]:
        """In each round, the seconds of one call over those of another."""
        return [a.wall / b.wall for a, b in zip(self.spent[over], self.spent[under], strict=True)]

    def detail(self, *names: str) -> Row:
        """Medians of the calls for the JSON file: seconds, CPU seconds, and memory."""
        chosen = names or tuple(self.spent)
        return {
            "wall_s": {name: self.wall(name) for name in chosen},
            "cpu_s": {name: statistics.median(each.cpu for each in self.spent[name]) for name in chosen},
            "peak_mb": {name: self.peak_mb[name] for name in chosen if name in self.peak_mb},
        }


def seconds(call: Call) -> float:
    """The seconds that a call takes."""
    return spent(call).wall


def spent(call: Call) -> Spent:
    """What a call takes."""
    cpu, started = cpu_seconds(), time.perf_counter()
    call()
    wall = time.perf_counter() - started
    return Spent(wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """CPU seconds so far of this process, of its living descendants, and of all that have ended."""
    total = 0.0
    for process in _family():
        try:
            total += sum(process.cpu_times()[:4])  # user, system, and those of the children that have ended
        except psutil.NoSuchProcess:  # it ended just now, and its parent has its seconds
            continue
    return total


def peak_mb(call: Call) -> float:
    """The most memory that this process and its descendants have during a call, beyond what they have before, in MiB.

    Memory that processes share counts once: it is their proportional set size, looked at every few milliseconds.
    """
    before, most, ended = _memory(), 0.0, threading.Event()

    def watch() -> None:
        nonlocal most
        while not ended.wait(SAMPLE_EVERY):
            most = max(most, _memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call()
    finally:
        ended.set()
        watcher.join()
    return max(0.0, max(most, _memory()) - before) / 2**20


def _memory() -> float:
    total = 0.0
    for process in _family():
        try:
            total += process.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total


def _family() -> list[psutil.Process]:
    process = psutil.Process()
    return [process, *process.children(recursive=True)]


def spread(values: Sequence[float]) -> Row:
    """The spread of repeated measurements: how many, the least, the quartiles and the most."""
    if len(values) < 2:
        return {"n": len(values), "least": values[0], "q1": values[0], "q3": values[0], "most": values[0]}
    q1, _, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return {"n": len(values), "least": min(values), "q1": q1, "q3": q3, "most": max(values)}


def row(name: str, what: str, values: Sequence[float], goal: str = "", unit: str = "x", **detail: Any) -> Row:
    """A row of the result table: the median of repeated measurements beside its goal.

    Args:
        name: by which the row is known in the JSON file.
        what: what was measured, for a reader.
        values: one for each round.
        goal: a comparison, e.g. ">= 6"; empty if there is none.
        unit: of the values: "x" for a ratio, "%" for a share, or e.g. "s".
        detail: further keys of the row in the JSON file.
    """
    value = statistics.median(values)
    found: Row = {"name": name, "what": what, "value": value, "unit": unit, "spread": spread(values), "goal": goal}
    if goal:
        sign, bound = goal.split()
        limit = float(bound)
        found["met"] = {">=": value >= limit, "<=": value <= limit, "<": value < limit}[sign]
    return {**found, **detail}


@functools.cache
def viable_losses(count: int) -> list[Expr]:
    """Different random losses of depth 3 that pass the funnel."""
    config = FunnelConfig(derivative=True, descent=True)
    funnel = Funnel(load_task("digits"), TrainingConfig(), config, InlineExecutor())
    elements, rng = Elements(PAPER_WEIGHTS), generator(0, "benchmark")
    found: dict[str, Expr] = {}  # by fingerprint
    while len(found) < count:
        trees = [elements.tree(rng, 3) for _ in range(1000)]
        fingerprints = zip(trees, funnel.screen(trees), strict=True)
        found |= {mark: tree for tree, mark in fingerprints if mark is not None and mark not in found}
    return list(found.values())[:count]


def load() -> float | None:
    """How many processes want a core now, on average over the last minute; None where nobody counts them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
