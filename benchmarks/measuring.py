"""What the benchmarks share: median times, the losses to train, and the rows of the result table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from glo.evaluation import Funnel
from glo.execution import InlineExecutor
from glo.expr import Expr
from glo.records import FunnelConfig, TrainingConfig, generator
from glo.search import PAPER_WEIGHTS, Elements
from glo.tasks import load_task

Row = dict[str, Any]


def seconds(call: Callable[[], Any]) -> float:
    """The seconds that a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def median_seconds(calls: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each call.  Every round makes all calls in turn; the first round is a warm-up and does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeats + 1):
        for name, call in calls.items():
            spent = seconds(call)
            if number:
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


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


def row(what: str, value: float, goal: str, detail: Row) -> Row:
    """A row of the result table.

    Args:
        what: a name for the measurement.
        value: the measured value.
        goal: a comparison, e.g. ">= 6".
        detail: further keys of the row in the JSON file.
    """
    sign, bound = goal.split()
    met = {">=": value >= float(bound), "<=": value <= float(bound), "<": value < float(bound)}[sign]
    return {"what": what, "value": value, "goal": goal, "met": met, **detail}
