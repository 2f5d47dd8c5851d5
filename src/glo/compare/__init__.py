"""Comparisons of losses: the protocol, the baselines, the statistics, and the result."""

from glo.compare.comparison import Comparison, compare_losses
from glo.compare.config import ComparisonConfig
from glo.compare.rows import ComparisonRow

__all__ = ["Comparison", "ComparisonConfig", "ComparisonRow", "compare_losses"]
