"""Comparisons of losses: the protocol, the baselines, the statistics, and the result."""

from glo.compare.comparison import Comparison, compare_losses
from glo.compare.config import ComparisonConfig
from glo.compare.judging import Judgement, Survey
from glo.compare.rows import ComparisonRow
from glo.compare.verdict import Finding, Verdict

__all__ = [
    "Comparison", "ComparisonConfig", "ComparisonRow", "Finding", "Judgement", "Survey", "Verdict", "compare_losses",
]  # fmt: skip
