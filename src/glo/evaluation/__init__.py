"""Judging candidates: the funnel of cheap checks, the cache, and the training behind them."""

from glo.evaluation.asynchronous import Asynchronous, InChildren, InTurn, Stream, on_this_machine
from glo.evaluation.checks import Check, DescentProbe, finite_derivative, probe_points, structure, viability
from glo.evaluation.evaluator import Evaluator
from glo.evaluation.funnel import Cached, Funnel, FunnelConfig, Screened, no_lookup
from glo.evaluation.local import LocalEvaluator

__all__ = [
    "Asynchronous", "Cached", "Check", "DescentProbe", "Evaluator", "Funnel", "FunnelConfig", "InChildren", "InTurn",
    "LocalEvaluator", "Screened", "Stream", "finite_derivative", "no_lookup",
    "on_this_machine", "probe_points", "structure", "viability",
]  # fmt: skip
