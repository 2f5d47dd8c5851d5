"""New trees, random or bred from a population, for the generational and the steady-state search."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from numpy.random import Generator

from glo.errors import ConfigError
from glo.expr import Expr, parse
from glo.records import Origin
from glo.search.config import GeneticConfig, fitting
from glo.search.generate import Elements
from glo.search.nesting import read_nestings
from glo.search.protocol import Screen
from glo.search.selection import Select, roulette, tournament
from glo.search.variation import crossover, mutate

# In the symbols of the paper: cross-entropy and squared error; and a bounded loss of an error (Geman and McClure 1985).
STANDARD_LOSSES = ((parse("x*log(y)"), parse("-1*square(x - y)")), (parse("1/(1 + square(x - y))"),))
logger = logging.getLogger("glo")
BATCH = 500  # random trees to screen in one call; with the paper's options one or two in a hundred are viable


class Breeding:
    """Makes new trees.  With `config.viable`, each passes the screen and has a fingerprint that this search has not seen.

    Args:
        config: the options; the defaults are the paper's.
        screen: decides which expressions are worth a training; needed for `config.viable`.

    Raises:
        ConfigError: for `config.viable` without a screen.
    """

    def __init__(self, config: GeneticConfig, screen: Screen | None) -> None:
        if config.viable and screen is None:
            raise ConfigError("genetic.viable needs a screen, which decides which expressions are viable")
        self._config = config
        self._screen = screen if config.viable else None
        self._elements = Elements(config.weights, config.constants, read_nestings(config.forbidden))
        self._fits = fitting(config)
        self._select: Select = roulette if config.selection == "roulette" else tournament(config.tournament_size)
        self._depth = config.initial_depth  # of random trees; grows if there are too few viable trees of one depth
        self._screened: set[Expr] = set()  # trees that were screened before: most children repeat one of them
        self._seen: set[str] = set()
        self._made: dict[Expr, tuple[str, tuple[Expr, ...]]] = {}  # the children of this call: how, and their parents
        self._origins: dict[Expr, tuple[str, tuple[Expr, ...]]] = {}  # of all trees that were handed out

    def origin(self, expression: Expr) -> Origin | None:
        """How a tree was made when it was first handed out; None if it was not."""
        if expression not in self._origins:
            return None
        how, parents = self._origins[expression]
        return Origin(how, tuple(map(str, parents)))

    def _handed_out(self, trees: list[Expr], how: str) -> list[Expr]:
        """The trees, whose origins are kept.

        Args:
            how: those were made that have no parents.
        """
        for tree in trees:
            self._origins.setdefault(tree, self._made.get(tree, (how, ())))
        self._made.clear()
        return trees

    def start(self) -> list[Expr]:
        """The given expressions, each once; with a screen, those that pass it."""
        given = [parse(text) for text in dict.fromkeys(self._config.start)]
        return self._handed_out(given if self._screen is None else self._novel(given), "given")

    def random(self, rng: Generator, count: int) -> list[Expr]:
        """Random trees.

        With a screen, these are viable random trees; if `attempts` batches do not give enough, children of viable trees, or
        of the standard losses if there is none; if these are too few as well, random trees that need not be viable.
        """
        if self._screen is None:
            return self._handed_out([self._random(rng, self._depth) for _ in range(count)], "random")
        found: list[Expr] = []
        start = self._depth
        for attempt in range(self._config.attempts):
            # The number of different losses of one depth is limited, so allow deeper trees from time to time.
            self._depth = start + attempt // 10
            found += self._novel([self._random(rng, self._depth) for _ in range(BATCH)])
            if len(found) >= count:
                break
        for known in STANDARD_LOSSES:
            if not found:  # in regression few random trees are: most logarithms and roots of predictions are not finite
                found += self._novel([loss for loss in known if self._may_use(loss)])
        if not found:
            logger.warning(
                "none of %s random trees passes the checks before a training, so the next candidates will be rejected: "
                "allow more operators or larger trees, or drop a constraint", f"{self._config.attempts * BATCH:,}",
            )  # fmt: skip
        # One or two in a hundred new random trees are viable, but one in five new children of viable trees.
        for _ in range(self._config.attempts):
            if not found or len(found) >= count:
                break
            found += self._novel(self._children(rng, found, [1.0] * len(found), count))
        found = found[:count]
        return self._handed_out(found + [self._random(rng, start) for _ in range(count - len(found))], "random")

    def bred(
        self, rng: Generator, population: Sequence[Expr], fitnesses: Sequence[float], count: int, at_once: int = 0
    ) -> list[Expr]:
        """Children of parents selected by fitness: `count` or more.

        With a screen, these are viable children; if `attempts` batches do not give enough, the rest need not be viable.

        Args:
            at_once: number of children to screen in one call, if larger than `count`.
        """
        children: list[Expr] = []
        if self._screen is not None:
            for _ in range(self._config.attempts):
                children += self._novel(self._children(rng, population, fitnesses, max(count, at_once)))
                if len(children) >= count:
                    break
        if len(children) < count:
            children += self._children(rng, population, fitnesses, count - len(children))
        return self._handed_out(children, "random")

    def _may_use(self, expression: Expr) -> bool:
        """Whether the search may make an expression."""
        known = all(self._config.weights.get(node.symbol, 0) > 0 for node in expression.walk())
        return known and self._fits(expression)

    def _random(self, rng: Generator, depth: int) -> Expr:
        """A random tree within `max_nodes` and `max_depth`; drawing ends, because a leaf is within them."""
        tree = self._elements.tree(rng, min(depth, self._config.max_depth))
        while tree.nodes > self._config.max_nodes:
            tree = self._elements.tree(rng, min(depth, self._config.max_depth))
        return tree

    def _children(self, rng: Generator, population: Sequence[Expr], fitnesses: Sequence[float], count: int) -> list[Expr]:
        """Select two parents, cross them (both children are kept), and mutate each child."""
        parents = self._select(fitnesses, rng)
        children: list[Expr] = []
        while len(children) < count:
            mother, father = population[next(parents)], population[next(parents)]
            crossed = rng.random() < self._config.crossover
            bred = crossover(mother, father, rng) if crossed else (mother, father)
            for parent, other, child in zip((mother, father), (father, mother), bred, strict=True):
                mutant = mutate(child, self._config, self._elements, rng)
                fits = self._fits(mutant)
                children.append(mutant if fits else parent)
                if fits and mutant != parent:
                    how = [*["crossover"] * (child != parent), *["mutation"] * (mutant != child)]
                    self._made.setdefault(mutant, (" and ".join(how), (parent, other) if child != parent else (parent,)))
        return children[:count]

    def _novel(self, candidates: list[Expr]) -> list[Expr]:
        """The candidates that pass the screen and have a fingerprint that this search has not seen."""
        assert self._screen is not None  # noqa: S101 - callers check
        kept: list[Expr] = []
        new = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._screened]
        self._screened.update(new)
        for candidate, fingerprint in zip(new, self._screen(new), strict=True):
            if fingerprint is not None and fingerprint not in self._seen:
                self._seen.add(fingerprint)
                kept.append(candidate)
        return kept
