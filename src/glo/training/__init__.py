"""Training: `single` is the readable oracle, `population` the fast engine."""

from glo.training.plan import Training, TrainingResult, fresh_model
from glo.training.population import check_stackable, train_population
from glo.training.single import train_single
from glo.training.trainer import Trainer

__all__ = [
    "Trainer", "Training", "TrainingResult", "check_stackable", "fresh_model", "train_population", "train_single",
]  # fmt: skip
