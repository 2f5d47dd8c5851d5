"""Where networks are trained: in this process, in forked ones, or on a cluster."""

from glo.execution.children import can_fork, spare_processes
from glo.execution.key import result_key
from glo.execution.local import ForkingExecutor, InlineExecutor, local_executor
from glo.execution.open import Where, check_jobs, open_executor, open_for
from glo.execution.protocol import Batch, Executor, Key, in_order, train
from glo.execution.rehearsal import rehearse_for
from glo.execution.trial import Trial
from glo.execution.work import is_population

__all__ = [
    "Batch", "Executor", "ForkingExecutor", "InlineExecutor", "Key", "Trial", "Where", "can_fork", "check_jobs", "in_order",
    "is_population", "local_executor", "open_executor", "open_for", "rehearse_for", "result_key", "spare_processes", "train",
]  # fmt: skip
