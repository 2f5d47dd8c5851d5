from . import catalog, errors, expr, loss, tasks, testing, trackers
from .compare import Comparison, ComparisonConfig, compare_losses
from .execution import Trial
from .expr import Expr, parse
from .loss import ExpressionLoss, objective, unit_gradient
from .study import (
    Callback,
    Study,
    StudyResult,
    discover,
    enumerate_losses,
    load_study,
    tune_coefficients,
)
from .tasks import Metric, Task, cost_metric, f_beta_metric, load_task, pinball_metric
from .version import __version__ as __version__

__all__ = [
    "Callback", "Comparison", "ComparisonConfig", "Expr", "ExpressionLoss", "Metric", "Study", "StudyResult", "Task",
    "Trial", "__version__", "catalog", "compare_losses", "cost_metric", "discover", "enumerate_losses", "errors", "expr",
    "f_beta_metric", "load_study", "load_task", "loss", "objective", "parse", "pinball_metric", "tasks", "testing",
    "trackers", "tune_coefficients", "unit_gradient",
]  # fmt: skip
