"""Options of the genetic algorithm.  The defaults are the paper's, to the letter (section III.A)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from glo.expr import MAX_DEPTH, MAX_NODES, OPERATORS, VARIABLES, parse
from glo.records import Config

Probability = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]

PAPER_WEIGHTS = {
    "log": 3.0, "sqrt": 2.0, "square": 1.0,
    "+": 1.0, "*": 1.0, "-": 1.0, "/": 1.0,
    "x": 3.0, "y": 3.0, "1": 1.0, "-1": 1.0,
}  # fmt: skip


class GeneticConfig(Config):
    """How trees are made, selected, recombined and mutated.

    Attributes:
        population: trees per generation.
        steady_state: whether each outcome makes room for the next candidate at once, so that nobody waits for the slowest
            of a generation; there are as many candidates in all, and elites need no place of their own.
        elites: the best trees, copied unchanged into the next generation.
        initial_depth: maximum depth of a random tree; the paper's 2.
        weights: of each operator and leaf when one is drawn at random; an operator that is not named is not used.  A table
            that names neither x nor y changes the paper's: {"tanh": 1} adds an operator, {"square": 0} takes one away.
        selection: "roulette" (in proportion to fitness; uniform where all are 0) or "tournament".
        tournament_size: trees that compete for each place under "tournament".
        crossover: probability that two parents exchange subtrees (else they are copied).
        integer_step: probability that an integer leaf moves by one.
        replacement: probability that a node is replaced by another of the same number of children.
        shrink: probability that an operator and all below it are replaced by a leaf.
        grow: probability that a leaf is replaced by a random element with random leaves.
        max_nodes, max_depth: a child beyond them is replaced by its parent.
        viable: whether the first generation, and children while `attempts` last, must pass the funnel's cheap stages with
            a fingerprint that this search has not seen.
        attempts: how many times random trees that are not viable are drawn anew, and children that are not bred anew.
    """

    population: PositiveInt = 80
    steady_state: bool = False
    elites: NonNegativeInt = 6
    initial_depth: PositiveInt = 2
    weights: dict[str, Weight] = PAPER_WEIGHTS
    selection: Literal["roulette", "tournament"] = "roulette"
    tournament_size: PositiveInt = 3
    crossover: Probability = 0.8
    integer_step: Probability = 0.05
    replacement: Probability = 0.05
    shrink: Probability = 0.025
    grow: Probability = 0.025
    max_nodes: int = Field(default=MAX_NODES, ge=3, le=MAX_NODES)
    max_depth: int = Field(default=MAX_DEPTH, ge=2, le=MAX_DEPTH)
    viable: bool = False
    attempts: PositiveInt = 50

    @field_validator("weights", mode="before")
    @classmethod
    def _changed(cls, weights: Any) -> Any:
        changes = (
            isinstance(weights, Mapping) and len(weights) > 0 and not any(variable in weights for variable in VARIABLES)
        )
        return {**PAPER_WEIGHTS, **weights} if changes else weights

    @field_validator("weights")
    @classmethod
    def _known_symbols(cls, weights: dict[str, float]) -> dict[str, float]:
        for symbol in weights:
            known = symbol in OPERATORS or symbol in VARIABLES
            if not known and not (parse(symbol).is_constant and str(parse(symbol)) == symbol):
                raise ValueError(f"'{symbol}' is neither an operator ({', '.join(OPERATORS)}) nor x, y or a number")
        if not all(weights.get(variable, 0) > 0 for variable in VARIABLES):
            raise ValueError("x and y need a weight above 0")
        return weights
