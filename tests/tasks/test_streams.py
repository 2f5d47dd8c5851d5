"""Data that is read batch by batch: by a Dataset that is too large, or by a function that makes a DataLoader."""

from __future__ import annotations

import logging
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from glo.errors import TaskError, UserCodeError
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.study import Study
from glo.tasks import Stream, Task, stream, with_label_noise
from glo.training import train_single, trains_together

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(50, 4, generator=GENERATOR)
LABELS = (INPUTS[:, 0] > 0).long() + (INPUTS[:, 1] > 0.5).long()
CONFIG = TrainingConfig(steps=30, batch_size=8, learning_rates=(0.5,))
TRAINING = Training(parse("x*log(y)"), 0.5)


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 3))


class Augmented(Dataset[Any]):
    """Adds noise to an input each time it is read."""

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, index: int) -> Any:
        return INPUTS[index] + 0.1 * torch.randn(4), LABELS[index]


class Endless(IterableDataset[Any]):
    """Has no length."""

    def __iter__(self) -> Iterator[Any]:
        return iter(zip(INPUTS, LABELS, strict=True))


def loader(**options: Any) -> Callable[[], DataLoader[Any]]:
    return lambda: DataLoader(options.get("dataset", Augmented()), batch_size=8, shuffle=True, drop_last=True)


def test_a_large_dataset_trains_as_one_in_memory(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    data = TensorDataset(INPUTS, LABELS)
    resident = Task("resident", model, data, data)
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0)
    with caplog.at_level(logging.INFO, logger="glo"):
        task = Task("streamed", model, data, data)
        assert not trains_together(task, "cpu")
    assert isinstance(task.train, Stream)
    assert "train is read batch by batch: its 50 items take about 0.0 GB" in caplog.text
    assert "read batch by batch, so its networks are trained one by one" in caplog.text
    assert (task.classes, task.chance()) == (resident.classes, resident.chance())
    found, expected = (train_single(each, TRAINING, CONFIG, seed=3) for each in (task, resident))
    assert found == expected
    with pytest.raises(TaskError, match=r"train is read batch by batch, so not all of its inputs are in memory"):
        _ = task.train.inputs
    with pytest.raises(TaskError, match="read batch by batch: change its data in the source"):
        with_label_noise(task, 0.1)


@pytest.mark.parametrize(
    "make",
    [
        loader(),
        lambda: DataLoader(Augmented(), batch_size=8, shuffle=True, num_workers=1),
        lambda: DataLoader(Endless(), batch_size=8),
        lambda: [((INPUTS[:9],), LABELS[:9]), ((INPUTS[9:],), LABELS[9:])],
    ],
    ids=["augmented", "with a worker", "without a length", "any batches"],
)
def test_a_function_makes_a_loader_for_each_epoch(make: Any) -> None:
    task = Task("loader", model, make, (INPUTS, LABELS))
    first, again = (train_single(task, TRAINING, CONFIG, seed=3) for _ in range(2))
    assert first == again
    assert first.validation > 0.6
    assert first != train_single(task, TRAINING, CONFIG, seed=4)


def test_what_is_augmented_differs_from_epoch_to_epoch() -> None:
    task = Task("augmented", model, loader(), (INPUTS, LABELS))
    assert isinstance(task.train, Stream)
    seen = [batch.inputs for batch in task.train.batches(iter(()), steps=12)]
    rows = torch.cat(seen).tolist()
    assert len({tuple(row) for row in rows}) == len(rows) == 96
    first, again = (torch.cat([part.inputs for part in task.train.parts(8)]) for _ in range(2))
    assert torch.equal(first, again)


def test_a_study_of_streamed_data(tmp_path: Path) -> None:
    data = loader()
    task = Task("streamed", model, data, (INPUTS, LABELS), (INPUTS, LABELS))
    study = Study(task, storage=tmp_path / "glo.db", name="streamed", settings=["training.learning_rates=[0.3]"])
    result = study.search(generations=1, population=4, steps=20)
    assert result.fitness > 0.5
    other = Task("streamed", model, lambda: data(), (INPUTS[:40], LABELS[:40]))
    assert other.digest() != task.digest()


def test_what_a_loader_is_like_counts_in_the_digest() -> None:
    weights = torch.rand(50, generator=GENERATOR)
    made: list[Any] = [
        lambda: DataLoader(TensorDataset(INPUTS, LABELS), batch_size=8),
        lambda: DataLoader(TensorDataset(INPUTS, LABELS), batch_size=10),
        lambda: DataLoader(TensorDataset(INPUTS, LABELS), batch_size=8, shuffle=True),
        lambda: DataLoader(TensorDataset(INPUTS, LABELS, weights), batch_size=8),
        lambda: DataLoader(TensorDataset(INPUTS, LABELS, weights * 2), batch_size=8),
    ]
    digests = [Task("loader", model, make, (INPUTS, LABELS)).digest() for make in made]
    assert len(set(digests)) == len(made)


