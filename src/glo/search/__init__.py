"""Searches: they suggest expressions and learn from their outcomes; they never see a network, data or a machine."""

from glo.search.coefficients import CoefficientConfig, CoefficientSearch, tuned_positions
from glo.search.config import PAPER_WEIGHTS, GeneticConfig, fitting
from glo.search.enumeration import (
    EnumerationConfig,
    EnumerationSearch,
    all_trees,
    count_trees,
    enumerable,
    trees_by_size,
)
from glo.search.generate import Elements
from glo.search.genetic import GeneticSearch
from glo.search.protocol import KnowsOrigins, Screen, Search
from glo.search.selection import roulette, tournament
from glo.search.shortlist import Shortlist
from glo.search.steady import SteadyStateSearch
from glo.search.variation import crossover, mutate

__all__ = [
    "PAPER_WEIGHTS", "CoefficientConfig", "CoefficientSearch", "Elements", "EnumerationConfig", "EnumerationSearch",
    "GeneticConfig", "GeneticSearch", "KnowsOrigins", "Screen", "Search", "Shortlist", "SteadyStateSearch", "all_trees",
    "count_trees", "crossover", "enumerable", "fitting", "mutate", "roulette", "tournament", "trees_by_size",
    "tuned_positions",
]  # fmt: skip
