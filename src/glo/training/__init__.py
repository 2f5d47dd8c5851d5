"""Training: `single` is the readable oracle, `population` the fast engine."""

from glo.training.plan import BINS, Result, Training, TrainingResult, fresh_model
from glo.training.population import check_stackable, train_population
from glo.training.processes import can_fork, spare_processes
from glo.training.single import train_single
from glo.training.trainer import Trainer, Trains

__all__ = [
    "BINS", "Result", "Trainer", "Training", "TrainingResult", "Trains", "can_fork", "check_stackable",
    "fresh_model", "spare_processes", "train_population", "train_single",
]  # fmt: skip
