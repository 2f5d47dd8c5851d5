"""Train one network in plain PyTorch: the oracle that `population` must agree with, readable in a minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glo.catalog import resolve
from glo.expr import Expr
from glo.loss import ExpressionLoss, prior_of_loss
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Data, Split, Task, as_rows, fresh_model, random_state_restored
from glo.tasks.inputs import to_device
from glo.training.checkpoints import Earlier, checkpoints
from glo.training.feeding import feed
from glo.training.measurement import EVALUATION_BATCH, Measurement, final_result, fits_elsewhere, given_up, measure
from glo.training.model import as_logits, seed_dropout, use_channels_last
from glo.training.precision import autocast, matmul_precision
from glo.training.schedule import progress_at, rate_factor
from glo.training.weighting import check_options, row_weights, shares, trained_losses


@random_state_restored()
def train_single(
    task: Task,
    training: Training,
    config: TrainingConfig,
    seed: int,
    device: torch.device | str = "cpu",
    test: bool = False,
    on_step: Callable[[int], None] = lambda step: None,
    earlier: Earlier | None = None,
) -> TrainingResult:
    """Train one network with one loss.

    Args:
        task: model, data and metric.
        training: the loss and the learning rate (the ladder of `config` is not used).
        config: steps, batch size and so on.
        seed: the seed of initial weights, batches and dropout.
        device: the device to train on.
        test: whether to measure on the test split too.
        on_step: called after each step with the number of steps done.
        earlier: what earlier candidates had at the rungs, by step.
    """
    validation = task.split("validation")
    observed = task.split(config.curve_on) if config.curve_every else validation
    model = use_channels_last(fresh_model(task, seed).to(device), to_device(task.train.head.inputs, device))
    criterion = make_criterion(task, training.expression, config, device)
    optimizer = make_optimizer(model, training.learning_rate, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(config, step))
    checks = checkpoints(task, config, earlier)
    curve: list[tuple[int, float]] = []
    loss = torch.zeros(())

    with matmul_precision(config):
        seed_dropout(seed)
        model.train()
        for step, batch in enumerate(feed(task.train, config, seed, device)):
            if (check := checks.get(step)) is not None:
                early = evaluate_model(task, model, validation, device)
                if check.recorded and not early.diverged:
                    curve.append((step, early.score))
                if (reason := check.why_given_up(early)) is not None:
                    return given_up(early, reason, tuple(curve))
            optimizer.zero_grad()
            with autocast(config, device):
                outputs = as_logits(model(batch.inputs))
            loss = criterion(outputs, batch, progress_at(config, step))
            loss.backward()
            if config.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            schedule.step()
            on_step(step + 1)
            if config.curve_every and (step + 1) % config.curve_every == 0:
                fitted = evaluate_model(task, model, validation, device) if fits_elsewhere(task, config) else None
                curve.append((step + 1, evaluate_model(task, model, observed, device, fitted).score))

        on_validation = evaluate_model(task, model, validation, device, metrics=config.metrics)
        on_test = evaluate_model(task, model, task.split("test"), device, on_validation) if test else None
    return final_result(on_validation, bool(torch.isfinite(loss)), tuple(curve), on_test)


def make_optimizer(model: nn.Module, rate: float, config: TrainingConfig) -> torch.optim.Optimizer:
    """PyTorch's optimizer with the options of a configuration; what those do not say is as in PyTorch."""
    parameters, decay = model.parameters(), config.weight_decay
    match config.optimizer:
        case "sgd":
            return torch.optim.SGD(parameters, rate, config.momentum, weight_decay=decay, nesterov=config.nesterov)
        case "adam":
            return torch.optim.Adam(parameters, rate, config.betas, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(parameters, rate, config.betas, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, rate, config.alpha, weight_decay=decay, momentum=config.momentum)


def make_criterion(
    task: Task, expression: Expr | str, config: TrainingConfig, device: torch.device | str
) -> Callable[[Tensor, Split, float], Tensor]:
    """The loss of outputs (rows, C) for a batch, at some progress of the training from 0 to 1.

    It is an `ExpressionLoss` with the options of the task and of the training.

    With sample weights it is the weighted mean of its rows; ignored rows have none.
    """
    check_options(task, config)
    options: dict[str, Any] = {"class_reduction": config.class_reduction, "eps": config.eps, "link": task.link}
    options |= {**task.loss_options, "label_smoothing": config.label_smoothing}
    weighted = task.train.first.weights is not None or task.ignore_index is not None
    (trained,) = trained_losses(task, [resolve(expression)], config)
    prior = prior_of_loss(trained, task.link, task.prior)
    loss = ExpressionLoss(trained, reduction="none" if weighted else "mean", prior=prior, **options).to(device)

    def criterion(outputs: Tensor, batch: Split, progress: float) -> Tensor:
        loss.progress = progress
        found = loss(outputs, as_rows(batch.targets))
        weights = row_weights(task, batch) if weighted else None
        if weights is None:
            return found
        return (found.reshape(len(outputs), -1).mean(1) * shares(*weights)).sum()

    return criterion


def evaluate_model(
    task: Task,
    model: nn.Module,
    split: Data,
    device: torch.device | str = "cpu",
    validation: Measurement | None = None,
    metrics: Sequence[str] = (),
) -> Measurement:
    """Measure a model on a split, in evaluation mode; `validation` and `metrics` are those of `measure`."""
    was_training = model.training
    model.eval()
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    resident = split.to(device) if isinstance(split, Split) else split  # a split keeps its copy
    with torch.no_grad():
        for part in resident.parts(EVALUATION_BATCH):
            sent = part.to(device)
            outputs.append(as_logits(model(sent.inputs)))
            targets.append(sent.targets)
    model.train(was_training)
    return measure(task, torch.cat(targets), torch.cat(outputs), validation, metrics)
