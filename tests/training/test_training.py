"""Training: the population engine against single training, and single training against a plain PyTorch loop."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.catalog import NAMED
from glo.errors import ModelError
from glo.expr import parse
from glo.records import Link, TrainingConfig
from glo.tasks import Task
from glo.training import Training, TrainingResult, check_stackable, fresh_model, train_population, train_single
from glo.training.memory import chunk_size
from glo.training.steps import batches, quick_layout

CLASSES = 3


def clusters(shape: tuple[int, ...], samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noisy points around one centre for each class, so that there is something to learn."""
    centres = torch.randn(CLASSES, *shape, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (samples,), generator=generator)
    return centres[labels] + 0.8 * torch.randn(samples, *shape, generator=generator), labels


def classification(model: Callable[[], nn.Module], shape: tuple[int, ...] = (6,), **options: Any) -> Task:
    train, validation, test = (clusters(shape, samples, seed) for seed, samples in enumerate((60, 45, 40)))
    return Task("small", model, train, validation, test, **options)


def mlp(inputs: int = 6, outputs: int = CLASSES, hidden: int = 8) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def yes_no(outputs: int) -> Task:
    """The sigmoid link: is the class 0; for more outputs, is it 0, is it 1, ..."""
    splits = []
    for seed, samples in enumerate((60, 45, 40)):
        inputs, labels = clusters((6,), samples, seed)
        splits.append((inputs, (labels.unsqueeze(1) == torch.arange(outputs)).float()))
    return Task("yes-no", lambda: mlp(outputs=outputs), *splits, link="sigmoid")


def regression(outputs: int, squeeze: bool = False) -> Task:
    """The identity link."""
    matrix = torch.randn(6, outputs, generator=torch.Generator().manual_seed(5))
    splits = []
    for seed, samples in enumerate((60, 45, 40)):
        inputs, _ = clusters((6,), samples, seed)
        splits.append((inputs, (inputs / 2) @ matrix))
    return Task(
        "regression",
        lambda: nn.Sequential(mlp(outputs=outputs), nn.Flatten(0)) if squeeze else mlp(outputs=outputs),
        *splits,
        link="identity",
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Dropout2d(0.3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(16, CLASSES),
    )


def written_out_cnn() -> nn.Module:
    """Layers that all are of `glo.training.layers`; pooling leaves a row and a column over."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.2),
        nn.Conv2d(4, 5, 3, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Dropout(0.4),
        nn.Linear(20, 8),
        nn.ReLU(),
        nn.Linear(8, CLASSES),
    )


def frozen() -> nn.Module:
    model = mlp()
    model[0].requires_grad_(requires_grad=False)  # pyright: ignore[reportIndexIssue]
    return model


def tied() -> nn.Module:
    """Two layers of one weight, and one activation twice."""
    first, second, twice = nn.Linear(6, 6), nn.Linear(6, 6), nn.Tanh()
    second.weight = first.weight
    return nn.Sequential(first, twice, second, twice, nn.Linear(6, CLASSES))


def transposed() -> nn.Module:
    """A weight whose numbers lie in the other order in memory."""
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    model[0].weight = nn.Parameter(torch.randn(6, 8).T)
    return model


def doubled() -> nn.Module:
    model = mlp()
    model.register_forward_hook(lambda module, arguments, output: torch.mul(output, 2))  # pyright: ignore[reportArgumentType, reportCallIssue]
    return model


def normalised(norm: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(6, 8), norm(), nn.ReLU(), nn.Linear(8, CLASSES))


class Attention(nn.Module):
    """A model whose child returns a tuple, of a tensor and None."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(2, 1, batch_first=True)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = inputs.unflatten(1, (3, 2))
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].flatten(1))


