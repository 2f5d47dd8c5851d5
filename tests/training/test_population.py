"""The population engine agrees with single training."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from glo.catalog import NAMED
from glo.errors import ModelError
from glo.expr import parse
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Task, fresh_model
from glo.training import check_stackable, train_population, train_single
from glo.training.memory import chunk_size
from training_tasks import CLASSES, CONFIGS, TASKS, classification, clusters, cnn, mlp, regression, soft, trainings


def assert_same(found: TrainingResult, expected: TrainingResult) -> None:
    """The results are equal, up to rounding in another order of summation."""
    assert (found.diverged, found.stopped) == (expected.diverged, expected.stopped)
    assert found.validation == pytest.approx(expected.validation, rel=1e-4, abs=1e-4)
    assert found.test == (None if expected.test is None else pytest.approx(expected.test, rel=1e-4, abs=1e-4))
    assert [step for step, _ in found.curve] == [step for step, _ in expected.curve]
    assert [score for _, score in found.curve] == pytest.approx([score for _, score in expected.curve], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # of vmap, about attention: slow but right
def test_population_is_single_for_each(name: str, config: TrainingConfig) -> None:
    task = TASKS[name]()
    members = trainings(task.link)
    found = train_population(task, members, config, seed=4, test=True)
    expected = [train_single(task, member, config, seed=4, test=True) for member in members]
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    # The test would show a difference: the networks differ, and with early stopping some stop and some do not.
    assert len({result.validation for result in expected}) > 1
    if config.early_stop and name == "mlp":
        assert {result.stopped for result in expected} == {True, False}
        assert {len(result.curve) for result in expected} == {1, 3}


def test_the_test_split_is_measured_only_if_asked_for() -> None:
    task = classification(mlp)
    members = trainings(task.link)[:2]
    assert [result.test for result in train_population(task, members, CONFIGS["plain"], seed=0)] == [None, None]
    assert train_single(task, members[0], CONFIGS["plain"], seed=0).test is None


def test_no_trainings_give_no_results() -> None:
    assert train_population(classification(mlp), [], CONFIGS["plain"], seed=0) == []


DIVERGING = Training(NAMED["mse"], 1e20)


def test_a_network_that_diverges_does_not_affect_the_others() -> None:
    task, config = regression(2), TrainingConfig(steps=15, batch_size=20, momentum=0.5, curve_every=5)
    healthy = trainings(task.link)
    alone = train_population(task, healthy, config, seed=1, test=True)
    with_it = train_population(task, [healthy[0], DIVERGING, *healthy[1:]], config, seed=1, test=True)
    for found, expected in zip([with_it[0], *with_it[2:]], alone, strict=True):
        assert_same(found, expected)
    diverged = with_it[1]
    assert (diverged.diverged, diverged.stopped, diverged.validation) == (True, False, 0.0)
    assert_same(diverged, train_single(task, DIVERGING, config, seed=1, test=True))


@pytest.mark.parametrize("shape", [(6,), (1, 6, 6)], ids=["mlp", "cnn"])
def test_a_loss_of_nan_does_not_affect_the_others(shape: tuple[int, ...]) -> None:
    task, config = classification(mlp if len(shape) == 1 else cnn, shape), CONFIGS["everything"]
    healthy = trainings(task.link)[:3]
    nan = Training(parse("x*y*log(0 - 1)"), 0.1)
    alone = train_population(task, healthy, config, seed=1)
    with_it = train_population(task, [nan, *healthy], config, seed=1)
    for found, expected in zip(with_it[1:], alone, strict=True):
        assert_same(found, expected)
    assert (with_it[0].diverged, with_it[0].stopped, with_it[0].validation) == (True, False, 0.0)
    assert_same(with_it[0], train_single(task, nan, config, seed=1))


def test_training_ends_when_all_networks_are_stopped_early() -> None:
    task, config = classification(mlp), TrainingConfig(steps=50, batch_size=20, early_stop=0.1, curve_every=1)
    results = train_population(task, [Training(NAMED["linear"], 1e-9)] * 2, config, seed=2, test=True)
    assert [(result.stopped, result.diverged, result.test, len(result.curve)) for result in results] == [
        (True, False, None, 5)
    ] * 2


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_chunks_give_the_same_results(config: TrainingConfig) -> None:
    task = classification(lambda: mlp(hidden=4000))
    members = trainings(task.link)
    tight = config.model_copy(update={"memory_mb": 2})
    assert chunk_size(fresh_model(task, 0), task, config, memory=2 * 2**20) < len(members)
    whole = train_population(task, members, config, seed=4, test=True)
    chunked = train_population(task, members, tight, seed=4, test=True)
    for found, expected in zip(chunked, whole, strict=True):
        assert_same(found, expected)


class As(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.to(self.dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
@pytest.mark.parametrize("kind", [classification, lambda model: soft(classification(model))], ids=["hard", "soft"])
def test_outputs_of_another_dtype(kind: Callable[[Callable[[], nn.Module]], Task], dtype: torch.dtype) -> None:
    task = kind(lambda: nn.Sequential(mlp(), As(dtype)))
    member = Training(NAMED["cross_entropy"], 0.1)
    found = train_population(task, [member], CONFIGS["plain"], seed=0)[0]
    assert_same(found, train_single(task, member, CONFIGS["plain"], seed=0))


def test_an_activation_in_place_after_one_that_needs_its_outputs() -> None:
    """Autograd refuses it, so a population must not train it either."""
    task = classification(lambda: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.ReLU(inplace=True), nn.Linear(4, CLASSES)))
    with pytest.raises(ModelError, match="inplace"):
        check_stackable(task)


class Branches(nn.Module):
    """Branches on the value of a tensor, which vmap does not know."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * 2 if inputs.abs().sum().item() > 0 else inputs


