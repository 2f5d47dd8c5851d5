"""What the benchmarks share: times of works in turn, the losses that are trained with, and a row of the table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from glo.evaluation import Funnel, FunnelConfig, LocalEvaluator
from glo.expr import Expr
from glo.records import TrainingConfig, generator
from glo.search import PAPER_WEIGHTS, Elements
from glo.tasks import load_task

Row = dict[str, Any]


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(works: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median seconds of each, measured one after the other in every round; one round before does not count."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for number in range(repeats + 1):
        for name, work in works.items():
            spent = seconds(work)
            if number:
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


def viable_losses(count: int) -> list[Expr]:
    """Different random losses of depth 3 that pass the funnel."""
    task, training = load_task("digits"), TrainingConfig()
    funnel = Funnel(
        task, training, FunnelConfig(derivative=True, descent=True), lambda counts: LocalEvaluator(task, training)
    )
    elements, rng = Elements(PAPER_WEIGHTS), generator(0, "benchmark")
    found: dict[str, Expr] = {}
    while len(found) < count:
        trees = [elements.tree(rng, 3) for _ in range(1000)]
        marks = zip(trees, funnel.screen(trees), strict=True)
        found |= {mark: tree for tree, mark in marks if mark is not None and mark not in found}
    return list(found.values())[:count]


def row(what: str, value: float, goal: str, detail: Row) -> Row:
    sign, bound = goal.split()
    met = {">=": value >= float(bound), "<=": value <= float(bound), "<": value < float(bound)}[sign]
    return {"what": what, "value": value, "goal": goal, "met": met, **detail}
