"""Train several networks with one seed: as a population where that is faster, else one by one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import nn

from glo.errors import RAISED, ModelError, described
from glo.records import Failure, Result, Status, Training, TrainingConfig
from glo.tasks import Task
from glo.training.checkpoints import Earlier
from glo.training.memory import bytes_of_step
from glo.training.population import check_stackable, stacked_form, train_population
from glo.training.single import train_single
from glo.training.stacked import is_chain

logger = logging.getLogger("glo")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LARGE = 2**20  # bytes of a step of one network by vmap, above which one by one is faster (decision 10)
_trains_together: WeakKeyDictionary[Task, dict[tuple[str, int], bool]] = WeakKeyDictionary()  # by device type, batch size


def train_networks(
    task: Task,
    trainings: Sequence[Training],
    config: TrainingConfig,
    seed: int,
    device: torch.device | str = "cpu",
    test: bool = False,
    together: bool = True,
    earlier: Earlier | None = None,
) -> list[Result]:
    """Train one network for each of `trainings`; a training that raises an exception is a `Failure`.

    The other arguments are those of `train_single`.

    Args:
        together: whether to train them as one population; if that fails, they are trained one by one.
        earlier: what earlier candidates had at the rungs, by step.
    """
    if together:
        try:
            return list(train_population(task, trainings, config, seed, device, test, earlier))
        except RAISED as error:  # of whatever the model and the metric raise
            logger.warning("training a population failed, so its networks are trained one by one: %s", described(error))
    return [_train_one(task, training, config, seed, device, test, earlier) for training in trainings]


def _train_one(
    task: Task,
    training: Training,
    config: TrainingConfig,
    seed: int,
    device: torch.device | str,
    test: bool,
    earlier: Earlier | None,
) -> Result:
    try:
        return train_single(task, training, config, seed, device, test, earlier=earlier)
    except RAISED as error:  # of whatever the model and the metric raise
        return Failure(Status.CRASHED, described(error))


def trains_together(task: Task, device: torch.device | str, batch_size: int = TrainingConfig().batch_size) -> bool:
    """Whether a task's networks are trained as a population: its model can be stacked, and stacking is faster.

    On a CPU it is slower for a convolution, which becomes a grouped one, and for a large model that is no chain of layers
    (`LARGE`).
    """
    answers = _trains_together.setdefault(task, {})
    question = torch.device(device).type, batch_size
    if question not in answers:
        answers[question] = _stacks_well(task, *question)
    return answers[question]


def _stacks_well(task: Task, device_type: str, batch_size: int) -> bool:
    if task.streams:
        logger.info("task '%s' is read batch by batch, so its networks are trained one by one", task.name)
        return False
    if device_type == "cpu":
        model = stacked_form(task, seed=0)
        if any(isinstance(module, CONVOLUTIONS) for module in model.modules()):
            return False
        if not is_chain(model) and (size := bytes_of_step(model, task, batch_size)) > LARGE:
            logger.info(
                "a network of task '%s' takes %d KiB in a step, so they are trained one by one", task.name, size / 1024
            )
            return False
    try:
        check_stackable(task)
    except ModelError as error:
        logger.warning("%s", error)
        return False
    return True
