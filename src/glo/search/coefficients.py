"""Coefficients of one expression, tuned by CMA-ES (paper, section III.B), as a `Search`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from glo.errors import ConfigError
from glo.expr import Expr, all_coefficients, effective_coefficients, with_coefficients
from glo.records import Config, Outcome, Status, generator

LARGEST = 1e9  # of a coefficient; whatever is beyond it diverges
WORST = 1.0  # what CMA-ES is told of a failure; of all others minus a fitness, which is at most 0


class CoefficientConfig(Config):
    """How coefficients are tuned.

    Attributes:
        expression: what is tuned, as text; empty for the best of the phase before.
        which: "all", one coefficient for each node, or "effective", without those that change nothing.
        iterations: generations of CMA-ES.
        population: candidates in each; None for 4 + 3 ln(number of coefficients), as usual, at least 6.
        sigma: the initial step size; the paper's 1.5.
        active: whether bad candidates count negatively in the covariance ("active" CMA-ES); the paper's variant does not.
        confirmations: fresh seeds over which the start, the best sample and the mean are compared in the end.
    """

    expression: str = ""
    which: Literal["effective", "all"] = "effective"
    iterations: PositiveInt = 15
    population: int | None = Field(default=None, ge=4)
    sigma: float = Field(default=1.5, gt=0, le=1e100)
    active: bool = True
    confirmations: PositiveInt = 5


def tuned_positions(expr: Expr, which: Literal["effective", "all"], on_ladder: bool) -> list[int]:
    """Positions of the coefficients to tune.

    Where the learning rate is on a ladder, the overall scale is left to it; if there is nothing else, the scale it is.

    Raises:
        ConfigError: if no coefficient has any effect.
    """
    if not expr.uses("y"):
        raise ConfigError(f"{expr} has no coefficient to tune: its derivative in y is zero whatever they are")
    if which == "all":
        return all_coefficients(expr)
    return effective_coefficients(expr, scale=not on_ladder) or effective_coefficients(expr)


class CoefficientSearch:
    """(mu/mu_w, lambda)-CMA-ES over the coefficients of an expression, all 1 at the start.

    A failed candidate ranks behind every trained one.  The random numbers are the search's own.

    Args:
        config: the options; its `expression` and `which` have been resolved to the next two.
        start: the expression to tune.
        positions: of the nodes whose coefficients are tuned (`tuned_positions`).
        seed: of the run.
    """

    def __init__(self, config: CoefficientConfig, start: Expr, positions: Sequence[int], seed: int) -> None:
        self._start, self._positions = start, list(positions)
        self._left = config.iterations
        self._strategy = _strategy(config, len(self._positions), seed)
        self._samples: list[NDArray[np.float64]] = []
        self._best: tuple[float, Expr] = (WORST, start)

    @property
    def done(self) -> bool:
        return self._left == 0

    @property
    def best(self) -> Expr:
        """The sample of highest fitness so far; the start if none could be trained."""
        return self._best[1]

    @property
    def mean(self) -> Expr:
        """The mean of the search distribution: under noise often better than the best sample."""
        return self._expression(self._strategy.result.xfavorite)

    def ask(self) -> list[Expr]:
        self._samples = self._strategy.ask()
        return [self._expression(sample) for sample in self._samples]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        costs = [-o.fitness if o.status in (Status.TRAINED, Status.STOPPED) else WORST for o in outcomes]
        for cost, sample in zip(costs, self._samples, strict=True):
            if cost < self._best[0]:
                self._best = cost, self._expression(sample)
        self._strategy.tell(self._samples, costs)
        self._left -= 1

    def _expression(self, sample: NDArray[np.float64]) -> Expr:
        """The start with these coefficients, to six digits: more is noise, and nobody reads it."""
        bounded = np.clip(np.nan_to_num(sample[: len(self._positions)]), -LARGEST, LARGEST)
        rounded = [float(f"{value:.6g}") for value in bounded]
        return with_coefficients(self._start, dict(zip(self._positions, rounded, strict=True)))


def _strategy(config: CoefficientConfig, coefficients: int, seed: int) -> Any:
    """pycma's CMA-ES.  It is made for two dimensions and more: a single coefficient gets a second one without effect."""
    import cma  # takes a second

    rng = generator(seed, "coefficients")
    options = {
        "seed": math.nan,  # numpy's global generator is neither seeded nor used
        "randn": lambda *shape: rng.standard_normal(shape),
        "verbose": -9,
        "CMA_active": config.active,
        **({} if config.population is None else {"popsize": config.population}),
    }
    return cma.CMAEvolutionStrategy(np.ones(max(2, coefficients)), config.sigma, options)
