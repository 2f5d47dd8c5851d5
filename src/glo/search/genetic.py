"""The genetic algorithm of the paper (section III.A), as a `Search`."""

from __future__ import annotations

from collections.abc import Sequence

from numpy.random import Generator

from glo.expr import Expr
from glo.records import Origin, Outcome, generator
from glo.search.breeding import Breeding
from glo.search.config import GeneticConfig
from glo.search.ending import Ending
from glo.search.protocol import Screen


class GeneticSearch:
    """Each generation keeps the best trees, and breeds the others from parents selected by fitness.

    Args:
        config: the options; the defaults are the paper's.
        seed: the study's seed.
        generations: number of generations, unless `config.target` or `config.patience` ends the search before.
        screen: decides which expressions are worth a training; needed for `config.viable`.
        candidates: how many to ask for in all, if that ends the search before; the last generation is cut to what is left.

    Raises:
        ConfigError: for `config.viable` without a screen.
    """

    def __init__(
        self,
        config: GeneticConfig,
        seed: int,
        generations: int,
        screen: Screen | None = None,
        candidates: int | None = None,
    ) -> None:
        self._config = config
        self._seed = seed
        self._generations = generations
        self._left = candidates  # to ask for; None for no limit
        self._breeding = Breeding(config, screen)
        self._generation = 0
        self._population: list[Expr] = []
        self._fitnesses: list[float] = []
        self._ending = Ending(config)

    @property
    def done(self) -> bool:
        return self._generation >= self._generations or self._left == 0 or self._ending.reached

    def ask(self) -> list[Expr]:
        rng = generator(self._seed, "generation", self._generation)
        first = self._generation == 0
        if first:
            self._population = self._breeding.start() + self._breeding.random(rng, self._config.population)
        else:
            self._population = self._next(rng)
        if self._left is not None and self._left < len(self._population):  # the elites, which come first, are known already
            self._population = self._population[: self._left] if first else self._population[-self._left :]
        return list(self._population)

    def origin(self, expression: Expr) -> Origin | None:
        """How a candidate was made when it was first asked for."""
        return self._breeding.origin(expression)

    def tell(self, outcomes: Sequence[Outcome]) -> None:
        self._fitnesses = [outcome.fitness for outcome in outcomes]
        self._generation += 1
        if self._left is not None:
            self._left -= len(outcomes)
        self._ending.tell(outcomes, self._config.population)

    def _next(self, rng: Generator) -> list[Expr]:
        order = sorted(range(len(self._population)), key=lambda position: -self._fitnesses[position])
        elites = [self._population[position] for position in order[: self._config.elites]]
        wanted = self._config.population - len(elites)
        return elites + self._breeding.bred(rng, self._population, self._fitnesses, wanted)[:wanted]
