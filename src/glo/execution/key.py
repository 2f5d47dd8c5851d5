"""The one key of all remembered values: the fitness of a loss, and the results of single trainings."""

from __future__ import annotations

from typing import Any

from glo.provenance import versions
from glo.records import LATER_OPTIONS, TrainingConfig, digest
from glo.tasks import Problem


def result_key(task: Problem, training: TrainingConfig, seed: int, device: str, **more: Any) -> str:
    """A digest of all that a training's result depends on: 16 hexadecimal digits.

    Args:
        task: its data, model and metric count (`Task.digest`).
        training: all options count but the limit of memory, which only decides in how many chunks networks are trained.
            An option that came later counts if it is used.
        seed: of initial weights, batches and dropout.
        device: only its kind counts; the machine does not.
        more: JSON-like; what else the remembered value depends on.
    """
    fields = TrainingConfig.model_fields
    unused = {name for name in LATER_OPTIONS if getattr(training, name) == fields[name].default}
    settings = training.model_dump(mode="json", exclude={"memory_mb", *unused})
    return digest([task.digest(), settings, seed, device.partition(":")[0], versions(), more])
