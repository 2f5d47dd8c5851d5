"""The training configuration of a task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from glo.records import Config, TrainingConfig, validated
from glo.tasks.definition import Task


class _Options(Config):
    """Makes messages name an option as users write it, e.g. training.steps."""

    training: TrainingConfig


def training_config(task: Task, overrides: Mapping[str, Any]) -> TrainingConfig:
    """The task's own training options with some values changed; None means unchanged.

    Raises:
        ConfigError: naming the option, for a bad value.
    """
    given = {key: value for key, value in overrides.items() if value is not None}
    return validated(_Options, {"training": {**task.training, **given}}).training
