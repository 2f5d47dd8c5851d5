"""Optimizers, schedules and clipping: the population agrees with `torch.optim`, number by number and as a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from glo.catalog import NAMED
from glo.errors import ModelError
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task, fresh_model
from glo.training import train_networks, train_population, train_single
from glo.training.optimizers import StackedOptimizer, clip_factors, updates_in_backward
from glo.training.parameters import SGDOptions, StackedParameter
from glo.training.population import _Population
from glo.training.schedule import rate_factor
from glo.training.single import make_optimizer
from training_tasks import TASKS, classification, mlp, regression, trainings

STEPS = 15
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "sgd with momentum": {"momentum": 0.9, "weight_decay": 0.05},
    "nesterov": {"momentum": 0.8, "nesterov": True, "weight_decay": 0.05},
    "adam": {"optimizer": "adam"},
    "adam with decay": {"optimizer": "adam", "weight_decay": 0.1, "betas": (0.8, 0.95)},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "rmsprop": {"optimizer": "rmsprop"},
    "rmsprop with momentum": {"optimizer": "rmsprop", "momentum": 0.7, "weight_decay": 0.05, "alpha": 0.9},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "steps": {"schedule": ((4, 0.5), (9, 0.1))},
    "cosine": {"schedule": "cosine"},
    "linear": {"schedule": "linear", "warmup": 0.25},
}
CLIPPING: dict[str, dict[str, Any]] = {"not clipped": {}, "clipped": {"clip_norm": 0.5}}


def config_of(optimizer: str, schedule: str = "constant", clipping: str = "not clipped", **more: Any) -> TrainingConfig:
    options = {**OPTIMIZERS[optimizer], **SCHEDULES[schedule], **CLIPPING[clipping], **more}
    return TrainingConfig.model_validate({"steps": STEPS, "batch_size": 20, **options})


# The optimizer alone, on given gradients


class Free(nn.Module):
    """Parameters of several shapes, one of which gets no gradient."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        for name, shape in {"scalar": (), "vector": (4,), "matrix": (3, 2), "unused": (2,)}.items():
            self.register_parameter(name, nn.Parameter(torch.randn(shape, generator=generator)))


def gradients(step: int, rates: Sequence[float]) -> list[dict[str, Tensor]]:
    """The gradients of each network in a step: short and long ones."""
    generator = torch.Generator().manual_seed(step)
    draw = lambda shape, row: 10.0 ** (row % 4 - 2) * torch.randn(shape, generator=generator)  # noqa: E731
    return [{"scalar": draw((), row), "vector": draw((4,), row), "matrix": draw((3, 2), row)} for row in range(len(rates))]


def alone(config: TrainingConfig, rates: Sequence[float]) -> list[list[Tensor]]:
    """Each network's parameters after all steps, by PyTorch."""
    found: list[list[Tensor]] = []
    for row, rate in enumerate(rates):
        model = Free()
        optimizer = make_optimizer(model, rate, config)
        for step in range(config.steps):
            for group in optimizer.param_groups:
                group["lr"] = rate * rate_factor(config, step)
            for name, gradient in gradients(step, rates)[row].items():
                model.get_parameter(name).grad = gradient.clone()
            if config.clip_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
        found.append([parameter.detach() for parameter in model.parameters()])
    return found


@pytest.mark.parametrize("clipping", CLIPPING)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("networks", [1, 7])
def test_the_stacked_optimizer_does_what_torch_does(networks: int, optimizer: str, schedule: str, clipping: str) -> None:
    config = config_of(optimizer, schedule, clipping)
    rates = [0.003 * 1.7**row for row in range(networks)]
    names = [name for name, _ in Free().named_parameters()]
    parameters = [StackedParameter(p, networks, SGDOptions(deferred=True)) for p in Free().parameters()]
    stacked = StackedOptimizer(config, parameters, torch.tensor(rates))
    kept = list(range(networks))
    for step in range(config.steps):
        if step == 6 and networks > 1:  # some networks are given up
            kept = [0, 2, 5]
            rows = torch.tensor(kept)
            for parameter in parameters:
                parameter.select(rows)
            stacked.select(rows)
        given = gradients(step, rates)
        for name, parameter in zip(names, parameters, strict=True):
            if name != "unused":
                parameter.update(torch.stack([given[row][name] for row in kept]), factor=math.nan)
        stacked.begin_step(step)
        stacked.step()
    expected = alone(config, rates)
    for i, parameter in enumerate(parameters):
        torch.testing.assert_close(parameter.value, torch.stack([expected[row][i] for row in kept]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1e30])
def test_a_gradient_that_overflows_is_the_affair_of_its_network(optimizer: str, wrong: float) -> None:
    config = config_of(optimizer, clipping="clipped")
    values: list[Tensor] = []
    for first in (wrong, 0.3):
        parameter = StackedParameter(torch.ones(4), 3, SGDOptions(deferred=True))
        stacked = StackedOptimizer(config, [parameter], torch.tensor([0.1, 0.2, 0.3]))
        for step in range(3):
            parameter.update(torch.tensor([[0.1] * 4, [first] * 4, [0.7] * 4]), factor=1.0)
            stacked.begin_step(step)
            stacked.step()
        values.append(parameter.value)
    assert torch.equal(values[0][[0, 2]], values[1][[0, 2]])
    assert not torch.equal(values[0][1], values[1][1])


