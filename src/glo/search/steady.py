"""The genetic algorithm without generations: each outcome makes room for the next candidate at once."""

from __future__ import annotations

from collections.abc import Sequence

from glo.expr import Expr, parse
from glo.records import Outcome, generator
from glo.search.breeding import Breeding
from glo.search.config import GeneticConfig
from glo.search.search import Screen


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
        self._population: dict[Expr, float] = {}  # in the order of their outcomes

    @property
    def done(self) -> bool:
        return self._told >= self._total

    @property
    def exhausted(self) -> bool:
        """Whether all has been asked, if not yet told."""
        return self._asked >= self._total

    def ask(self) -> list[Expr]:
        number = self._asked
        self._asked += 1
        if number == 0:
            self._first = self._breeding.random(generator(self._seed, "generation", 0), self._size)
        if number < self._size:
            return [self._first[number]]
        rng = generator(self._seed, "candidate", number)
        if not self._population:  # so many at once that nothing has come back yet
            return self._breeding.random(rng, 1)
        return self._breeding.bred(rng, list(self._population), list(self._population.values()), 1)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._told += 1
            # One of each: else copies of the best would soon be all there is.
            self._population.setdefault(parse(outcome.expression), outcome.fitness)
            if len(self._population) > self._size:
                del self._population[min(self._population, key=self._population.__getitem__)]  # of equals the oldest
