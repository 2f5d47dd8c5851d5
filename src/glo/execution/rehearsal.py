"""The rehearsal of a task in a child process: code that hangs, or ends its process, is met here before a study begins."""

from __future__ import annotations

import logging

from glo.errors import UserCodeError
from glo.execution.children import Died, Overdue, can_fork, in_processes
from glo.execution.local import TIME_LIMIT
from glo.execution.protocol import Executor
from glo.records import TrainingConfig
from glo.tasks import Objective, Problem, Split, Task
from glo.training import local_device, rehearse

logger = logging.getLogger("glo")


def rehearse_for(executor: Executor, task: Problem, config: TrainingConfig, time_limit: float | None = None) -> None:
    """Train a network with the standard loss for a few steps, on the executor's device if this machine has it.

    Args:
        time_limit: seconds after which the child process is killed; by default an hour.

    Raises:
        UserCodeError, TaskError: as `glo.training.rehearse`, or if the training hangs or ends its process.
    """
    if isinstance(task, Objective):  # its first trial shows its errors
        return
    _check_batches(task, config)
    device = local_device(executor.device)
    if not can_fork(device):
        rehearse(task, config, device)
        return
    try:
        ((_, found),) = in_processes(lambda _: rehearse(task, config, device), [None], 1, time_limit or TIME_LIMIT)
    except UserCodeError as error:
        error.add_note(error.trace)  # the exception itself has stayed in the child
        raise
    if isinstance(found, (Died, Overdue)):
        raise UserCodeError(f"task '{task.name}': a training of a few steps with the standard loss fails: {found}")


def _check_batches(task: Task, config: TrainingConfig) -> None:
    """Say so if each batch is all of the training data."""
    if isinstance(task.train, Split) and len(task.train) < config.batch_size:
        logger.info(
            "task '%s': train has %d samples, fewer than training.batch_size=%d, so each batch is all of them",
            task.name, len(task.train), config.batch_size,
        )  # fmt: skip