class OwnParameter(nn.Module):
    """A parameter and a buffer of the model itself, beside those of its children."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()
        self.gain = nn.Parameter(torch.ones(()))
        self.register_buffer("scale", torch.tensor(0.5))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs) * self.gain * self.scale


TASKS: dict[str, Callable[[], Task]] = {
    "mlp": lambda: classification(mlp),
    "cnn with dropout": lambda: classification(cnn, (1, 6, 6)),
    "cnn written out": lambda: classification(written_out_cnn, (1, 6, 6)),
    "frozen": lambda: classification(frozen),
    "tied": lambda: classification(tied),
    "transposed": lambda: classification(transposed),
    "a hook": lambda: classification(doubled),
    "batch norm": lambda: classification(normalised(lambda: nn.BatchNorm1d(8, track_running_stats=False))),
    "batch norm, running": lambda: classification(normalised(lambda: nn.BatchNorm1d(8))),
    "layer norm": lambda: classification(normalised(lambda: nn.LayerNorm(8))),
    "group norm": lambda: classification(normalised(lambda: nn.GroupNorm(2, 8))),
    "own parameter": lambda: classification(OwnParameter),
    "attention": lambda: classification(Attention),
    "soft labels": lambda: soft(classification(mlp)),
    "f1": lambda: classification(mlp, metric="f1_macro"),
    "own metric": lambda: classification(mlp, metric=lambda y, targets: y.gather(1, targets[:, None]).mean()),
    "sigmoid": lambda: yes_no(1),
    "multilabel": lambda: yes_no(3),
    "regression": lambda: regression(1),
    "regression, outputs (N)": lambda: regression(1, squeeze=True),
    "regression of two": lambda: regression(2),
}


def soft(task: Task) -> Task:
    """The same with soft training labels."""
    train = task.split("train")
    labels = 0.8 * nn.functional.one_hot(train.targets, CLASSES) + 0.2 / CLASSES
    return dataclasses.replace(task, train=(train.inputs, labels))


CONFIGS = {
    "plain": TrainingConfig(steps=12, batch_size=20),
    "everything": TrainingConfig(
        steps=20,
        batch_size=25,  # does not divide the 60 samples
        momentum=0.9,
        weight_decay=0.01,
        schedule=((5, 0.5), (12, 0.1)),
        early_stop=0.4,
        curve_every=6,
        class_reduction="mean",
    ),
}
CLASSIFICATION = [
    ("cross_entropy", 0.5),
    ("baikal", 0.03),
    ("brier", 1.0),
    ("linear", 1e-6),
    ("-(x*log(y))", 0.1),
    ("mae", 0.05),
]
YES_NO = [("binary_cross_entropy", 0.1), ("mse", 0.5), ("baikal", 0.01), ("-(x*log(y))", 0.1)]
REGRESSION = [("mse", 0.02), ("mae", 0.02), ("mse", 1e-7), ("tanh(x - y)*tanh(y - x)", 0.05)]


def trainings(link: Link | str) -> list[Training]:
    rows = {Link.SOFTMAX: CLASSIFICATION, Link.SIGMOID: YES_NO, Link.IDENTITY: REGRESSION}[Link(link)]
    return [Training(NAMED[loss] if loss in NAMED else parse(loss), rate) for loss, rate in rows]


def assert_same(found: TrainingResult, expected: TrainingResult) -> None:
    """Up to the rounding of another order of summation."""
    assert (found.diverged, found.stopped) == (expected.diverged, expected.stopped)
    assert found.validation == pytest.approx(expected.validation, rel=1e-4, abs=1e-4)
    assert found.test == (None if expected.test is None else pytest.approx(expected.test, rel=1e-4, abs=1e-4))
    assert [step for step, _ in found.curve] == [step for step, _ in expected.curve]
    assert [score for _, score in found.curve] == pytest.approx([score for _, score in expected.curve], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("name", TASKS)
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")  # vmap, of attention: slow but right
def test_population_is_single_for_each(name: str, config: TrainingConfig) -> None:
    task = TASKS[name]()
    members = trainings(task.link)
    found = train_population(task, members, config, seed=4, test=True)
    expected = [train_single(task, member, config, seed=4, test=True) for member in members]
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)
    # The comparison is of something: networks differ, and with early stopping some go on and some do not.
    assert len({result.validation for result in expected}) > 1
    if config.early_stop and name == "mlp":
        assert {result.stopped for result in expected} == {True, False}
        assert {len(result.curve) for result in expected} == {1, 3}


def test_without_test_no_test_metric() -> None:
    task = classification(mlp)
    members = trainings(task.link)[:2]
    assert [result.test for result in train_population(task, members, CONFIGS["plain"], seed=0)] == [None, None]
    assert train_single(task, members[0], CONFIGS["plain"], seed=0).test is None


def test_no_trainings_no_results() -> None:
    assert train_population(classification(mlp), [], CONFIGS["plain"], seed=0) == []


DIVERGING = Training(NAMED["mse"], 1e20)


def test_a_diverging_network_is_told_and_disturbs_no_other() -> None:
    task, config = regression(2), TrainingConfig(steps=15, batch_size=20, momentum=0.5, curve_every=5)
    healthy = trainings(task.link)
    alone = train_population(task, healthy, config, seed=1, test=True)
    beside = train_population(task, [healthy[0], DIVERGING, *healthy[1:]], config, seed=1, test=True)
    for found, expected in zip([beside[0], *beside[2:]], alone, strict=True):
        assert_same(found, expected)
    ill = beside[1]
    assert ill.diverged
    assert not ill.stopped
    assert ill.validation == 0.0
    assert_same(ill, train_single(task, DIVERGING, config, seed=1, test=True))


@pytest.mark.parametrize("shape", [(6,), (1, 6, 6)], ids=["mlp", "cnn"])
def test_a_loss_that_is_nan_disturbs_no_other(shape: tuple[int, ...]) -> None:
    task, config = classification(mlp if len(shape) == 1 else cnn, shape), CONFIGS["everything"]
    healthy = trainings(task.link)[:3]
    nan = Training(parse("x*y*log(0 - 1)"), 0.1)
    alone = train_population(task, healthy, config, seed=1)
    beside = train_population(task, [nan, *healthy], config, seed=1)
    for found, expected in zip(beside[1:], alone, strict=True):
        assert_same(found, expected)
    assert (beside[0].diverged, beside[0].stopped, beside[0].validation) == (True, False, 0.0)
    assert_same(beside[0], train_single(task, nan, config, seed=1))


def test_all_given_up_at_chance_ends_the_training() -> None:
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


class Peeks(nn.Module):
    """Needs the value of a tensor, which a vectorised model does not have."""

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * 2 if inputs.abs().sum().item() > 0 else inputs


class PeeksItself(nn.Module):
    """The same in the model's own forward, after its children have run."""

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


