"""Check a case: the oracle, the population, and a user's loop with the module or the exported source agree."""

from __future__ import annotations

import dataclasses
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn

from glo.errors import ModelError, TaskError, described
from glo.loss import PopulationLoss
from glo.records import Failure, Training, TrainingResult
from glo.tasks import Task
from glo.training import train_networks, train_population, train_single

from .batches import check_losses, singular_at_clamp
from .cases import Case, make_case
from .loops import SEED, exported_loss, module_loss, train
from .modules import COUNTS_EVALUATIONS, KINDS
from .report import PERTURBATION, PROBES, TOLERANCE, Report

TOLERANCE_16_BITS, PERTURBATION_16_BITS = 0.01, 0.004  # for models that round their outputs, and gradients, to 16 bits
NEARLY_INFINITE = 1e20  # a loss, or a score such as R2
MOVED = 4  # predictions that may lie in another bin of the histogram, counted where they are missing and where they are
ERRORS = (RuntimeError, ValueError, ArithmeticError, IndexError, TypeError)
Outcome = TrainingResult | str  # a string is the exception


def checked(seed: int) -> Report:
    """Check a case; an exception is a failure too, so that the other cases run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about unusual modules
        try:
            return check(seed)
        except Exception as error:  # noqa: BLE001
            return Report(seed, failures=[f"{type(error).__name__}: {error}"])


def check(seed: int) -> Report:
    case, report = make_case(seed), Report(seed)
    try:
        task = case.task()
    except TaskError as error:
        report.facts.append("task refused")
        if case.fits and "all samples of train have the same class" not in str(error):
            report.failures.append(f"task refused: {error}")
        return report
    if not case.fits:
        report.failures.append("the task takes targets that do not fit its outputs")
        return report
    if "ignore_index" not in case.options:  # there, the labels are the raw ones
        check_losses(case, report)
    check_trainings(case, task, report)
    return report


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
    in_loop = same_forwards and not case.weighted  # tests/training/test_weighting.py has loops with weights
    if isinstance(expected, TrainingResult) and expected.test is not None and in_loop:
        training, by_module = case.trainings[i], case.seed % 2 == 0
        loss_function = (module_loss if by_module else exported_loss)(case, training)
        found = _outcome(lambda: train(case, task, training, loss_function))
        _compare(case, task, i, "module in a loop" if by_module else "source in a loop", found, expected, report)


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
    except ERRORS as error:
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
    found = result.reason.partition(" (in ")[0] if isinstance(result, Failure) else result
    expected = oracle[0]
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
    except ERRORS as error:
        return described(error).partition(" (in ")[0]  # without the place


def _compare(case: Case, task: Task, i: int, way: str, found: Outcome, expected: Outcome, report: Report) -> None:
    in_16_bits, training = "16" in case.kind, case.trainings[i]
    if in_16_bits and isinstance(found, TrainingResult):  # many predictions are on the bounds of bins
        found = dataclasses.replace(found, histogram=None)

    def sensitivity() -> float:
        if isinstance(expected, TrainingResult) and _diverges_in_part(expected):
            return math.inf
        of_oracle = _sensitivity(case, task, training, expected)
        if way != "population":
            return of_oracle
        if _leaves_domain(case, task, training):
            return math.inf
        return max(of_oracle, _overflow(case, task, i, found), singular_at_clamp(case, training))

    report.compare(
        f"[{i}] {way} is not the oracle ({_short(found)} and {_short(expected)})",
        result_difference(found, expected),
        sensitivity,
        TOLERANCE_16_BITS if in_16_bits else TOLERANCE,
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
    if found.diverged:
        return 0.0
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
        far = moved > MOVED and not _by_one_bin(found.histogram, expected.histogram)
        return max(scores, far * moved / max(1, sum(expected.histogram)))
    return scores


def _diverges_in_part(result: TrainingResult) -> bool:
    """Whether the outputs overflow on one split and not on another, or are about to: then they are huge."""
    scores = [score for score in (result.test, *(score for _, score in result.curve)) if score is not None]
    return not result.diverged and (0 in scores or max(map(abs, [result.validation, *scores])) > NEARLY_INFINITE)


def _by_one_bin(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether every prediction moved by one bin at most, as many equal predictions on a bound of a bin do."""
    bins = [[number for number, count in enumerate(histogram) for _ in range(count)] for histogram in (one, other)]
    return len(bins[0]) == len(bins[1]) and all(abs(a - b) <= 1 for a, b in zip(*bins, strict=True))


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
        size = PERTURBATION_16_BITS if "16" in case.kind else PERTURBATION
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.mul_(1 + size * noise).add_(size * 0.1 * noise)
        return model

    factories: list[Callable[[], nn.Module]] = [
        lambda: InDouble(case.model()),
        *(lambda probe=probe: perturbed(probe) for probe in range(PROBES)),
    ]
    differences: list[float] = []
    for factory in factories:
        changed = case.task(factory)
        outcome = _outcome(lambda changed=changed: train_single(changed, training, case.config, SEED, test=True))
        differences.append(result_difference(outcome, expected))
    return max(differences)


class LossInDouble(PopulationLoss):
    """Computes the losses of a population in float64."""

    def gradient(self, z: Tensor, target: Tensor, weights: Tensor | float = 1.0, shares: Tensor | None = None) -> Tensor:
        return super().gradient(z.double(), _double(target), weights, shares).to(z.dtype)

    def value(self, z: Tensor, target: Tensor, shares: Tensor | None = None) -> Tensor:
        return super().value(z.double(), _double(target), shares)


def _double(target: Tensor) -> Tensor:
    return target.double() if target.is_floating_point() else target


def _leaves_domain(case: Case, task: Task, training: Training) -> bool:
    """Whether the loss of a step is NaN, infinite or about to be: then it has no derivative, and each engine has its own."""
    losses: list[float] = []
    loss_function = module_loss(case, training)

    def watched(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = loss_function(outputs, targets)
        losses.append(float(loss.detach()))
        return loss

    train(case, task, training, watched)
    return not all(abs(loss) < NEARLY_INFINITE for loss in losses)


def _overflow(case: Case, task: Task, i: int, found: Outcome) -> float:
    """How much the population's i-th result changes if the losses are computed in float64."""
    with patch("glo.training.population.PopulationLoss", LossInDouble):
        outcome = _outcome(lambda: train_population(task, case.trainings, case.config, SEED, test=True)[i])
    return result_difference(outcome, found)
