"""Judging candidates: the funnel of cheap checks, the cache, and the training behind them."""

from glo.evaluation.asynchronous import Asynchronous, Flowing, Stream
from glo.evaluation.checks import Check, DescentProbe, finite_derivative, probe_points, structure, viability
from glo.evaluation.evaluator import Evaluator, OnOutcomes, unheard
from glo.evaluation.funnel import Cached, Funnel, FunnelConfig, Screened, no_lookup
from glo.evaluation.training import LocalEvaluator

__all__ = [
    "Asynchronous", "Cached", "Check", "DescentProbe", "Evaluator", "Flowing", "Funnel", "FunnelConfig",
    "LocalEvaluator", "OnOutcomes", "Screened", "Stream", "finite_derivative", "no_lookup", "probe_points",
    "structure", "unheard", "viability",
]  # fmt: skip
