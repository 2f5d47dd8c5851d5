from .definition import Task
from .factory import fresh_model
from .fitting import Data
from .inputs import Inputs
from .metrics import Metric, MetricFunction
from .named_metrics import METRICS
from .objective import Objective, Scores
from .parametrised_metrics import cost_metric, f_beta_metric, pinball_metric
from .problem import Problem, as_problem
from .randomness import random_state_restored
from .registry import describe_task, load_objective, load_task, task_names
from .shapes import as_matrix, as_rows
from .source import TaskSource
from .split import Split
from .stream import Stream
from .training import training_config
from .variants import with_first_samples, with_label_noise, with_long_tail, with_metric, with_train_fraction

__all__ = [
    "METRICS", "Data", "Inputs", "Metric", "MetricFunction", "Objective", "Problem", "Scores", "Split", "Stream", "Task",
    "TaskSource", "as_matrix", "as_problem", "as_rows", "cost_metric", "describe_task", "f_beta_metric", "fresh_model",
    "load_objective", "load_task", "pinball_metric",
    "random_state_restored", "task_names", "training_config", "with_first_samples", "with_label_noise",
    "with_long_tail", "with_metric", "with_train_fraction",
]  # fmt: skip
