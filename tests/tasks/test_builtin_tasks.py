"""The built-in tasks that need no files, their options, and the user's own tasks as `module:attribute`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glo.catalog import NAMED
from glo.errors import TaskError
from glo.records import Training, TrainingConfig
from glo.tasks import Data, Task, describe_task, load_task, task_names
from glo.training import train_single

WITHOUT_FILES = ["breast-cancer", "diabetes", "digits", "noisy-digits"]
WITH_FILES = ("mnist", "noisy-mnist", "cifar10")
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    return {name: load_task(name) for name in WITHOUT_FILES}


def rows(split: Data) -> set[bytes]:
    return {row.numpy().tobytes() for row in split.inputs}


def test_the_names_of_the_built_in_tasks() -> None:
    assert set(task_names()) == {*WITHOUT_FILES, *WITH_FILES}


@pytest.mark.parametrize("name", [*WITHOUT_FILES, *WITH_FILES])
def test_each_task_has_a_description(name: str) -> None:
    line, options = describe_task(name)
    assert len(line) > 20
    assert line.endswith(".")
    assert "data_dir" not in options
    assert describe_task("noisy-digits")[1] == {"noise": 0.4, "split_seed": 0}


@pytest.mark.parametrize(
    ("name", "loss", "rate", "sizes"),
    [
        ("digits", "cross_entropy", 0.2, (1000, 397, 400)),
        ("noisy-digits", "cross_entropy", 0.2, (1000, 397, 400)),
        ("breast-cancer", "binary_cross_entropy", 0.1, (300, 134, 135)),
        ("diabetes", "mse", 0.02, (262, 90, 90)),
    ],
)
def test_a_network_learns_the_task(
    tasks: dict[str, Task], name: str, loss: str, rate: float, sizes: tuple[int, ...]
) -> None:
    task = tasks[name]
    assert task.name == name
    assert tuple(len(task.split(split)) for split in SPLITS) == sizes
    config = TrainingConfig(**{**task.training, "steps": 120})
    result = train_single(task, Training(NAMED[loss], rate), config, seed=0, test=True)
    assert result.test is not None
    assert min(result.validation, result.test) > task.chance()


def test_chance_is_the_score_of_a_constant_plus_three_standard_errors(tasks: dict[str, Task]) -> None:
    """A little above the share of the largest class; at most 0 for a regression."""
    for name in ("digits", "breast-cancer"):
        targets = tasks[name].split("validation").targets
        share = targets.reshape(-1).long().bincount().max().item() / len(targets)
        error = (share * (1 - share) / len(targets)) ** 0.5
        assert tasks[name].chance() == pytest.approx(share + 3 * error)
    assert tasks["diabetes"].chance() <= 0


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_splits_do_not_overlap(tasks: dict[str, Task], name: str) -> None:
    parts = [rows(tasks[name].split(split)) for split in SPLITS]
    assert [len(part) for part in parts] == [len(tasks[name].split(split)) for split in SPLITS]
    assert len(set.union(*parts)) == sum(map(len, parts))


@pytest.mark.parametrize("name", ["breast-cancer", "diabetes"])
def test_inputs_are_standardised_by_the_training_split(tasks: dict[str, Task], name: str) -> None:
    inputs = tasks[name].split("train").inputs.double()
    torch.testing.assert_close(inputs.mean(0), torch.zeros_like(inputs[0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(inputs.std(0, correction=0), torch.ones_like(inputs[0]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize(("options", "wrong"), [({}, 400), ({"noise": 0.2}, 200), ({"noise": 0.0}, 0)])
def test_exactly_the_given_fraction_of_training_labels_is_wrong(options: dict[str, Any], wrong: int, seed: int) -> None:
    clean = load_task("digits", {"split_seed": seed})
    noisy = load_task("noisy-digits", {**options, "split_seed": seed})
    for split in SPLITS:
        assert torch.equal(clean.split(split).inputs, noisy.split(split).inputs)
    altered = clean.split("train").targets != noisy.split("train").targets
    assert int(altered.sum()) == wrong
    for split in ("validation", "test"):
        assert torch.equal(clean.split(split).targets, noisy.split(split).targets)
    labels = noisy.split("train").targets
    assert 0 <= int(labels.min()) <= int(labels.max()) <= 9
    if wrong:  # every wrong class occurs: the noise is symmetric
        offsets = (labels - clean.split("train").targets)[altered] % 10
        assert offsets.unique().tolist() == list(range(1, 10))


@pytest.mark.parametrize("name", WITHOUT_FILES)
def test_digest_depends_on_the_data(tasks: dict[str, Task], name: str) -> None:
    task = tasks[name]
    assert load_task(name).digest() == task.digest()
    assert load_task(name, {"split_seed": 1}).digest() != task.digest()


def test_different_tasks_have_different_digests(tasks: dict[str, Task]) -> None:
    digests = [task.digest() for task in tasks.values()] + [load_task("noisy-digits", {"noise": 0.2}).digest()]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("digit", {}, "no task 'digit'.*digits.*module:attribute"),
        ("digits", {"noise": 0.2}, "no option 'noise'.*split_seed"),
        ("noisy-digits", {"nois": 0.2}, "no option 'nois'.*noise, split_seed"),
        ("noisy-digits", {"noise": 1.0}, "from 0 to below 1"),
        ("noisy-digits", {"noise": -0.1}, "from 0 to below 1"),
        ("noisy-digits", {"noise": float("nan")}, "from 0 to below 1"),
    ],
)
def test_unknown_names_and_bad_options_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(name, options)


OWN = """
import torch
from torch import nn
from glo import Task

inputs = torch.eye(4).repeat(5, 1)
labels = torch.arange(4).repeat(5)

def make(share=0.5):
    cut = int(share * 20)
    return Task("own", lambda: nn.Linear(4, 4), (inputs[:cut], labels[:cut]), (inputs[cut:], labels[cut:]))

ready = make()
number = 3

def wrong():
    return "a task"
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with tasks in the current folder; no other test imports it."""
    name = f"own_task_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def test_own_task_by_module_and_attribute(own_module: str) -> None:
    task = load_task(f"{own_module}:ready")
    assert task.name == "own"
    assert len(task.split("train")) == 10
    assert len(load_task(f"{own_module}:make", {"share": 0.75}).split("train")) == 15


def test_own_task_from_the_python_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_of_tasks").mkdir()
    (tmp_path / "package_of_tasks" / "inner.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert load_task("package_of_tasks.inner:make").name == "own"


@pytest.mark.parametrize(
    ("attribute", "options", "message"),
    [
        ("missing", {}, "no attribute 'missing'"),
        ("", {}, "module:attribute"),
        ("number", {}, "must be a glo.Task, or a function of that module that returns one, not a int"),
        ("wrong", {}, "must be a glo.Task, or a function of that module that returns one, not a str"),
        ("ready", {"share": 0.5}, "takes no options"),
        ("make", {"shar": 0.5}, "no option 'shar'.*share"),
    ],
)
def test_own_task_misuse(own_module: str, attribute: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        load_task(f"{own_module}:{attribute}", options)


@pytest.mark.parametrize("name", ["no_such_module_at_all:task", "glo.no_such_part:task", ":task", ".relative:task"])
def test_unknown_module_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(TaskError, match=f"task '{name}'"):
        load_task(name)


def test_loading_and_hashing_leave_the_random_state_alone() -> None:
    before: Tensor = torch.get_rng_state()
    load_task("digits")
    assert torch.equal(torch.get_rng_state(), before)
    load_task("digits").digest()
    assert torch.equal(torch.get_rng_state(), before)
