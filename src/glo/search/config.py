"""Options of the genetic algorithm.  The defaults are the paper's, to the letter (section III.A)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from glo.expr import CONTEXT, LEAVES, MAX_DEPTH, MAX_NODES, OPERATORS, VARIABLES, Expr, parse
from glo.records import Config
from glo.search.nesting import forbidden_nesting, read_nestings

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
        start: expressions that are evaluated in the first generation too, beside as many random trees as without them.  A
            study takes names of losses, and "shelf" for all published losses of the task's link.
        target: the search ends as soon as a fitness reaches it (of one training: the confirmation may be lower).
        patience: the search ends if the best fitness has not risen for so many generations; in a steady state, for so many
            populations of candidates.
        steady_state: whether to replace trees one at a time, as outcomes arrive, so that no worker waits for the slowest of
            a generation.  The number of candidates is the same; `elites` is not used, because the best trees stay anyway.
        elites: number of best trees that are copied unchanged into the next generation.
        initial_depth: maximum depth of a random tree; the paper's is 2.
        weights: of each operator and leaf in random draws; an operator without a weight is not used.  A table without x
            and y modifies the paper's: {"tanh": 1} adds an operator, {"square": 0} removes one.
        forbidden: nestings that no tree may have: "log(exp)" means that exp may not occur anywhere below log.
        constants: weight of a random real constant in random draws, beside those of `weights`; 0 for none.  Its size is
            between 0.1 and 10; half of the exponents of pow are real then too.
        selection: "roulette" (in proportion to fitness; uniform if all are 0) or "tournament".
        tournament_size: number of trees in each tournament.
        crossover: probability that two parents exchange subtrees (else they are copied).
        integer_step: probability that an integer leaf moves by one.
        constant_step: probability that a real constant moves by a random factor, if there are `constants`.
        replacement: probability that a node is replaced by another with the same number of children.
        shrink: probability that an operator and its subtree are replaced by a leaf.
        grow: probability that a leaf is replaced by a random element with random leaves.
        max_nodes, max_depth: limits of a tree; a child that is larger, or has a forbidden nesting, is replaced by its
            parent.
        viable: whether random trees and children must pass the cheap checks of the funnel and have a fingerprint that this
            search has not seen, as long as `attempts` allows.
        attempts: how many batches of random trees, or of children, to make until enough of them are viable.
    """

    population: PositiveInt = 80
    start: tuple[str, ...] = ()
    target: float | None = Field(default=None, allow_inf_nan=False)
    patience: PositiveInt | None = None
    steady_state: bool = False
    elites: NonNegativeInt = 6
    initial_depth: PositiveInt = 2
    weights: dict[str, Weight] = PAPER_WEIGHTS
    forbidden: tuple[str, ...] = ()
    constants: Weight = 0.0
    selection: Literal["roulette", "tournament"] = "roulette"
    tournament_size: PositiveInt = 3
    crossover: Probability = 0.8
    integer_step: Probability = 0.05
    constant_step: Probability = 0.2
    replacement: Probability = 0.05
    shrink: Probability = 0.025
    grow: Probability = 0.025
    max_nodes: int = Field(default=MAX_NODES, ge=3, le=MAX_NODES)
    max_depth: int = Field(default=MAX_DEPTH, ge=2, le=MAX_DEPTH)
    viable: bool = False
    attempts: PositiveInt = 50

    @field_validator("weights", mode="before")
    @classmethod
    def _completed(cls, weights: Any) -> Any:
        """Add the paper's weights to a table without x and y."""
        partial = (
            isinstance(weights, Mapping) and len(weights) > 0 and not any(variable in weights for variable in VARIABLES)
        )
        return {**PAPER_WEIGHTS, **weights} if partial else weights

    @field_validator("start")
    @classmethod
    def _expressions(cls, start: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(parse(text)) for text in start)

    @field_validator("forbidden")
    @classmethod
    def _nestings(cls, forbidden: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{outer}({inner})" for outer, inners in read_nestings(forbidden).items() for inner in sorted(inners))

    @field_validator("weights")
    @classmethod
    def _known_symbols(cls, weights: dict[str, float]) -> dict[str, float]:
        for symbol in weights:
            known = symbol in OPERATORS or symbol in LEAVES
            if not known and not (parse(symbol).is_constant and str(parse(symbol)) == symbol):
                leaves = ", ".join((*VARIABLES, *CONTEXT))
                raise ValueError(f"'{symbol}' is neither an operator ({', '.join(OPERATORS)}) nor {leaves} or a number")
        if not all(weights.get(variable, 0) > 0 for variable in VARIABLES):
            raise ValueError("x and y need a weight above 0")
        return weights

    @model_validator(mode="after")
    def _allowed_start(self) -> GeneticConfig:
        for text in self.start:
            if nesting := forbidden_nesting(parse(text), read_nestings(self.forbidden)):
                raise ValueError(f"the start expression {text} has the forbidden nesting {nesting}: leave one of them out")
        return self


def fitting(config: GeneticConfig) -> Callable[[Expr], bool]:
    """Decides whether a tree is within `max_nodes` and `max_depth` and has no forbidden nesting."""
    nestings = read_nestings(config.forbidden)

    def fits(tree: Expr) -> bool:
        within = tree.nodes <= config.max_nodes and tree.depth <= config.max_depth
        return within and forbidden_nesting(tree, nestings) is None

    return fits
