"""A training as a user of PyTorch would write it: with the seed's weights, batches and dropout, and nothing else of glo."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glo.loss import ExpressionLoss, source
from glo.records import Link, Training, TrainingConfig, TrainingResult, derive_seed
from glo.tasks import Task
from glo.training.model import use_channels_last

from .cases import Case

LossFunction = Callable[[Tensor, Tensor], Tensor]
SEED = 5  # of the trainings; what is random about a case comes from its own seed
PREDICT = {
    Link.SOFTMAX: lambda z: torch.softmax(z, 1),
    Link.SIGMOID: torch.sigmoid,
    Link.IDENTITY: lambda z: z,
}


def module_loss(case: Case, training: Training) -> LossFunction:
    """`ExpressionLoss`, called with outputs and targets as the model and the data give them."""
    config, ignored = case.config, {name: number for name, number in case.options.items() if name == "ignore_index"}
    return ExpressionLoss(
        training.expression, class_reduction=config.class_reduction, eps=config.eps, link=case.link, **ignored
    )


def exported_loss(case: Case, training: Training) -> LossFunction:
    """The exported function, which takes matrices of float32 or float64 and indices of int64."""
    options: dict[str, Any] = {"link": case.link, "class_reduction": case.config.class_reduction, "eps": case.config.eps}
    namespace: dict[str, Any] = {}
    exec(source(training.expression, "torch", **options), namespace)  # noqa: S102 - running the exported code is the test

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        outputs = outputs if outputs.dtype == torch.float64 else outputs.float()
        outputs = outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
        return namespace["loss"](outputs, targets if targets.is_floating_point() else targets.long())

    def with_shapes(outputs: Tensor, targets: Tensor) -> Tensor:
        return loss(outputs, targets.unsqueeze(1) if case.link is not Link.SOFTMAX and targets.dim() == 1 else targets)

    return with_shapes


def tensors(case: Case, split: str, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A split as tensors: inputs in a floating dtype; targets too, but for class indices."""
    inputs, targets = (torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in case.splits[split])
    by_index = case.link is Link.SOFTMAX and not targets.is_floating_point()
    return inputs.to(dtype), targets if by_index else targets.to(dtype)


def seeded_model(case: Case, inputs: Tensor) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(SEED, "init"))
        model = case.model()
    return use_channels_last(model, inputs)


def epochs(samples: int, config: TrainingConfig) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(derive_seed(SEED, "batches"))
    size = min(config.batch_size, samples)
    while True:
        yield from torch.randperm(samples, generator=generator)[: samples - samples % size].split(size)


def matching(outputs: Tensor, targets: Tensor) -> Tensor:
    """Labels in the shape of the outputs, (N) or (N, 1)."""
    return targets.reshape(outputs.shape) if targets.numel() == outputs.numel() and targets.is_floating_point() else targets


OPTIMIZERS: dict[str, Any] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
}


def optimizer_options(config: TrainingConfig) -> dict[str, Any]:
    if config.optimizer == "sgd":
        return {"momentum": config.momentum, "nesterov": config.nesterov}
    if config.optimizer == "rmsprop":
        return {"momentum": config.momentum, "alpha": config.alpha}
    return {"betas": config.betas}


def rate_factor(config: TrainingConfig, step: int) -> float:
    """The factor of the learning rate at a step; 1 is the first."""
    rising = round(config.warmup * config.steps)
    rise = step / rising if step < rising else 1.0
    falling = max(0.0, (step - 1 - rising) / max(1, config.steps - rising))
    if isinstance(config.schedule, str):
        return rise * (float(np.cos(np.pi * falling / 2)) ** 2 if config.schedule == "cosine" else 1 - falling)
    return rise * float(np.prod([factor for start, factor in config.schedule if step > start]))


def train(case: Case, task: Task, training: Training, loss_function: LossFunction) -> TrainingResult:
    """Without early stopping, and without a histogram."""
    config = case.config
    inputs, targets = tensors(case, "train")
    model = seeded_model(case, inputs)
    optimizer = OPTIMIZERS[config.optimizer](
        model.parameters(), lr=training.learning_rate, weight_decay=config.weight_decay, **optimizer_options(config)
    )
    curve: list[tuple[int, float]] = []
    loss = torch.zeros(())

    def score(split: str) -> float | None:
        model.eval()
        with torch.no_grad():
            outputs = model(tensors(case, split)[0]).to(torch.promote_types(torch.float32, outputs_dtype))
        model.train()
        outputs = outputs.unsqueeze(1) if outputs.dim() == 1 else outputs
        predictions, masked = PREDICT[case.link](outputs), (outputs == -torch.inf) & (case.link is Link.SOFTMAX)
        if not ((outputs.isfinite() | masked).all() and predictions.isfinite().all()):
            return None
        found = task.score(predictions, task.split(split).targets)
        return float(found) if np.isfinite(found) else None

    outputs_dtype = torch.float32
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(SEED, "dropout"))
        model.train()
        for step, batch in zip(range(1, config.steps + 1), epochs(len(inputs), config), strict=False):
            for group in optimizer.param_groups:
                group["lr"] = training.learning_rate * rate_factor(config, step)
            optimizer.zero_grad()
            outputs = model(inputs[batch])
            outputs_dtype = outputs.dtype
            loss = loss_function(outputs, matching(outputs, targets[batch]))
            loss.backward()
            if config.clip_norm:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            if config.curve_every and step % config.curve_every == 0:
                curve.append((step, score(config.curve_on) or 0.0))
        validation, test = score("validation"), score("test")
    if validation is None or not loss.isfinite():
        return TrainingResult(0.0, diverged=True, curve=tuple(curve), test=0.0)
    return TrainingResult(validation, curve=tuple(curve), test=test or 0.0)