def test_a_generator_of_the_loader_repeats_with_the_seed() -> None:
    generator = torch.Generator()
    make = lambda: DataLoader(TensorDataset(INPUTS, LABELS), batch_size=8, shuffle=True, generator=generator)  # noqa: E731
    task = Task("loader", model, make, (INPUTS, LABELS))
    config = CONFIG.model_copy(update={"curve_every": 1})
    first, again, other = (train_single(task, TRAINING, config, seed=seed).curve for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_batches_without_a_label_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """And tags that are one-hot in one batch only: a stream is read as the data in memory is."""
    holes = LABELS.masked_fill(torch.rand(50, generator=GENERATOR) < 0.8, -1)
    tags = (INPUTS > 0.3).long()
    tagger = lambda: nn.Sequential(nn.Linear(4, 8), nn.Unflatten(1, (2, 4)))  # noqa: E731
    small = CONFIG.model_copy(update={"batch_size": 2})
    cases: list[tuple[Any, Any, dict[str, Any]]] = [(model, holes, {"ignore_index": -1}), (tagger, tags, {})]
    for factory, targets, options in cases:
        data = TensorDataset(INPUTS, targets)
        monkeypatch.setattr(stream, "RESIDENT_BYTES", 2**31)
        resident = Task("resident", factory, data, data, **options)
        monkeypatch.setattr(stream, "RESIDENT_BYTES", 0)
        task = Task("streamed", factory, data, data, **options)
        found, expected = (train_single(each, TRAINING, small, seed=3) for each in (task, resident))
        assert found == expected


def test_whole_numbers_become_floats_in_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0)
    data = TensorDataset((INPUTS * 50).to(torch.int16), LABELS)
    assert train_single(Task("streamed", model, data, data), TRAINING, CONFIG, seed=0).validation > 0


def test_names_are_not_encoded_beside_a_stream() -> None:
    names = [("a", "b", "c")[label] for label in LABELS]
    for train, validation in ((loader(), (INPUTS, names)), ((INPUTS, names), loader())):
        with pytest.raises(TaskError, match=r"give one form|so no label is encoded: give class indices"):
            Task("mixed", model, train, validation)


class Failing(Dataset[Any]):
    """Fails at its fifth item."""

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, index: int) -> Any:
        if index == 5:
            raise OSError("no such image")
        return INPUTS[index], LABELS[index]


ONCE = iter(DataLoader(TensorDataset(INPUTS, LABELS), batch_size=25))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (list, "the DataLoader has no batch: the function must make a new one"),
        (lambda: ONCE, "the DataLoader has no batch: the function must make a new one"),
        (lambda: open("/no/such/file"), "the function fails: FileNotFoundError"),  # noqa: PTH123, SIM115
        (lambda: 7, "the function must make a DataLoader, not a int"),
        (lambda: [{"x": INPUTS, "y": LABELS}], "not a dict; give the DataLoader a collate_fn that makes a pair"),
        (lambda: [(INPUTS, LABELS[:3])], "has 50 inputs and 3 targets"),
        (lambda: [(INPUTS, ["cat"] * 50)], "targets are strings"),
        (lambda: DataLoader(Failing(), batch_size=50), "reading a batch fails: OSError: no such image"),
        (lambda: [(INPUTS, LABELS, LABELS - 9.0)], "weights that are finite and at least 0"),
    ],
)
def test_bad_loaders_are_refused(make: Any, message: str) -> None:
    with pytest.raises((TaskError, UserCodeError), match=f"task 'bad': train.*{message}"):
        train_single(Task("bad", model, make, (INPUTS, LABELS)), TRAINING, CONFIG, seed=0)


def test_a_loader_in_place_of_a_function_is_refused() -> None:
    with pytest.raises(TaskError, match="or a function that makes the DataLoader, which is then read batch by batch"):
        Task("bad", model, loader()(), (INPUTS, LABELS))  # pyright: ignore[reportArgumentType] - that is refused


def test_sample_weights_of_a_stream() -> None:
    weights = torch.rand(50, generator=GENERATOR)
    data = TensorDataset(INPUTS, LABELS, weights)
    resident = Task("resident", model, data, (INPUTS, LABELS))
    task = Task("streamed", model, Stream(data, "train", resident.link), (INPUTS, LABELS))
    found, expected = (train_single(each, TRAINING, CONFIG, seed=3) for each in (task, resident))
    assert found == expected
    unweighted = Task("unweighted", model, (INPUTS, LABELS), (INPUTS, LABELS))
    curves = [
        train_single(each, TRAINING, CONFIG.model_copy(update={"curve_every": 1}), seed=3) for each in (task, unweighted)
    ]
    assert curves[0].curve != curves[1].curve


def test_a_task_of_a_dataset_pickles() -> None:
    task = Task(
        "pickled",
        model,
        Stream(Augmented(), "train", Task("x", model, (INPUTS, LABELS), (INPUTS, LABELS)).link),
        (INPUTS, LABELS),
    )
    assert pickle.loads(pickle.dumps(task.train)).first.targets.tolist() == LABELS.tolist()  # noqa: S301


# 3,000 items of 4 MB are 12 GB; the process may take 2 GB more than it has when the task is made.
LARGE = """
import resource
import torch
from torch import nn
from torch.utils.data import Dataset
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import Task
from glo.training import train_single

class Large(Dataset):
    def __init__(self, items): self.items = items
    def __len__(self): return self.items
    def __getitem__(self, index):
        inputs = torch.zeros(1_000_000)
        inputs[index % 2] = 1.0
        return inputs, index % 2

torch.set_num_threads(1)
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 2 * 2**30,) * 2)
task = Task("large", lambda: nn.Linear(1_000_000, 2), Large(3000), Large(600))
print(train_single(task, Training(parse("x*log(y)"), 0.1), TrainingConfig(steps=20, batch_size=4), seed=0).validation)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and read as Linux has it")
def test_the_memory_of_a_streamed_task_does_not_grow_with_its_data() -> None:
    child = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, timeout=300, check=False)
    assert (child.stdout.strip(), child.returncode) == ("1.0", 0), child.stderr
