"""The genetic algorithm without generations: the population changes with each outcome."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence

from numpy.random import Generator

from glo.expr import Expr, parse
from glo.records import Origin, Outcome, generator
from glo.search.breeding import Breeding
from glo.search.config import GeneticConfig
from glo.search.ending import Ending
from glo.search.protocol import Screen

CHILDREN = 50  # to screen in one call, which costs hardly more than one child; only a few are viable and new


class SteadyStateSearch:
    """Each outcome enters the population, and the worst member leaves it (docs/decisions/0014-steady-state.md).

    `ask` returns one candidate, and may be called again before the outcomes of earlier candidates are told (until
    `exhausted`); outcomes are told one by one, in the order of their arrival.  If `ask` and `tell` are called in turns, this
    is an ordinary `Search`.  The first candidates are the first generation of `GeneticSearch`.  `ask` depends on the seed,
    on the number of candidates asked for, and on the outcomes told so far, in their order.

    Args:
        config, seed, screen: as for `GeneticSearch`; `config.elites` is not used.
        candidates: how many to ask for in all, unless `config.target` or `config.patience` ends the search before.

    Raises:
        ConfigError: for `config.viable` without a screen.
    """

    def __init__(self, config: GeneticConfig, seed: int, candidates: int, screen: Screen | None = None) -> None:
        self._size, self._seed = config.population, seed
        self._total = candidates
        self._breeding = Breeding(config, screen)
        self._ending = Ending(config)
        self._asked = self._told = 0
        self._first: list[Expr] = []
        self._next: deque[Expr] = deque()  # candidates that are made but not yet asked for
        self._population: dict[Expr, float] = {}  # fitness by expression, in the order of arrival
        self._worst: list[tuple[float, int, Expr]] = []  # the population as a heap: the worst first, then the oldest

    @property
    def done(self) -> bool:
        return self._told >= self._total or self._ending.reached

    @property
    def exhausted(self) -> bool:
        """Whether all candidates have been asked for; some of their outcomes may be pending."""
        return self._asked >= self._total

    def ask(self) -> list[Expr]:
        if not self._next:
            self._next.extend(self._made(generator(self._seed, "candidate", self._asked)))
        self._asked += 1
        return [self._next.popleft()]

    def _made(self, rng: Generator) -> list[Expr]:
        """Make the next candidates, several in one call, because screening a batch is cheaper.

        A candidate that is made early misses the outcomes that arrive before it is asked for.  In a batch of about half as
        many candidates as are pending, these are few compared with the pending outcomes, which it misses anyway.
        """
        if self._asked == 0:
            self._first = self._breeding.start()
            self._first += self._breeding.random(generator(self._seed, "generation", 0), self._size)
            return list(self._first)
        count = max(1, min(1 + (self._asked - self._told) // 2, self._total - self._asked))
        parents = self._population
        if len(parents) < self._size // 2:  # few outcomes have arrived yet, and children of few parents would be alike
            parents = dict.fromkeys(self._first, 1.0)
        return self._breeding.bred(rng, list(parents), list(parents.values()), count, at_once=min(CHILDREN, len(parents)))

    def origin(self, expression: Expr) -> Origin | None:
        """How a candidate was made when it was first asked for."""
        return self._breeding.origin(expression)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._ending.tell([outcome], 1)
            self._told += 1
            expression = parse(outcome.expression)
            if expression in self._population:  # no duplicates: copies of the best would soon fill the population
                continue
            self._population[expression] = outcome.fitness
            heapq.heappush(self._worst, (outcome.fitness, self._told, expression))
            if len(self._population) > self._size:
                _, _, worst = heapq.heappop(self._worst)
                del self._population[worst]
