"""Judging candidates: the funnel of cheap checks, the cache, and the training behind them."""

from glo.evaluation.checks import Check, DescentProbe, finite_derivative, probe_points, structure, viability
from glo.evaluation.evaluator import Evaluator
from glo.evaluation.funnel import Cached, Funnel, FunnelConfig, Screened, no_lookup
from glo.evaluation.local import LocalEvaluator

__all__ = [
    "Cached", "Check", "DescentProbe", "Evaluator", "Funnel", "FunnelConfig", "LocalEvaluator", "Screened",
    "finite_derivative", "no_lookup", "probe_points", "structure", "viability",
]  # fmt: skip
