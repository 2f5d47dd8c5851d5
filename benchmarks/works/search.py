"""Whole searches beside those that a user would write with DEAP and pycma."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from benchmarks.measuring import Row, Run, row, spent
from benchmarks.peers import deap_glo
from benchmarks.works.engine import CORES
from glo import discover, tune_coefficients
from glo.tasks import load_task

RATE = 0.1
# The paper's genetic algorithm, with the checks that glo offers and the paper does not have.  Without early stopping: a
# candidate that is stopped counts 0, and the paper's selection by fitness then has too little to select by.
SETTINGS = [f"training.learning_rates=[{RATE}]", "funnel.derivative=true", "funnel.descent=true"]


def search(run: Run) -> Iterator[Row]:
    """The paper's genetic algorithm on noisy-digits, 80 candidates x 20 generations, one learning rate, three seeds."""
    yield from _beside_deap(run, "search-deap", generations=20, seeds=3, goal=">= 25")


def short_search(run: Run) -> Iterator[Row]:
    """The same with 5 generations."""
    yield from _beside_deap(run, "search-deap-short", generations=5, seeds=3, goal="")


def _beside_deap(run: Run, name: str, generations: int, seeds: int, goal: str) -> Iterator[Row]:
    task, steps = load_task("noisy-digits"), 20 if run.small else 600
    generations, population = (2, 6) if run.small else (generations, 80)
    taken: dict[str, list[float]] = {"glo": [], "deap": []}
    cpu: dict[str, list[float]] = {"glo": [], "deap": []}
    best: dict[str, list[float]] = {"glo": [], "deap": []}

    def with_glo(seed: int) -> float:
        with tempfile.TemporaryDirectory() as folder:
            found = discover(
                "noisy-digits", preset="paper", generations=generations, population=population, steps=steps, seed=seed,
                confirm=0, storage=f"{folder}/glo.db", settings=SETTINGS,
            )  # fmt: skip
        finalists = found.finalists(1)
        return finalists[0].fitness if finalists else 0.0

    def with_deap(seed: int) -> float:
        return deap_glo.search(task, CORES, seed, steps, [RATE], population, generations).best

    for seed in range(run.pairs or seeds):
        for who, call in (("glo", with_glo), ("deap", with_deap)):
            run.report(f"seed {seed}: {who}")
            took = spent(lambda call=call, who=who, seed=seed: best[who].append(call(seed)))
            taken[who].append(took.wall)
            cpu[who].append(took.cpu)
    ratios = [theirs / ours for theirs, ours in zip(taken["deap"], taken["glo"], strict=True)]
    what = f"search by the paper's algorithm, noisy-digits, {population} x {generations}: glo vs DEAP"
    yield row(name, what, ratios, goal, wall_s=taken, cpu_s=cpu, best=best)


def tune(run: Run) -> Iterator[Row]:
    """Tuning Baikal on noisy-digits, 10 iterations of 16 candidates, one learning rate."""
    task, rate = load_task("noisy-digits"), 0.01
    steps, iterations, population = (10, 2, 4) if run.small else (600, 10, 16)
    seeds = iter(range(1000))

    def with_glo() -> None:
        with tempfile.TemporaryDirectory() as folder:
            tune_coefficients(
                task, "baikal", which="all", iterations=iterations, population=population, steps=steps,
                learning_rates=[rate], seed=next(seeds), storage=f"{folder}/glo.db",
                settings=["coefficients.confirmations=1"],
            )  # fmt: skip

    def with_pycma() -> None:
        deap_glo.tune(task, CORES, "sub(log(y), truediv(x, y))", 0, steps, rate, iterations, population)

    measured = run.interleaved({"glo": with_glo, "pycma": with_pycma}, pairs=5)
    what = f"tuning six coefficients, {iterations} iterations of {population}: glo vs pycma"
    yield row("tune", what, measured.ratios("pycma", "glo"), ">= 1", **measured.detail())
