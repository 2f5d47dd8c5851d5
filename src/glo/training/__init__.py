"""Training: `single` is the readable oracle, `population` the fast engine."""

from glo.training.device import choose_device
from glo.training.population import check_stackable, train_population
from glo.training.single import train_single
from glo.training.steps import BINS, Result, TimedOut, Training, TrainingResult, fresh_model

__all__ = [
    "BINS", "Result", "TimedOut", "Training", "TrainingResult", "check_stackable", "choose_device", "fresh_model",
    "train_population", "train_single",
]  # fmt: skip
