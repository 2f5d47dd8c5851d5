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

MAX_COEFFICIENT = 1e9  # losses with larger coefficients diverge
COST_OF_FAILURE = 1.0  # for CMA-ES, at least; the cost of other candidates is minus their fitness
RANKED = (Status.TRAINED, Status.STOPPED)


class CoefficientConfig(Config):
    """How coefficients are tuned.

    Attributes:
        expression: the expression to tune, as text; empty for the best of the phase before.
        which: "all" for a coefficient at each node, or "effective" for only those that have an effect of their own.
        iterations: generations of CMA-ES.
        population: candidates per generation; None for the usual 4 + 3 ln(number of coefficients), at least 6.
        sigma: the initial step size; the paper's is 1.5.
        active: whether bad candidates count negatively in the covariance ("active" CMA-ES); in the paper they do not.
        confirmations: number of fresh seeds over which the start, the best sample and the mean are compared at the end.
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

    If each loss is trained at several learning rates (on a ladder), tuning its overall scale adds nothing; the scale is then
    tuned only if there is no other coefficient.

    Raises:
        ConfigError: if no coefficient has any effect.
    """
    if not expr.uses("y"):
        raise ConfigError(f"{expr} has no coefficient to tune: its derivative in y is zero for all coefficients")
    if which == "all":
        return all_coefficients(expr)
    return effective_coefficients(expr, scale=not on_ladder) or effective_coefficients(expr)


class CoefficientSearch:
    """(mu/mu_w, lambda)-CMA-ES over the coefficients of an expression; all are 1 at the start.

    A failed candidate ranks behind every trained one.

    Args:
        config: the options; `start` and `positions` replace its `expression` and `which`.
        start: the expression to tune.
        positions: the nodes whose coefficients are tuned (see `tuned_positions`).
        seed: the study's seed.
    """

    def __init__(self, config: CoefficientConfig, start: Expr, positions: Sequence[int], seed: int) -> None:
        self._start, self._positions = start, list(positions)
        self._remaining = config.iterations
        self._strategy = _strategy(config, len(self._positions), seed)
        self._samples: list[NDArray[np.float64]] = []
        self._best: tuple[float, Expr] = (math.inf, start)

    @property
    def done(self) -> bool:
        return self._remaining == 0

    @property
    def best(self) -> Expr:
        """The sample of highest fitness so far; the start if no sample could be trained."""
        return self._best[1]

    @property
    def mean(self) -> Expr:
        """The mean of the search distribution; if fitness is noisy, it is often better than the best sample."""
        return self._expression(self._strategy.result.xfavorite)

    def ask(self) -> list[Expr]:
        self._samples = self._strategy.ask()
        return [self._expression(sample) for sample in self._samples]

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        costs = [-o.fitness if o.status in RANKED and math.isfinite(o.fitness) else None for o in outcomes]
        known = [cost for cost in costs if cost is not None]
        for cost, sample in zip(costs, self._samples, strict=True):
            if cost is not None and cost < self._best[0]:
                self._best = cost, self._expression(sample)
        failure = max([COST_OF_FAILURE, *(cost + 1 for cost in known)])
        self._strategy.tell(self._samples, [failure if cost is None else cost for cost in costs])
        self._remaining -= 1

    def _expression(self, sample: NDArray[np.float64]) -> Expr:
        """The start with these coefficients, rounded to six digits."""
        bounded = np.clip(np.nan_to_num(sample[: len(self._positions)]), -MAX_COEFFICIENT, MAX_COEFFICIENT)
        rounded = [float(f"{value:.6g}") for value in bounded]
        return with_coefficients(self._start, dict(zip(self._positions, rounded, strict=True)))


def _strategy(config: CoefficientConfig, coefficients: int, seed: int) -> Any:
    """pycma's CMA-ES.  It needs two dimensions or more, so a single coefficient gets a second one without effect."""
    import cma  # slow: it takes a second

    rng = generator(seed, "coefficients")
    options = {
        "seed": math.nan,  # neither seed nor use numpy's global generator
        "randn": lambda *shape: rng.standard_normal(shape),
        "verbose": -9,
        "CMA_active": config.active,
        **({} if config.population is None else {"popsize": config.population}),
    }
    return cma.CMAEvolutionStrategy(np.ones(max(2, coefficients)), config.sigma, options)