def peeking() -> nn.Module:
    return nn.Sequential(nn.Linear(6, CLASSES), Peeks(), nn.ReLU())


@pytest.mark.parametrize(
    ("model", "named"),
    [(peeking, r"'1' \(Peeks\)"), (PeeksItself, r"'the model itself' \(PeeksItself\)"), (Recurrent, r"'memory' \(LSTM\)")],
)
def test_a_model_that_cannot_be_stacked_is_refused_by_name(model: Callable[[], nn.Module], named: str) -> None:
    task = classification(model)
    with pytest.raises(ModelError, match=named):
        check_stackable(task, task.model())
    with pytest.raises(ModelError, match=named):
        train_population(task, trainings(task.link), CONFIGS["plain"], seed=0)
    # One at a time it can be trained.
    result = train_single(task, Training(NAMED["cross_entropy"], 0.1), CONFIGS["plain"], seed=0)
    assert 0 < result.validation <= 1


def test_check_leaves_the_model_as_it_was() -> None:
    task = classification(normalised(lambda: nn.BatchNorm1d(8)))
    model = task.model().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    check_stackable(task, model)
    assert not model.training
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("name", ["mlp", "cnn with dropout"])
def test_training_leaves_the_global_random_state_alone(name: str) -> None:
    task = TASKS[name]()
    members = trainings(task.link)[:2]
    before = torch.get_rng_state()
    train_population(task, members, CONFIGS["everything"], seed=0, test=True)
    train_single(task, members[0], CONFIGS["everything"], seed=0, test=True)
    fresh_model(task, 0)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_random_state_does_not_matter() -> None:
    task = TASKS["cnn with dropout"]()
    members = trainings(task.link)
    results = []
    for state in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(state)
            results.append(train_population(task, members, CONFIGS["everything"], seed=7, test=True))
    assert results[0] == results[1]


