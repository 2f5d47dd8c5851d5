"""Where networks are trained: in this process, in forked ones, or on a cluster."""

from glo.execution.children import can_fork, spare_processes
from glo.execution.local import MakeTrainer, Trainer, Trains, TrainsInFlow, TrainsInParts, collect, each_seed
from glo.execution.place import Here, Where, trainers
from glo.execution.protocol import Flow, InChildren, InTurn

__all__ = [
    "Flow", "Here", "InChildren", "InTurn", "MakeTrainer", "Trainer", "Trains", "TrainsInFlow", "TrainsInParts", "Where",
    "can_fork", "collect", "each_seed", "spare_processes", "trainers",
]  # fmt: skip
