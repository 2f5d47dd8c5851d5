"""Check the losses of a case on single batches: module, population and exported source agree in value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from glo.catalog import NAMED
from glo.expr import derivative
from glo.loss import PopulationLoss
from glo.records import Link, Training

from .cases import Case
from .loops import LossFunction, exported_loss, matching, module_loss, seeded_model, tensors
from .report import PERTURBATION, PROBES, Report

SMALL = 1e-3  # a gradient below it may be what is left of terms that cancel, and is compared with this number
HUGE = 1e20  # what is above it, infinite or NaN is the same to a training, and depends on the order of products in float32
Batch = tuple[Tensor, Tensor]  # value, gradient


def check_losses(case: Case, report: Report) -> None:
    """Compare all losses on the outputs of the fresh model and on extreme ones."""
    inputs, targets = (part[:16] for part in tensors(case, "train"))
    try:
        with torch.random.fork_rng(), torch.no_grad():
            z = seeded_model(case, inputs).eval()(inputs)
    except (RuntimeError, ValueError) as error:
        report.facts.append(f"model fails: {error}")
        return
    for name, outputs in _outputs(case, z, targets):
        _check_batch(case, report, name, outputs, matching(z, targets))


def _outputs(case: Case, z: Tensor, targets: Tensor) -> Iterator[tuple[str, Tensor]]:
    z = z if z.dtype == torch.float64 else z.float()
    yield "first outputs", z
    generator = torch.Generator().manual_seed(case.seed)
    spread = torch.randn(z.shape, generator=generator, dtype=z.dtype)
    if case.seed % 3 == 0:
        size = 10 ** float(4 * torch.rand((), generator=generator))
        yield f"outputs of {size:.3g}", spread * size
    if case.seed % 3 == 1 and case.link is Link.SOFTMAX and z.shape[1] > 2 and not targets.is_floating_point():
        masked = (targets.long()[:, None] + 1) % z.shape[1]
        yield "a masked class", spread.scatter(1, masked, -math.inf)


def _check_batch(case: Case, report: Report, name: str, z: Tensor, targets: Tensor) -> None:
    population = _population(case, z, targets)
    for i, training in enumerate(case.trainings):
        module = module_loss(case, training)
        expected = _value_and_gradient(module, z, targets)
        ways = {"source": exported_loss(case, training), "PyTorch": pytorch_loss(case, training)}
        found = {way: _value_and_gradient(loss, z, targets) for way, loss in ways.items() if loss is not None}
        for way, batch in {"population": population[i], **found}.items():
            report.compare(
                f"[{i}] {way} is not the module on {name}",
                _difference(batch, expected),
                lambda way=way, module=module, expected=expected, i=i: max(
                    _sensitivity(module, z, targets, expected),
                    _difference(_population(case, z.double(), targets)[i], population[i]) if way == "population" else 0.0,
                    singular_at_clamp(case, case.trainings[i]) if way == "population" else 0.0,
                ),
            )


def singular_at_clamp(case: Case, training: Training) -> float:
    """Infinite if the loss has no finite derivative at a clamped prediction.

    There the population multiplies it by 0, which is NaN, and autograd has a mask.  Such a loss fails the funnel's check of
    the derivative.
    """
    if case.link is Link.IDENTITY:
        return 0.0
    y = np.array([case.config.eps, 1 - case.config.eps], np.float32)[:, None]
    return 0.0 if np.isfinite(derivative(training.expression, np.linspace(0, 1, 11), y)).all() else math.inf


def _population(case: Case, z: Tensor, targets: Tensor) -> list[Batch]:
    """Value and gradient of each of the case's losses, as a population computes them."""
    config, expressions = case.config, [training.expression for training in case.trainings]
    loss = PopulationLoss(expressions, case.link, config.class_reduction, config.eps)
    outputs = z.reshape(len(z), -1).expand(len(expressions), -1, -1)
    labels = targets.reshape(len(z), -1).to(z.dtype) if targets.is_floating_point() else targets.long()
    values, gradients = loss.value(outputs, labels), loss.gradient(outputs, labels)
    return [(value, gradient.reshape(z.shape)) for value, gradient in zip(values, gradients, strict=True)]


def pytorch_loss(case: Case, training: Training) -> LossFunction | None:
    """The loss of PyTorch that is the same, if there is one."""
    link, expression, mean = case.link, training.expression, case.config.class_reduction == "mean"

    def by_class(loss: Callable[..., Tensor]) -> LossFunction:
        def value(z: Tensor, targets: Tensor) -> Tensor:
            terms = loss(z, targets.to(z.dtype), reduction="none").reshape(len(z), -1)
            return (terms.mean(1) if mean else terms.sum(1)).mean()

        return value

    def cross_entropy(z: Tensor, targets: Tensor) -> Tensor:
        value = functional.cross_entropy(z, targets.to(z.dtype) if targets.is_floating_point() else targets.long())
        return value / z.shape[1] if mean else value

    if link is Link.SOFTMAX and expression == NAMED["cross_entropy"]:
        return cross_entropy
    if link is Link.SIGMOID and expression == NAMED["binary_cross_entropy"]:
        return by_class(functional.binary_cross_entropy_with_logits)
    if link is Link.IDENTITY and expression == NAMED["mse"]:
        return by_class(functional.mse_loss)
    return None


def _value_and_gradient(loss: LossFunction, z: Tensor, targets: Tensor) -> Batch:
    z = z.detach().clone().requires_grad_()
    value = loss(z, targets)
    return value.detach(), torch.autograd.grad(value, z)[0]


def _difference(found: Batch, expected: Batch) -> float:
    """Of value and gradient; where both values are NaN or infinite, the training has diverged whatever the gradient."""
    if not found[0].isfinite() and not expected[0].isfinite():
        return 0.0
    return max(_relative(one, other) for one, other in zip(found, expected, strict=True))


def _relative(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest number; infinite where only one has numbers beyond `HUGE`."""
    found, expected = found.double(), expected.double()
    beyond = [not bool((numbers.abs() < HUGE).all()) for numbers in (found, expected)]
    if any(beyond):
        return 0.0 if all(beyond) else math.inf
    return float((found - expected).abs().max() / expected.abs().max().clamp_min(SMALL))


def _sensitivity(module: LossFunction, z: Tensor, targets: Tensor, expected: Batch) -> float:
    """How much the module changes in float64, and by perturbations of the outputs."""
    generator = torch.Generator().manual_seed(1)
    found = [_value_and_gradient(module, z.double(), targets)]
    for _ in range(PROBES):
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
        found.append(_value_and_gradient(module, z * (1 + PERTURBATION * noise), targets))
    return max(_difference(one, expected) for one in found)
