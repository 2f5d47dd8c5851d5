"""Check a case: all ways to train agree, and all ways to compute a loss.

Tolerances.  Scores may differ by 1e-4, values and gradients of a loss by 1e-4 of the largest in the batch: some hundred
roundings of float32 in another order.  A larger difference is a failure, unless the case is ill-conditioned: the oracle
itself changes by at least a tenth of the difference if the initial weights (or the outputs) change by a millionth, or if
the loss is computed in float64.  Such cases are set aside and counted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from glo.catalog import NAMED
from glo.errors import ModelError, TaskError
from glo.loss import PopulationLoss
from glo.records import Failure, Link, Training, TrainingResult
from glo.tasks import Task
from glo.training import train_networks, train_population, train_single

from .cases import Case, make_case
from .loops import SEED, exported_loss, matching, module_loss, seeded_model, tensors, train
from .modules import COUNTS_EVALUATIONS, KINDS

TOLERANCE = 1e-4
TOLERANCE_16_BITS = 0.01  # of a model's own outputs: one may be rounded to the next number
PERTURBATION = 1e-6
PROBES = 6
SMALL = 1e-3  # a gradient below it may be what is left of terms that cancel, and is compared with this number
MOVED = 4  # predictions that may lie in another bin of the histogram, counted where they are missing and where they are
Outcome = TrainingResult | str  # a string is the exception


@dataclass
class Report:
    """What a case showed.

    Attributes:
        seed: of the case.
        failures: what differs, and by how much.
        set_aside: differences of ill-conditioned trainings and losses.
        compared: comparisons that were made, those set aside included.
        facts: for the summary, e.g. "diverged".
    """

    seed: int
    failures: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    compared: int = 0
    facts: list[str] = field(default_factory=list)

    def compare(self, what: str, difference: float, tolerance: float, sensitivity: Callable[[], float]) -> None:
        """Note a difference above the tolerance; `sensitivity` is how much the oracle changes by itself."""
        self.compared += 1
        if difference <= tolerance:
            return
        own = sensitivity()
        if own >= difference / 10:
            self.set_aside.append(f"{what}: {difference:.3g}, and {own:.3g} by a small perturbation")
        else:
            self.failures.append(f"{what}: differs by {difference:.3g}, and by {own:.3g} by a small perturbation")


def check(seed: int) -> Report:
    case, report = make_case(seed), Report(seed)
    try:
        task = case.task()
    except TaskError as error:
        report.facts.append("task refused")
        if case.fits:
            report.failures.append(f"task refused: {error}")
        return report
    if not case.fits:
        report.failures.append("the task takes targets that do not fit its outputs")
        return report
    check_losses(case, report)
    check_trainings(case, task, report)
    return report


# Losses: value and gradient of one batch.


def check_losses(case: Case, report: Report) -> None:
    """Module, population and exported source agree on the first batch, and on extreme outputs."""
    inputs, targets = tensors(case, "train")
    inputs, targets = inputs[:16], targets[:16]
    try:
        with torch.random.fork_rng(), torch.no_grad():
            z = seeded_model(case, inputs).eval()(inputs)
    except (RuntimeError, ValueError) as error:
        report.facts.append(f"model fails: {error}")
        return
    for name, outputs in _outputs(case, z, targets):
        _check_batch(case, report, name, outputs, matching(z, targets))


def _outputs(case: Case, z: Tensor, targets: Tensor) -> Iterator[tuple[str, Tensor]]:
    generator = torch.Generator().manual_seed(case.seed)
    yield "first outputs", z
    spread = torch.randn(z.shape, generator=generator, dtype=torch.promote_types(z.dtype, torch.float32))
    size = 10 ** float(4 * torch.rand((), generator=generator))
    yield f"outputs of {size:.3g}", spread * size
    if case.link is Link.SOFTMAX and z.shape[1] > 2 and not targets.is_floating_point():
        masked = (targets.long()[:, None] + 1) % z.shape[1]
        yield "a masked class", spread.scatter(1, masked, -math.inf)


def _check_batch(case: Case, report: Report, name: str, z: Tensor, targets: Tensor) -> None:
    z = z.detach() if z.dtype == torch.float64 else z.detach().float()
    matrix = z.unsqueeze(1) if z.dim() == 1 else z
    labels = targets if case.link is Link.SOFTMAX else targets.reshape(len(targets), -1)
    labels = labels.to(z.dtype) if labels.is_floating_point() else labels.long()
    population = PopulationLoss(
        [training.expression for training in case.trainings], case.link, case.config.class_reduction, case.config.eps
    )
    many, indices = (
        matrix.expand(len(case.trainings), *matrix.shape),
        labels if labels.is_floating_point() else labels.long(),
    )
    values, gradients = population.value(many, indices), population.gradient(many, indices)
    for i, training in enumerate(case.trainings):
        module = module_loss(case, training)
        expected = _value_and_gradient(module, z, targets)
        ways = {
            "population": (values[i], gradients[i].reshape(z.shape)),
            "source": _value_and_gradient(exported_loss(case, training), z, targets),
        }
        if (own := pytorch_loss(case, training)) is not None:
            ways["PyTorch"] = _value_and_gradient(own, z, targets)
        for way, found in ways.items():
            report.compare(
                f"[{i}] {way} is not the module on {name}",
                _batch_difference(found, expected),
                TOLERANCE,
                lambda module=module, expected=expected: _batch_sensitivity(module, z, targets, expected),
            )


def pytorch_loss(case: Case, training: Training) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The loss of PyTorch that is the same, if there is one."""
    link, expression = case.link, training.expression

    def classwise(loss: Callable[..., Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        def value(z: Tensor, t: Tensor) -> Tensor:
            terms = loss(z, t.to(z.dtype), reduction="none").reshape(len(z), -1)
            return (terms.sum(1) if case.config.class_reduction == "sum" else terms.mean(1)).mean()

        return value

    if link is Link.SOFTMAX and expression == NAMED["cross_entropy"]:
        return lambda z, t: (
            functional.cross_entropy(z, t if t.is_floating_point() else t.long())
            / (1 if case.config.class_reduction == "sum" else z.shape[1])
        )
    if link is Link.SIGMOID and expression == NAMED["binary_cross_entropy"]:
        return classwise(functional.binary_cross_entropy_with_logits)
    if link is Link.IDENTITY and expression == NAMED["mse"]:
        return classwise(functional.mse_loss)
    return None


Batch = tuple[Tensor, Tensor]  # value, gradient


def _value_and_gradient(loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, targets: Tensor) -> Batch:
    z = z.clone().requires_grad_()
    value = loss(z, targets)
    gradient = torch.autograd.grad(value, z, allow_unused=True)[0] if value.requires_grad else None
    return value.detach(), torch.zeros_like(z) if gradient is None else gradient


def _batch_difference(found: Batch, expected: Batch) -> float:
    """Of value and gradient; where both values are NaN or infinite, the training has diverged whatever the gradient."""
    if not found[0].isfinite() and not expected[0].isfinite():
        return 0.0
    return max(_relative(a, b) for a, b in zip(found, expected, strict=True))


def _relative(found: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest number; infinite where only one of two is finite."""
    found, expected = found.double(), expected.double()
    finite = expected.isfinite()
    if not torch.equal(found.isfinite(), finite):
        return math.inf
    if not finite.any():
        return 0.0
    scale = expected[finite].abs().max().clamp_min(SMALL)
    return float((found - expected)[finite].abs().max() / scale)


def _batch_sensitivity(module: Callable[[Tensor, Tensor], Tensor], z: Tensor, targets: Tensor, expected: Batch) -> float:
    generator = torch.Generator().manual_seed(1)
    in_double = targets.double() if targets.is_floating_point() else targets
    found = [_value_and_gradient(module, z.double(), in_double)]
    for _ in range(PROBES):
        noise = torch.randn(z.shape, generator=generator, dtype=z.dtype)
        found.append(_value_and_gradient(module, z * (1 + PERTURBATION * noise), targets))
    return max(_batch_difference(one, expected) for one in found)


# Trainings.


def check_trainings(case: Case, task: Task, report: Report) -> None:
    oracle = [_outcome(lambda t=t: train_single(task, t, case.config, SEED, test=True)) for t in case.trainings]
    for outcome in oracle:
        if isinstance(outcome, str):
            report.facts.append("crashed")
        else:
            report.facts.append("diverged" if outcome.diverged else "stopped" if outcome.stopped else "trained")
    _check_population(case, task, oracle, report)
    i = case.seed % len(oracle)
    expected = oracle[i]
    same_forwards = not (case.config.early_stop and case.kind in COUNTS_EVALUATIONS)  # a loop here does not stop early
    if isinstance(expected, TrainingResult) and expected.test is not None and same_forwards:
        for way, make in (("module in a loop", module_loss), ("source in a loop", exported_loss)):
            training = case.trainings[i]
            found = _outcome(lambda make=make, training=training: train(case, training, make(case, training)))
            _compare(case, task, i, way, found, expected, report)


def _check_population(case: Case, task: Task, oracle: list[Outcome], report: Report) -> None:
    stackable = KINDS[case.kind].stackable
    try:
        found: list[Outcome] = list(train_population(task, case.trainings, case.config, SEED, test=True))
    except ModelError as error:
        report.facts.append("not stacked")
        if stackable and any(isinstance(outcome, TrainingResult) for outcome in oracle):
            report.failures.append(f"not stacked: {error}")
        _check_one_by_one(case, task, oracle, str(error), report)
        return
    except (RuntimeError, ValueError, ArithmeticError, IndexError, TypeError) as error:
        report.facts.append("population crashed")
        if any(isinstance(outcome, TrainingResult) for outcome in oracle):
            report.failures.append(f"the population raises {type(error).__name__}, the oracle does not: {error}")
        return
    if stackable is False:
        report.failures.append("a module that has its own state, or branches, is stacked")
    for i, outcome in enumerate(found):
        _compare(case, task, i, "population", outcome, oracle[i], report)


def _check_one_by_one(case: Case, task: Task, oracle: list[Outcome], message: str, report: Report) -> None:
    """`train_networks` says why it trains one by one, and gives the oracle's results."""
    with _warnings() as messages:
        result = train_networks(task, case.trainings[:1], case.config, SEED, test=True)[0]
    found = result.reason if isinstance(result, Failure) else result
    expected = oracle[0].splitlines()[0] if isinstance(oracle[0], str) else oracle[0]
    if repr(found) != repr(expected):  # repr, since NaN is not equal to itself
        report.failures.append(f"train_networks gives {found}, the oracle {expected}")
    if not any(message.splitlines()[0] in said for said in messages) or "cannot be trained as part" not in message:
        report.failures.append(f"train_networks says {messages}, not {message}")


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """The warnings that glo logs."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("glo")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _outcome(run: Callable[[], TrainingResult]) -> Outcome:
    try:
        return run()
    except (RuntimeError, ValueError, ArithmeticError, IndexError, TypeError) as error:
        return str(error) or type(error).__name__


def _compare(case: Case, task: Task, i: int, way: str, found: Outcome, expected: Outcome, report: Report) -> None:
    difference = result_difference(found, expected)
    report.compare(
        f"[{i}] {way} is not the oracle ({_short(found)} and {_short(expected)})",
        difference,
        TOLERANCE_16_BITS if "16" in case.kind else TOLERANCE,
        lambda: _sensitivity(case, task, case.trainings[i], expected),
    )


def _short(outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return f"error: {outcome.splitlines()[0][:150]}"
    flags = " diverged" * outcome.diverged + " stopped" * outcome.stopped
    return f"{outcome.validation:.6g}{flags}, curve {[round(score, 5) for _, score in outcome.curve]}, test {outcome.test}"


def result_difference(found: Outcome, expected: Outcome) -> float:
    """The largest difference of two scores; infinite if the trainings ended in another way."""
    if isinstance(found, str) or isinstance(expected, str):
        return 0.0 if isinstance(found, str) == isinstance(expected, str) else math.inf
    if (found.diverged, found.stopped, len(found.curve)) != (expected.diverged, expected.stopped, len(expected.curve)):
        return math.inf
    if [step for step, _ in found.curve] != [step for step, _ in expected.curve] or (found.test is None) != (
        expected.test is None
    ):
        return math.inf
    pairs = [
        (found.validation, expected.validation),
        (found.test or 0.0, expected.test or 0.0),
        *((one, other) for (_, one), (_, other) in zip(found.curve, expected.curve, strict=True)),
    ]
    scores = max(abs(one - other) / max(1.0, abs(other)) for one, other in pairs)
    if found.histogram and expected.histogram:
        moved = sum(abs(one - other) for one, other in zip(found.histogram, expected.histogram, strict=True))
        return max(scores, (moved > MOVED) * moved / max(1, sum(expected.histogram)))
    return scores


class InDouble(nn.Module):
    """A model whose loss is computed in float64."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        return self.model(inputs).double()


def _sensitivity(case: Case, task: Task, training: Training, expected: Outcome) -> float:
    """How much the oracle's result changes by perturbations of the initial weights, and in float64."""

    def perturbed(probe: int) -> nn.Module:
        model, generator = case.model(), torch.Generator().manual_seed(probe)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.mul_(1 + PERTURBATION * noise).add_(PERTURBATION * 0.1 * noise)
        return model

    factories: list[Callable[[], nn.Module]] = [
        lambda: InDouble(case.model()),
        *(lambda probe=probe: perturbed(probe) for probe in range(PROBES)),
    ]
    differences: list[float] = []
    for factory in factories:
        changed = Task(task.name, factory, task.train, task.validation, task.test, task.metric, task.link)
        outcome = _outcome(lambda changed=changed: train_single(changed, training, case.config, SEED, test=True))
        differences.append(result_difference(outcome, expected))
    return max(differences)
