"""New trees, random or bred from a population: what the generational and the steady-state search have in common."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from glo.errors import ConfigError
from glo.expr import Expr
from glo.search.config import GeneticConfig
from glo.search.generate import Elements
from glo.search.protocol import Screen
from glo.search.selection import Select, roulette, tournament
from glo.search.variation import crossover, mutate

BATCH = 500  # random trees screened at once; of the paper's, one or two in a hundred are viable


class Breeding:
    """Makes trees; with `config.viable` each passes the screen, with a fingerprint that was not seen before.

    Args:
        config: the options; the defaults are the paper's.
        screen: says which expressions are worth a training; needed for `config.viable`.

    Raises:
        ConfigError: for `config.viable` without a screen.
    """

    def __init__(self, config: GeneticConfig, screen: Screen | None) -> None:
        if config.viable and screen is None:
            raise ConfigError("genetic.viable needs a screen, which says what is viable")
        self._config = config
        self._screen = screen if config.viable else None
        self._elements = Elements(config.weights)
        self._select: Select = roulette if config.selection == "roulette" else tournament(config.tournament_size)
        self._depth = config.initial_depth  # of random trees; the different losses of a depth run out
        self._screened: set[Expr] = set()  # a tree is new once: most children are like one that was there before
        self._seen: set[str] = set()

    def random(self, rng: Generator, count: int) -> list[Expr]:
        """Random trees; where viable ones run out while `attempts` last, children of those, and then any."""
        if self._screen is None:
            return [self._random(rng, self._depth) for _ in range(count)]
        found: list[Expr] = []
        start = self._depth
        for attempt in range(self._config.attempts):
            # There are only so many different losses of a depth; where they run out, trees may be one deeper.
            self._depth = start + attempt // 10
            found += self._novel([self._random(rng, self._depth) for _ in range(BATCH)])
            if len(found) >= count:
                break
        # Of the random trees that are new one or two in a hundred are viable, of the children of viable ones one in five.
        for _ in range(self._config.attempts):
            if not found or len(found) >= count:
                break
            found += self._novel(self._children(rng, found, [1.0] * len(found), count))
        found = found[:count]
        return found + [self._random(rng, start) for _ in range(count - len(found))]

    def bred(
        self, rng: Generator, population: Sequence[Expr], fitnesses: Sequence[float], count: int, at_once: int = 0
    ) -> list[Expr]:
        """Children of parents selected by fitness, `count` or more; where viable ones run out while `attempts` last, any.

        Args:
            at_once: how many are screened together, if more than `count`.
        """
        children: list[Expr] = []
        if self._screen is not None:
            for _ in range(self._config.attempts):
                children += self._novel(self._children(rng, population, fitnesses, max(count, at_once)))
                if len(children) >= count:
                    break
        if len(children) < count:
            children += self._children(rng, population, fitnesses, count - len(children))
        return children

    def _random(self, rng: Generator, depth: int) -> Expr:
        """A random tree within the limits; a leaf always is."""
        tree = self._elements.tree(rng, min(depth, self._config.max_depth))
        while tree.nodes > self._config.max_nodes:
            tree = self._elements.tree(rng, min(depth, self._config.max_depth))
        return tree

    def _children(self, rng: Generator, population: Sequence[Expr], fitnesses: Sequence[float], count: int) -> list[Expr]:
        """Parents by selection, then crossover (both children are kept), then mutation."""
        parents = self._select(fitnesses, rng)
        children: list[Expr] = []
        while len(children) < count:
            mother, father = population[next(parents)], population[next(parents)]
            bred = crossover(mother, father, rng) if rng.random() < self._config.crossover else (mother, father)
            for parent, child in zip((mother, father), bred, strict=True):
                mutant = mutate(child, self._config, self._elements, rng)
                small = mutant.nodes <= self._config.max_nodes and mutant.depth <= self._config.max_depth
                children.append(mutant if small else parent)
        return children[:count]

    def _novel(self, candidates: list[Expr]) -> list[Expr]:
        """Those that pass the screen with a fingerprint that this search has not seen."""
        assert self._screen is not None  # noqa: S101 - callers check
        kept: list[Expr] = []
        new = [candidate for candidate in dict.fromkeys(candidates) if candidate not in self._screened]
        self._screened.update(new)
        for candidate, fingerprint in zip(new, self._screen(new), strict=True):
            if fingerprint is not None and fingerprint not in self._seen:
                self._seen.add(fingerprint)
                kept.append(candidate)
        return kept