class BranchesItself(nn.Module):
    """Branches on a value in the model's own forward, after its children have run."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.first(inputs)
        return outputs if outputs.sum().item() < 1e9 else outputs * 2


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory = nn.LSTM(2, 4, batch_first=True)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.memory(inputs.unflatten(1, (3, 2)))[0][:, -1])


def with_branches() -> nn.Module:
    return nn.Sequential(nn.Linear(6, CLASSES), Branches(), nn.ReLU())


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (with_branches, r"'1' \(Branches\)"),
        (BranchesItself, r"the model itself \(BranchesItself\)"),
        (Recurrent, r"'memory' \(LSTM\)"),
    ],
)
def test_the_error_names_the_module_that_cannot_be_stacked(model: Callable[[], nn.Module], named: str) -> None:
    task = classification(model)
    with pytest.raises(ModelError, match=named):
        check_stackable(task)
    with pytest.raises(ModelError, match=named):
        train_population(task, trainings(task.link), CONFIGS["plain"], seed=0)
    # It can be trained one network at a time.
    result = train_single(task, Training(NAMED["cross_entropy"], 0.1), CONFIGS["plain"], seed=0)
    assert 0 < result.validation <= 1


class Counts(nn.Module):
    """Counts its forward passes, and scales its outputs by them; `how` says where the count is and how it is changed."""

    count: Tensor

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.steps, self.history = how, 0, [0]
        self.plain, self.parts = torch.zeros(()), [nn.BatchNorm1d(6)]
        self.register_buffer("count", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        if self.how == "a buffer in place":
            self.count += 1
        elif self.how == "count" or (self.how == "count, in evaluation" and not self.training):
            self.count = self.count + 1
        elif self.how == "steps":
            self.steps += 1
        elif self.how == "history":
            self.history.append(1)
        elif self.how == "plain":
            self.plain += 1
        elif self.how == "parts":
            self.parts[0].momentum = 0.5
        return inputs * (1 + self.count + self.steps + sum(self.history) + self.plain)


def counting(how: str) -> Task:
    """The metric shows a difference of any network."""
    model = lambda: nn.Sequential(nn.Linear(6, 6), Counts(how), nn.Linear(6, CLASSES))  # noqa: E731
    return classification(model, metric=lambda y, targets: y.gather(1, targets[:, None]).mean())


@pytest.mark.parametrize("how", ["count", "count, in evaluation", "steps", "history", "plain", "parts"])
def test_a_module_that_assigns_state_in_forward_is_not_stacked(how: str) -> None:
    """`torch.func` drops such an assignment to a buffer, and the networks would share all other state."""
    task = counting(how)
    with pytest.raises(ModelError, match=rf"module '1' \(Counts\).*assigns '{how.split(',')[0]}'"):
        check_stackable(task)


def test_buffers_that_are_changed_in_place_belong_to_each_network() -> None:
    task = counting("a buffer in place")
    config = TrainingConfig(steps=6, batch_size=20, curve_every=2)
    members = trainings(task.link)
    found = train_population(task, members, config, seed=4)
    for one, member in zip(found, members, strict=True):
        assert_same(one, train_single(task, member, config, seed=4))


DROPOUT_ON_IMAGES = {
    "not a chain": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Dropout(0.5), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES)
    ),
    # The weights of this layer have the same order in memory in both layouts, and its outputs do not have channels last.
    "a chain": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 1, padding=1), nn.Dropout(0.5), nn.Flatten(), nn.Linear(256, CLASSES)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPOUT_ON_IMAGES)
def test_a_model_that_draws_random_numbers_in_another_order_is_not_stacked(name: str) -> None:
    """Alone, most images have channels last, and PyTorch draws a dropout mask in the order of memory."""
    task = classification(DROPOUT_ON_IMAGES[name], (1, 6, 6))
    with pytest.raises(ModelError, match=r"the model itself \(Sequential\).*outputs in training mode"):
        check_stackable(task)


def with_unused() -> nn.Module:
    model = nn.Sequential(mlp())  # not a chain
    model.register_parameter("unused", nn.Parameter(torch.ones(2)))
    return model


def test_a_parameter_that_the_model_does_not_use_stays_as_it_is() -> None:
    task = classification(with_unused, metric=lambda y, targets: y.gather(1, targets[:, None]).mean())
    members = trainings(task.link)
    for found, member in zip(train_population(task, members, CONFIGS["everything"], seed=4), members, strict=True):
        assert_same(found, train_single(task, member, CONFIGS["everything"], seed=4))


@pytest.mark.parametrize("name", ["mlp", "cnn with dropout"])
def test_training_does_not_change_the_global_random_state(name: str) -> None:
    task = TASKS[name]()
    members = trainings(task.link)[:2]
    before = torch.get_rng_state()
    train_population(task, members, CONFIGS["everything"], seed=0, test=True)
    train_single(task, members[0], CONFIGS["everything"], seed=0, test=True)
    fresh_model(task, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_random_state_does_not_change_a_result() -> None:
    task = TASKS["cnn with dropout"]()
    members = trainings(task.link)
    results = []
    for state in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(state)
            results.append(train_population(task, members, CONFIGS["everything"], seed=7, test=True))
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["mlp", "cnn with dropout"])
def test_the_seed_decides_the_result(name: str) -> None:
    task = dataclasses.replace(TASKS[name](), metric=lambda y, targets: y.gather(1, targets[:, None]).mean())
    members = trainings(task.link)
    first, again, other = (train_population(task, members, CONFIGS["plain"], seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert all(one.validation != another.validation for one, another in zip(first, other, strict=True))
    assert train_single(task, members[0], CONFIGS["plain"], 5) == train_single(task, members[0], CONFIGS["plain"], 5)


def test_all_samples_of_a_large_split_are_measured() -> None:
    """Networks are evaluated on 1,000 samples at a time."""
    inputs, labels = clusters((6,), 2500, 1)
    task = Task("large", mlp, clusters((6,), 60, 0), (inputs, labels))
    member, config = Training(NAMED["cross_entropy"], 0.1), CONFIGS["plain"]
    found = train_population(task, [member], config, seed=0)[0]
    assert_same(found, train_single(task, member, config, seed=0))
    assert found.validation * 2500 == pytest.approx(round(found.validation * 2500), abs=1e-6)
