"""Tasks: a model, its data and a metric; built in or the user's own."""

from glo.tasks.definition import Split, Task, TaskSource
from glo.tasks.metrics import METRICS, Metric
from glo.tasks.registry import describe_task, load_task, task_names
from glo.tasks.variants import with_first_samples, with_label_noise, with_train_fraction

__all__ = [
    "METRICS", "Metric", "Split", "Task", "TaskSource", "describe_task", "load_task", "task_names", "with_first_samples",
    "with_label_noise", "with_train_fraction",
]  # fmt: skip
