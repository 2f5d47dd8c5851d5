"""A rehearsal: a few steps through all of the user's code, so that its errors are shown before a search begins."""

from __future__ import annotations

import torch
from torch import nn

from glo.catalog import STANDARD
from glo.errors import RAISED, GloError, TaskError, UserCodeError
from glo.records import TrainingConfig
from glo.tasks import Split, Task, fresh_model, random_state_restored
from glo.tasks.inputs import to_device
from glo.training.feeding import feed
from glo.training.model import as_logits, seed_dropout, use_channels_last
from glo.training.precision import autocast, matmul_precision
from glo.training.single import evaluate_model, make_criterion

STEPS = 2
SAMPLES = 200  # of the validation split


@random_state_restored()
def rehearse(task: Task, config: TrainingConfig, device: torch.device | str = "cpu") -> None:
    """Train a network with the standard loss for a few steps, and measure it.

    A training of a candidate that raises an exception is a failed candidate.  An exception here is an error of the model or
    of the metric, whatever the loss.

    Raises:
        UserCodeError: caused by that exception.
        TaskError: if the metric does not return a number, or no parameter can be trained.
    """
    doing = "the model fails in training"
    try:
        with matmul_precision(config):
            model = use_channels_last(fresh_model(task, 0).to(device), to_device(task.train.head.inputs, device)).train()
            if not any(parameter.requires_grad for parameter in model.parameters()):
                raise TaskError(f"task '{task.name}': the model has no parameter that can be trained")
            criterion = make_criterion(task, STANDARD[task.link], config, device)
            seed_dropout(0)
            for batch in feed(task.train, config.model_copy(update={"steps": STEPS}), 0, device):
                model.zero_grad()
                with autocast(config, device):
                    outputs = as_logits(model(batch.inputs))
                criterion(outputs, batch, 0.0).backward()
                _step(model, config.learning_rates[0])
            doing = "the metric fails"
            _measure(task, model.eval(), device)
    except GloError:
        raise
    except RAISED as error:
        raise UserCodeError.of(error, f"task '{task.name}': {doing}") from error


@torch.no_grad()
def _measure(task: Task, model: nn.Module, device: torch.device | str) -> None:
    """Measure the model on some samples; on all if that fails, since the metric may need a sample of each class."""
    validation = task.validation
    some = validation[:: -(-len(validation) // SAMPLES)] if isinstance(validation, Split) else validation.first
    try:
        evaluate_model(task, model, some, device)
        return
    except GloError:
        raise
    except RAISED:
        pass
    evaluate_model(task, model, validation, device)


@torch.no_grad()
def _step(model: nn.Module, rate: float) -> None:
    """A step of SGD; the first `torch.optim` of a process would import modules for a second."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter -= rate * parameter.grad
