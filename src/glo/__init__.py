"""glo discovers loss functions for neural networks: Genetic Loss-function Optimization (Gonzalez and Miikkulainen 2020).

`import glo` loads neither torch nor numpy; each name below is imported when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glo.compare import Study, compare_losses
    from glo.expr import Expr, parse
    from glo.loss import ExpressionLoss
    from glo.study import Discovery, discover, enumerate_losses, tune_coefficients
    from glo.tasks import Task, load_task

__version__ = "0.1.0"
__all__ = [
    "Discovery", "Expr", "ExpressionLoss", "Study", "Task", "compare_losses", "discover", "enumerate_losses", "load_task",
    "parse", "tune_coefficients",
]  # fmt: skip

_HOMES = {
    "Expr": "glo.expr",
    "parse": "glo.expr",
    "ExpressionLoss": "glo.loss",
    "Task": "glo.tasks",
    "load_task": "glo.tasks",
    "discover": "glo.study",
    "Discovery": "glo.study",
    "enumerate_losses": "glo.study",
    "tune_coefficients": "glo.study",
    "Study": "glo.compare",
    "compare_losses": "glo.compare",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in ("expr", "catalog", "loss", "tasks", "errors"):
        return importlib.import_module(f"glo.{name}")
    raise AttributeError(f"module 'glo' has no attribute '{name}'")
