"""Which way to train: together where that is faster, else one by one."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import nn

from glo.errors import ModelError
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training.plan import Training, TrainingResult, fresh_model
from glo.training.population import check_stackable, train_population
from glo.training.single import train_single

logger = logging.getLogger("glo")
FAILURES = (
    RuntimeError,
    ValueError,
    ArithmeticError,
    IndexError,
    TypeError,
)  # what PyTorch and a model raise, out of memory included
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Trainer:
    """Trains networks of one task, in the way that suits its model and the device.

    Args:
        task: model and data.
        config: how; the ladder of learning rates is not used, each training has its own.
        device: where.
    """

    def __init__(self, task: Task, config: TrainingConfig, device: torch.device | str = "cpu") -> None:
        self._task, self._config, self._device = task, config, device
        self._together = worth_stacking(task, device)

    def train(self, trainings: Sequence[Training], seed: int, test: bool = False) -> list[TrainingResult | str]:
        """A result for each training, in order, or in words why there is none.

        Raises:
            TaskError: if `test` is asked of a task without a test split.
        """
        if test:
            self._task.split("test")  # misuse is an error, not a failed training
        if self._together and len(trainings) > 1:
            try:
                return list(train_population(self._task, trainings, self._config, seed, self._device, test))
            except FAILURES as error:
                logger.warning("training together failed, now one by one: %s", _first_line(error))
        return [self._one(training, seed, test) for training in trainings]

    def _one(self, training: Training, seed: int, test: bool) -> TrainingResult | str:
        try:
            return train_single(self._task, training, self._config, seed, self._device, test)
        except FAILURES as error:
            return _first_line(error)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def worth_stacking(task: Task, device: torch.device | str) -> bool:
    """Whether to train networks together: the model can be stacked, and is not a convolutional network on a CPU.

    A convolution already fills a CPU by itself; stacked, it becomes a grouped convolution, which is slower there.
    """
    model = fresh_model(task, seed=0)
    if torch.device(device).type == "cpu" and any(isinstance(module, CONVOLUTIONS) for module in model.modules()):
        return False
    try:
        check_stackable(task, model)
    except ModelError as error:
        logger.warning("%s", error)
        return False
    return True
