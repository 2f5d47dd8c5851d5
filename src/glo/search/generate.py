"""Random trees (paper, section III.A): nodes drawn by weight, recursively from the root."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate

from numpy.random import Generator

from glo.expr import OPERATORS, Expr
from glo.search.nesting import NONE, Nestings

shared_leaf = lru_cache(maxsize=1000)(Expr)  # trees share their leaves, since most nodes of random trees are leaves


class Elements:
    """The operators and leaves that a search may use, drawn in proportion to their weights.

    Args:
        weights: symbol -> weight, e.g. {"log": 3, "x": 3, "1": 1}.
        nestings: operators that random trees may not have below others.
    """

    def __init__(self, weights: Mapping[str, float], nestings: Nestings | None = None) -> None:
        self._weights, self._nestings = weights, nestings or {}
        # By arity and the operators that are barred: symbols and their cumulative probabilities.
        self._choices: dict[tuple[int | None, frozenset[str]], tuple[list[str], list[float]]] = {}

    def draw(self, rng: Generator, arity: int | None = None, barred: frozenset[str] = NONE) -> str | None:
        """Draw a symbol that is not barred, of the given arity if one is given; None if no such symbol has a weight."""
        if (arity, barred) not in self._choices:
            self._choices[arity, barred] = self._allowed(arity, barred)
        symbols, cumulative = self._choices[arity, barred]
        # rng.choice(symbols, p=...) takes 20 times as long, and a search draws a million times.
        return symbols[bisect_right(cumulative, rng.random())] if symbols else None

    def _allowed(self, arity: int | None, barred: frozenset[str]) -> tuple[list[str], list[float]]:
        weights = {s: w for s, w in self._weights.items() if w > 0 and arity in (None, _arity(s)) and s not in barred}
        sums = list(accumulate(weights.values()))
        return list(weights), [total / sums[-1] for total in sums]

    def leaf(self, rng: Generator) -> Expr:
        return shared_leaf(self.draw(rng, arity=0) or "x")

    def tree(self, rng: Generator, max_depth: int, barred: frozenset[str] = NONE) -> Expr:
        """A random tree without the operators that are barred; at the maximum depth, a leaf."""
        if max_depth == 0:
            return self.leaf(rng)
        return self.grown(rng, self.draw(rng, barred=barred) or "x", max_depth, barred)

    def grown(self, rng: Generator, symbol: str, max_depth: int, barred: frozenset[str] = NONE) -> Expr:
        """A node with the given symbol and random subtrees, which are leaves if `max_depth` is 1."""
        if symbol not in OPERATORS:
            return shared_leaf(symbol)
        operator = OPERATORS[symbol]
        barred |= self._nestings.get(symbol, NONE)
        children = [
            shared_leaf(str(rng.integers(2, 5)))
            if position in operator.constant_arguments
            else self.tree(rng, max_depth - 1, barred)
            for position in range(operator.arity)
        ]
        return Expr(symbol, tuple(children))


def _arity(symbol: str) -> int:
    return OPERATORS[symbol].arity if symbol in OPERATORS else 0