@pytest.mark.parametrize("name", ["mlp", "cnn with dropout"])
def test_same_seed_same_result_other_seed_another(name: str) -> None:
    task = dataclasses.replace(TASKS[name](), metric=lambda y, targets: y.gather(1, targets[:, None]).mean())
    members = trainings(task.link)
    first, again, other = (train_population(task, members, CONFIGS["plain"], seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert all(one.validation != another.validation for one, another in zip(first, other, strict=True))
    assert train_single(task, members[0], CONFIGS["plain"], 5) == train_single(task, members[0], CONFIGS["plain"], 5)


def test_batches_are_shuffled_epochs_of_the_seed() -> None:
    config = TrainingConfig(steps=7, batch_size=20)
    first, again, other = (list(batches(70, config, seed)) for seed in (5, 5, 6))
    assert len(first) == 7
    assert all(torch.equal(one, same) for one, same in zip(first, again, strict=True))
    assert not any(torch.equal(one, another) for one, another in zip(first, other, strict=True))
    for epoch in (first[:3], first[3:6]):  # 3 whole batches fit into 70; the last 10 are left out
        assert torch.cat(epoch).unique().numel() == 60
    assert not torch.equal(first[0], first[3])
    assert [len(batch) for batch in batches(8, config, 0)] == [8] * 7  # a batch is never larger than the data


def test_initial_weights_depend_on_the_seed_alone() -> None:
    task = classification(mlp)
    one, same, another = (nn.utils.parameters_to_vector(fresh_model(task, seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, another)


@pytest.mark.parametrize("name", ["mlp", "batch norm, running", "group norm"])
@pytest.mark.parametrize("seed", range(3))
def test_single_is_a_plain_training_loop(name: str, seed: int) -> None:
    """Cross-entropy written by hand, with PyTorch's own loss, optimiser and schedule."""
    task = TASKS[name]()
    config = TrainingConfig(steps=30, batch_size=20, momentum=0.9, weight_decay=0.01, schedule=((10, 0.5), (20, 0.1)))
    train, validation, test = (task.split(split) for split in ("train", "validation", "test"))
    model = fresh_model(task, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10], gamma=0.5)
    model.train()
    for step, batch in enumerate(batches(len(train), config, seed)):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(train.inputs[batch]), train.targets[batch]).backward()
        optimizer.step()
        schedule.step()
        if step == 19:
            optimizer.param_groups[0]["lr"] *= 0.1
    model.eval()
    with torch.no_grad():
        expected = [(model(split.inputs).argmax(1) == split.targets).double().mean().item() for split in (validation, test)]
    result = train_single(task, Training(parse("x*log(y)"), 0.2), config, seed, test=True)
    assert [result.validation, result.test] == expected
    assert result.validation > task.chance()


def test_a_split_larger_than_the_evaluation_batch_is_measured_whole() -> None:
    """Validation is passed through the network in parts of 1,000."""
    inputs, labels = clusters((6,), 2500, 1)
    task = Task("large", mlp, clusters((6,), 60, 0), (inputs, labels))
    member, config = Training(NAMED["cross_entropy"], 0.1), CONFIGS["plain"]
    found = train_population(task, [member], config, seed=0)[0]
    assert_same(found, train_single(task, member, config, seed=0))
    assert found.validation * 2500 == pytest.approx(round(found.validation * 2500), abs=1e-6)


class Viewing(nn.Module):
    """Relies on the order of numbers in memory, or not."""

    def __init__(self, view: bool) -> None:
        super().__init__()
        self.convolution, self.linear, self.view = nn.Conv2d(2, 3, 2), nn.Linear(12, 4), view

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.convolution(inputs)
        return self.linear(values.view(len(values), -1) if self.view else values.flatten(1))


@pytest.mark.parametrize("view", [False, True])
def test_images_lie_with_channels_last_where_the_model_allows_it(view: bool) -> None:
    plain = Viewing(view)
    inputs = torch.randn(5, 2, 3, 3)
    quick = quick_layout(copy.deepcopy(plain), inputs)
    assert quick.training
    assert next(quick.parameters()).is_contiguous(memory_format=torch.channels_last) is not view
    torch.testing.assert_close(quick(inputs), plain(inputs))
