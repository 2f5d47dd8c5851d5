"""Random trees (paper, section III.A): nodes drawn by weight, recursively from the root."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from itertools import accumulate

from numpy.random import Generator

from glo.expr import OPERATORS, Expr, constant
from glo.search.nesting import NONE, Nestings

shared_leaf = lru_cache(maxsize=1000)(Expr)  # trees share their leaves, since most nodes of random trees are leaves
REAL = "real constant"  # stands for a number that is drawn with it
SMALLEST, LARGEST = 0.1, 10.0  # of the size of a random real constant
DIGITS = 2  # significant ones, so that expressions stay short


class Elements:
    """The operators and leaves that a search may use, drawn in proportion to their weights.

    Args:
        weights: symbol -> weight, e.g. {"log": 3, "x": 3, "1": 1}.
        constants: weight of a random real constant.
        nestings: operators that random trees may not have below others.
    """

    def __init__(self, weights: Mapping[str, float], constants: float = 0.0, nestings: Nestings | None = None) -> None:
        self._weights = {**weights, REAL: constants} if constants > 0 else weights
        self._constants, self._nestings = constants > 0, nestings or {}
        # By arity and the operators that are barred: symbols and their cumulative probabilities.
        self._choices: dict[tuple[int | None, frozenset[str]], tuple[list[str], list[float]]] = {}

    def draw(self, rng: Generator, arity: int | None = None, barred: frozenset[str] = NONE) -> str | None:
        """Draw a symbol that is not barred, of the given arity if one is given; None if no such symbol has a weight."""
        if (arity, barred) not in self._choices:
            self._choices[arity, barred] = self._allowed(arity, barred)
        symbols, cumulative = self._choices[arity, barred]
        # rng.choice(symbols, p=...) takes 20 times as long, and a search draws a million times.
        symbol = symbols[bisect_right(cumulative, rng.random())] if symbols else None
        return real_constant(rng).symbol if symbol == REAL else symbol

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
            self._argument(rng) if position in operator.constant_arguments else self.tree(rng, max_depth - 1, barred)
            for position in range(operator.arity)
        ]
        return Expr(symbol, tuple(children))

    def _argument(self, rng: Generator) -> Expr:
        """An argument that must be a constant: 2, 3 or 4; with real constants, half of the time one of these."""
        if self._constants and rng.random() < 0.5:
            return real_constant(rng)
        return shared_leaf(str(rng.integers(2, 5)))


def real_constant(rng: Generator) -> Expr:
    """A random real constant: its size is log-uniform, and its sign is positive as often as negative."""
    size = SMALLEST * (LARGEST / SMALLEST) ** rng.random()
    return constant(rounded(size if rng.random() < 0.5 else -size))


def rounded(value: float) -> float:
    """A number with a few digits."""
    return float(f"{value:.{DIGITS}g}")


def _arity(symbol: str) -> int:
    return OPERATORS[symbol].arity if symbol in OPERATORS else 0
