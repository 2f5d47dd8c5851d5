from . import catalog, errors, expr, loss, tasks, testing
from .compare import Comparison, ComparisonConfig, compare_losses
from .execution import Trial
from .expr import Expr, parse
from .loss import ExpressionLoss, objective
from .study import (
    Callback,
    Study,
    StudyResult,
    discover,
    enumerate_losses,
    load_study,
    tune_coefficients,
)
from .tasks import Metric, Task, load_task
from .version import __version__ as __version__

__all__ = [
    "Callback", "Comparison", "ComparisonConfig", "Expr", "ExpressionLoss", "Metric", "Study", "StudyResult", "Task",
    "Trial", "__version__", "catalog", "compare_losses", "discover", "enumerate_losses", "errors", "expr", "load_study",
    "load_task", "loss", "objective", "parse", "tasks", "testing", "tune_coefficients",
]  # fmt: skip
