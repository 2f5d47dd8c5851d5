"""Random trees (paper, section III.A): nodes drawn by weight, recursively from the root."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate

from numpy.random import Generator

from glo.expr import OPERATORS, Expr

shared_leaf = lru_cache(maxsize=1000)(Expr)  # trees share their leaves, since most nodes of random trees are leaves


class Elements:
    """The operators and leaves that a search may use, drawn in proportion to their weights.

    Args:
        weights: symbol -> weight, e.g. {"log": 3, "x": 3, "1": 1}.
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._choices: dict[int | None, tuple[list[str], list[float]]] = {}  # by arity: symbols, cumulative probabilities
        for arity in (None, 0, 1, 2):
            symbols = [s for s, w in weights.items() if w > 0 and arity in (None, _arity(s))]
            sums = list(accumulate(weights[s] for s in symbols))
            self._choices[arity] = symbols, [total / sums[-1] for total in sums]

    def draw(self, rng: Generator, arity: int | None = None) -> str | None:
        """Draw a symbol, of the given arity if one is given; None if no symbol of that arity has a weight."""
        symbols, cumulative = self._choices[arity]
        # rng.choice(symbols, p=...) takes 20 times as long, and a search draws a million times.
        return symbols[bisect_right(cumulative, rng.random())] if symbols else None

    def leaf(self, rng: Generator) -> Expr:
        return shared_leaf(self.draw(rng, arity=0) or "x")

    def tree(self, rng: Generator, max_depth: int) -> Expr:
        """A random tree; at the maximum depth, a leaf."""
        if max_depth == 0:
            return self.leaf(rng)
        return self.grown(rng, self.draw(rng) or "x", max_depth)

    def grown(self, rng: Generator, symbol: str, max_depth: int) -> Expr:
        """A node with the given symbol and random subtrees, which are leaves if `max_depth` is 1."""
        if symbol not in OPERATORS:
            return shared_leaf(symbol)
        operator = OPERATORS[symbol]
        children = [
            shared_leaf(str(rng.integers(2, 5)))
            if position in operator.constant_arguments
            else self.tree(rng, max_depth - 1)
            for position in range(operator.arity)
        ]
        return Expr(symbol, tuple(children))


def _arity(symbol: str) -> int:
    return OPERATORS[symbol].arity if symbol in OPERATORS else 0
