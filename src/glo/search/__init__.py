"""Searches: they ask for expressions and are told outcomes; they never see a network, data or a machine."""

from glo.search.config import PAPER_WEIGHTS, GeneticConfig
from glo.search.generate import Elements
from glo.search.genetic import GeneticSearch
from glo.search.search import Screen, Search
from glo.search.selection import roulette, tournament
from glo.search.variation import crossover, mutate

__all__ = [
    "PAPER_WEIGHTS", "Elements", "GeneticConfig", "GeneticSearch", "Screen", "Search", "crossover", "mutate", "roulette",
    "tournament",
]  # fmt: skip
