"""Training: `single` is the readable oracle, `population` the fast engine."""

from glo.training.device import choose_device
from glo.training.flow import Flow, InChildren, InTurn
from glo.training.plan import BINS, Result, TimedOut, Training, TrainingResult, fresh_model
from glo.training.population import check_stackable, train_population
from glo.training.processes import can_fork, spare_processes
from glo.training.single import train_single
from glo.training.trainer import MakeTrainer, Trainer, Trains, TrainsInFlow, TrainsInParts, collect, each_seed

__all__ = [
    "BINS", "Flow", "InChildren", "InTurn", "MakeTrainer", "Result", "TimedOut", "Trainer", "Training", "TrainingResult",
    "Trains", "TrainsInFlow", "TrainsInParts", "can_fork", "check_stackable", "choose_device", "collect", "each_seed",
    "fresh_model", "spare_processes", "train_population", "train_single",
]  # fmt: skip
