"""Train one network in plain PyTorch: the oracle that `population` must agree with, readable in a minute."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glo.loss import ExpressionLoss
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Split, Task, fresh_model, random_state_restored
from glo.training.measurement import EVALUATION_BATCH, Measurement, final_result, measure
from glo.training.model import as_matrix, seed_dropout, use_channels_last
from glo.training.precision import autocast, matmul_precision
from glo.training.schedule import batches, early_stop_step, rate_factor


@random_state_restored()
def train_single(
    task: Task,
    training: Training,
    config: TrainingConfig,
    seed: int,
    device: torch.device | str = "cpu",
    test: bool = False,
    on_step: Callable[[int], None] = lambda step: None,
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
    """
    train, validation = task.split("train").to(device), task.split("validation").to(device)
    observed = task.split(config.curve_on).to(device) if config.curve_every else validation
    model = use_channels_last(fresh_model(task, seed).to(device), train.inputs)
    loss_function = ExpressionLoss(
        training.expression, class_reduction=config.class_reduction, eps=config.eps, link=task.link
    )
    optimizer = make_optimizer(model, training.learning_rate, config)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(config, step))
    check_at = early_stop_step(task, config)
    curve: list[tuple[int, float]] = []
    loss = torch.zeros(())

    with matmul_precision(config):
        seed_dropout(seed)
        model.train()
        for step, batch in enumerate(batches(len(train), config, seed, device)):
            if step == check_at:
                early = evaluate_model(task, model, validation)
                if early.score <= task.chance():
                    return TrainingResult(early.score, early.diverged, stopped=not early.diverged, curve=tuple(curve))
            optimizer.zero_grad()
            with autocast(config, device):
                outputs = as_matrix(model(train.inputs[batch]))
            loss = loss_function(outputs, train.targets[batch])
            loss.backward()
            if config.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            schedule.step()
            on_step(step + 1)
            if config.curve_every and (step + 1) % config.curve_every == 0:
                curve.append((step + 1, evaluate_model(task, model, observed).score))

        on_validation = evaluate_model(task, model, validation)
        on_test = evaluate_model(task, model, task.split("test").to(device)) if test else None
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


def evaluate_model(task: Task, model: nn.Module, split: Split) -> Measurement:
    """Measure a model on a split, in evaluation mode."""
    was_training = model.training
    model.eval()
    outputs: list[Tensor] = []
    with torch.no_grad():
        for part in split.inputs.split(EVALUATION_BATCH):
            outputs.append(as_matrix(model(part)))  # noqa: PERF401 - a plain loop reads better
    model.train(was_training)
    return measure(task, split, torch.cat(outputs))