def test_each_network_is_clipped_by_its_own_norm() -> None:
    given = [torch.tensor([[[3.0], [0.0]], [[0.3], [0.0]]]), torch.tensor([4.0, 0.4])]  # norms 5 and 0.5
    torch.testing.assert_close(clip_factors(given, 1.0), torch.tensor([1 / (5 + 1e-6), 1.0]))


# Schedules


def rates_by_torch(schedule: Callable[[Any], torch.optim.lr_scheduler.LRScheduler], steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
    scheduler, found = schedule(optimizer), list[float]()
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        ({"schedule": "cosine"}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20)),
        ({"schedule": "linear"}, lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, 20)),
        ({"schedule": ((5, 0.5), (12, 0.5))}, lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [5, 12], 0.5)),
        ({"warmup": 0.2}, lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.25, 1.0, 3)),
        (
            {"warmup": 0.2, "schedule": "cosine"},
            lambda o: torch.optim.lr_scheduler.SequentialLR(
                o,
                [
                    torch.optim.lr_scheduler.LinearLR(o, 0.25, 1.0, 3),
                    torch.optim.lr_scheduler.CosineAnnealingLR(o, 16),
                ],
                [4],
            ),
        ),
    ],
    ids=["cosine", "linear", "steps", "warm-up", "warm-up and cosine"],
)
def test_schedules_are_those_of_torch(options: dict[str, Any], schedule: Any) -> None:
    config = TrainingConfig.model_validate({"steps": 20, **options})
    assert [rate_factor(config, step) for step in range(20)] == pytest.approx(rates_by_torch(schedule, 20), abs=1e-9)


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_every_step_has_a_learning_rate(steps: int, schedule: str, warmup: float) -> None:
    config = TrainingConfig.model_validate({"steps": steps, "schedule": schedule, "warmup": warmup})
    assert all(0 < rate_factor(config, step) <= 1 for step in range(steps))


# Whole trainings


def projection(predictions: Tensor, targets: Tensor) -> Tensor:
    """A metric that shows a small difference of any prediction."""
    weights = 1.5 + torch.sin(torch.arange(predictions.numel(), dtype=torch.float64)).reshape(predictions.shape)
    return (predictions.double().tanh() * weights).mean().abs()


def with_projection(name: str) -> Task:
    task = TASKS[name]()
    vars(task)["metric"] = projection
    return task


def slow(task: Task) -> list[Training]:
    """Trainings at rates at which a rounding error does not grow; an odd number of networks."""
    members = trainings(task.link)
    return [Training(m.expression, min(m.learning_rate, 0.005)) for m in members[: len(members) - 1 + len(members) % 2]]


