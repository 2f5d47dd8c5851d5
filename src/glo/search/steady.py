"""The genetic algorithm without generations: each outcome makes room for the next candidate at once."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

from numpy.random import Generator

from glo.expr import Expr, parse
from glo.records import Outcome, generator
from glo.search.breeding import Breeding
from glo.search.config import GeneticConfig
from glo.search.protocol import Screen

CHILDREN = 50  # screened at once: one costs nearly as much; a few of them are viable and new


class SteadyStateSearch:
    """A population of which the worst makes room for what is better, one candidate at a time (docs/decisions/0014).

    It may be asked for one more candidate before the last ones are told, and is told one outcome at a time, in the order
    in which they come; so that asked and told in turns it is a `Search` like any other.  The first candidates are the first
    generation that `GeneticSearch` would ask for.  What is asked depends on the seed, on how many were asked before, and on
    what was told, in its order.

    Args:
        config, seed, screen: as for `GeneticSearch`; elites need no place of their own.
        generations: there are `generations * config.population` candidates.

    Raises:
        ConfigError: for `config.viable` without a screen.
    """

    def __init__(self, config: GeneticConfig, seed: int, generations: int, screen: Screen | None = None) -> None:
        self._size, self._seed = config.population, seed
        self._total = generations * config.population
        self._breeding = Breeding(config, screen)
        self._asked = self._told = 0
        self._first: list[Expr] = []
        self._next: deque[Expr] = deque()  # made, and not yet asked
        self._population: dict[Expr, float] = {}  # in the order of their outcomes
        self._worst: list[tuple[float, int, Expr]] = []  # the same as a heap; of equals the oldest is first

    @property
    def done(self) -> bool:
        return self._told >= self._total

    @property
    def exhausted(self) -> bool:
        """Whether all has been asked, if not yet told."""
        return self._asked >= self._total

    def ask(self) -> list[Expr]:
        if not self._next:
            self._next.extend(self._made(generator(self._seed, "candidate", self._asked)))
        self._asked += 1
        return [self._next.popleft()]

    def _made(self, rng: Generator) -> list[Expr]:
        """The next candidates.  To screen several at once is cheaper, and few of them will know less than if they were made
        one by one: as many at once as half of those under way, whose outcomes none of them knows.
        """
        if self._asked == 0:
            self._first = self._breeding.random(generator(self._seed, "generation", 0), self._size)
            return list(self._first)
        count = max(1, min(1 + (self._asked - self._told) // 2, self._total - self._asked))
        parents = self._population
        if len(parents) < self._size // 2:  # so many at once that few have come back: their children would be alike
            parents = dict.fromkeys(self._first, 1.0)
        return self._breeding.bred(rng, list(parents), list(parents.values()), count, at_once=min(CHILDREN, len(parents)))

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._told += 1
            expression = parse(outcome.expression)
            if expression in self._population:  # one of each: else copies of the best would soon be all there is
                continue
            self._population[expression] = outcome.fitness
            heapq.heappush(self._worst, (outcome.fitness, self._told, expression))
            if len(self._population) > self._size:
                _, _, worst = heapq.heappop(self._worst)
                del self._population[worst]
