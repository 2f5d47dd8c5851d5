from .averaging import SeedAverage, averaged
from .cache import Cache, MemoryCache
from .checks import Check, finite_derivative, probe_points, structure, structure_for
from .descent import DescentProbe
from .funnel import Funnel, stages_of
from .patience import fair_early_stop
from .properties import constraint_check, constraints_of, lacking
from .protocol import Evaluator, evaluate
from .training import TrainingEvaluator
from .viability import viability

__all__ = [
    "Cache", "Check", "DescentProbe", "Evaluator", "Funnel", "MemoryCache", "SeedAverage", "TrainingEvaluator", "averaged",
    "constraint_check", "constraints_of", "evaluate", "fair_early_stop", "finite_derivative", "lacking", "probe_points",
    "stages_of", "structure", "structure_for", "viability",
]  # fmt: skip