def assert_close(found: Sequence[TrainingResult], expected: Sequence[TrainingResult]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert (one.diverged, one.stopped, len(one.curve)) == (other.diverged, other.stopped, len(other.curve))
        assert one.validation == pytest.approx(other.validation, rel=1e-4, abs=1e-4)
        assert [score for _, score in one.curve] == pytest.approx([score for _, score in other.curve], rel=1e-4, abs=1e-4)


# Not here: a bias before a normalisation, whose gradient is what rounding leaves of 0, and which Adam makes a step of.
MODELS = ["mlp", "cnn, a chain", "cnn with dropout", "tied", "own parameter", "layer norm", "regression"]


@pytest.mark.parametrize(
    ("schedule", "clipping"),
    [("constant", "clipped"), ("steps", "not clipped"), ("cosine", "clipped"), ("linear", "not clipped")],
)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_population_is_single_for_each(name: str, optimizer: str, schedule: str, clipping: str) -> None:
    task = with_projection(name)
    members, config = slow(task), config_of(optimizer, schedule, clipping, curve_every=5)
    expected = [train_single(task, member, config, seed=4) for member in members]
    assert_close(train_population(task, members, config, seed=4), expected)
    assert len({result.validation for result in expected}) == len(members) % 2 + len(members) - 1


@pytest.mark.parametrize("clipping", CLIPPING)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_parts_of_a_large_parameter_are_updated_alike(
    optimizer: str, clipping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, rates = config_of(optimizer, clipping=clipping, steps=3), torch.tensor([0.1, 0.2, 0.3])
    found: list[Tensor] = []
    for part in (8, 10**6):  # two of three networks, and all of them
        monkeypatch.setattr("glo.training.optimizers.PART", part)
        parameter = StackedParameter(torch.ones(4), 3, SGDOptions(deferred=True))
        stepped = StackedOptimizer(config, [parameter], rates)
        for step in range(3):
            parameter.update(torch.linspace(-1, 1, 12).reshape(3, 4) + step, 1.0)
            stepped.begin_step(step)
            stepped.step()
        found.append(parameter.value)
    assert torch.equal(*found)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_results_one_by_one_are_those_of_a_population(optimizer: str) -> None:
    task, config = with_projection("cnn, a chain"), config_of(optimizer, "cosine", "clipped")
    members = slow(task)
    alone: Any = train_networks(task, members, config, seed=4, together=False)
    together: Any = train_networks(task, members, config, seed=4)
    assert_close(together, alone)


@pytest.mark.parametrize("name", ["mlp", "layer norm"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_goes_with_the_networks_that_are_kept(optimizer: str, name: str) -> None:
    """Early stopping removes networks in the middle of a training."""
    task = TASKS[name]()
    fast = 0.1 if OPTIMIZERS[optimizer].get("optimizer", "sgd") == "sgd" else 0.01
    rates = [1e-9, fast, 1e-9, fast / 2, 2 * fast, 1e-9, 3 * fast]
    losses = ["cross_entropy", "cross_entropy", "mse", "baikal", "brier", "cross_entropy", "cross_entropy"]
    members = [Training(NAMED[loss], rate) for loss, rate in zip(losses, rates, strict=True)]
    config = config_of(optimizer, "linear", steps=40, early_stop=0.5, curve_every=5)
    expected = [train_single(task, member, config, seed=4) for member in members]
    assert {result.stopped for result in expected} == {True, False}
    assert_close(train_population(task, members, config, seed=4), expected)


@pytest.mark.parametrize("clipping", CLIPPING)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_network_that_diverges_does_not_affect_the_others(optimizer: str, clipping: str) -> None:
    task, config = regression(2), config_of(optimizer, "cosine", clipping, curve_every=5)
    healthy, wild = slow(task), Training(NAMED["mse"], 1e30)
    without = train_population(task, healthy, config, seed=1)
    found = train_population(task, [healthy[0], wild, *healthy[1:]], config, seed=1)
    assert_close([found[0], *found[2:]], without)
    assert found[1].diverged
    assert train_single(task, wild, config, seed=1).diverged


@pytest.mark.parametrize("optimizer", ["nesterov", "adamw", "rmsprop"])
def test_bfloat16_is_close_to_float32(optimizer: str) -> None:
    task = with_projection("mlp")
    for float32, bfloat16 in zip(
        *(
            train_population(task, slow(task), config_of(optimizer, precision=precision, clip_norm=0.5), seed=2)
            for precision in ("float32", "bfloat16")
        ),
        strict=True,
    ):
        assert bfloat16.validation == pytest.approx(float32.validation, abs=0.01)


class SometimesUsed(nn.Module):
    """Uses a parameter in every second forward pass in training; the order is kept outside of the model."""

    calls: list[int] = []  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = mlp(), nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.calls.append(1)
        outputs = self.first(inputs)
        return outputs + self.second(inputs) if len(self.calls) % 2 == 0 else outputs


def test_a_parameter_that_is_used_in_some_steps_only_needs_networks_of_its_own() -> None:
    """In PyTorch, Adam counts the steps of each parameter."""
    task = classification(SometimesUsed)
    population = _Population(task, fresh_model(task, 0), slow(task), config_of("adam"), 0, "cpu")
    with pytest.raises(ModelError, match="in some steps only"):
        population.train(test=False)


# Captured steps: what a CUDA graph replays


class Recorded(TorchDispatchMode):
    """Records all operations, and replays them on the same tensors, as a CUDA graph does: what Python computes is fixed."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self._operations.append((func, args, kwargs or {}, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, result in self._operations:
            again = func(*args, **kwargs)
            before, after = (each if isinstance(each, tuple | list) else [each] for each in (result, again))
            for place, value in zip(before, after, strict=True):
                if isinstance(place, Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)


class RecordedStep:
    """Stands in for `CapturedStep` on a CPU."""

    count = 0

    def __init__(self, device: object) -> None:
        self._recorded: Recorded | None = None
        self._batch = torch.empty(0)
        self._calls = 0

    def __call__(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        self._calls += 1
        if self._recorded is not None:
            self._batch.copy_(batch)
            self._recorded.replay()
            RecordedStep.count += 1
        elif self._calls < 3:
            step(batch)
        else:
            self._recorded, self._batch = Recorded(), batch.clone()
            with self._recorded:
                step(self._batch)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "linear"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["mlp", "regression", "own parameter"])
def test_a_captured_step_can_be_replayed(name: str, optimizer: str, schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = with_projection(name)
    members, config = slow(task), config_of(optimizer, schedule, "clipped", curve_every=5)
    expected = train_population(task, members, config, seed=3)
    monkeypatch.setattr("glo.training.population.CapturedStep", RecordedStep)
    monkeypatch.setattr("glo.loss.program.has_arrays", lambda tensor: False)  # as on a GPU
    monkeypatch.setattr(RecordedStep, "count", 0)
    found = train_population(task, members, config, seed=3)
    assert RecordedStep.count == STEPS - 4  # all but three before, and the last
    assert_close(found, expected)


def test_on_a_gpu_no_number_of_a_captured_step_changes_from_step_to_step() -> None:
    smooth = config_of("sgd with momentum", "cosine")
    assert updates_in_backward(smooth, "cpu")
    assert not updates_in_backward(smooth, "cuda")
    assert updates_in_backward(config_of("sgd with momentum", "steps"), "cuda")
