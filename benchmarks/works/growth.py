"""How the cost of a generation grows with the population."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import numpy as np

from benchmarks.measuring import Row, Run, cpu_seconds, row
from glo.store import GenerationRecord
from glo.study import Callback, Study

POPULATIONS = (10, 30, 100, 300, 1000)
STEPS = 100


def growth(run: Run) -> Iterator[Row]:
    """The exponent of the CPU seconds of a generation in the number of its candidates, by least squares of the logarithms.

    The generation is the second of a search by the default preset: it is bred, screened, looked up, trained and recorded.
    """
    populations = POPULATIONS[:2] if run.small else POPULATIONS
    rounds = run.pairs or 3
    run.report("warm-up")
    second_generation(populations[0], seed=0)
    taken: dict[int, list[float]] = {population: [] for population in populations}
    exponents: list[float] = []
    for number in range(rounds):
        for population in populations:
            run.report(f"round {number + 1} of {rounds}: a population of {population}")
            taken[population].append(second_generation(population, seed=number))
        exponents.append(exponent(populations, [taken[population][-1] for population in populations]))
    detail = {"cpu_seconds": {str(population): sorted(values) for population, values in taken.items()}}
    what = f"CPU seconds of one generation as the population grows from {populations[0]} to {populations[-1]:,}: exponent"
    yield row("growth", what, exponents, "<= 1.05", "", **detail)
    if len(populations) > 2:
        last = [exponent(populations[-2:], pair) for pair in zip(*(taken[p] for p in populations[-2:]), strict=True)]
        what = f"the same from {populations[-2]} to {populations[-1]:,}, where fixed costs no longer matter"
        yield row("growth-large", what, last, "", "")


def exponent(populations: tuple[int, ...], seconds: list[float] | tuple[float, ...]) -> float:
    """The slope of log seconds over log population."""
    return float(np.polyfit(np.log(populations), np.log(seconds), 1)[0])


def second_generation(population: int, seed: int) -> float:
    """The CPU seconds of the second generation of a search on digits, in all processes."""
    ends: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        study = Study("digits", seed=seed, name="growth", storage=f"{folder}/glo.db", callbacks=[_Ends(ends)])
        study.search(generations=2, population=population, steps=STEPS, confirm=0)
    return ends[1] - ends[0]


class _Ends(Callback):
    """Notes the CPU seconds so far when each generation has been recorded."""

    def __init__(self, ends: list[float]) -> None:
        self._ends = ends

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:  # noqa: ARG002 - a hook
        self._ends.append(cpu_seconds())
