"""Is early stopping fair to a task?  Only if the standard loss is above chance by then."""

from __future__ import annotations

import logging

from glo.catalog import STANDARD
from glo.execution import Batch, Executor, train
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Problem, Task
from glo.training.schedule import depends_on_length, early_stop_step

logger = logging.getLogger("glo")


def fair_early_stop(task: Problem, training: TrainingConfig, seed: int, executor: Executor) -> TrainingConfig:
    """The training, without early stopping if the standard loss would be stopped at every learning rate.

    A task whose networks start slowly would otherwise seem to have no loss that trains.

    Args:
        executor: with nothing under way.
    """
    if not isinstance(task, Task):
        return training
    step = early_stop_step(task, training)
    if step is None:
        return training
    watched = _watched(training, step)
    trainings = [Training(STANDARD[task.link], rate) for rate in training.learning_rates]
    results = train(executor, Batch(task, watched, trainings, [seed] * len(trainings)))
    if any(isinstance(result, TrainingResult) and _score(result) > task.chance() for result in results):
        return training
    logger.warning("early stopping is off: after %d of %d steps the standard loss is at chance too", step, training.steps)
    return training.model_copy(update={"early_stop": 0.0})


def _watched(training: TrainingConfig, step: int) -> TrainingConfig:
    """A training that shows the metric after so many steps: it ends there, unless its schedule depends on its length."""
    if depends_on_length(training):
        return training.whole.model_copy(update={"curve_every": step, "curve_on": "validation"})
    return training.whole.model_copy(update={"steps": step, "curve_every": 0})


def _score(result: TrainingResult) -> float:
    return result.curve[0][1] if result.curve else result.validation
