"""The key of remembered results: it differs by all that a result depends on, and by nothing else."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.execution import result_key
from glo.provenance import versions
from glo.records import LATER_OPTIONS, TrainingConfig, digest
from glo.tasks import Task, load_task
from small import CLASSES, certainty, points

CONFIG = TrainingConfig(steps=20, learning_rates=(0.1, 0.3))


def task_of(**changes: Any) -> Task:
    options: dict[str, Any] = {"model": lambda: nn.Linear(4, CLASSES), "train": points(0), "validation": points(1)}
    return Task("points", **options | changes)


TASK = task_of()


def key(task: Task = TASK, training: TrainingConfig = CONFIG, seed: int = 0, device: str = "cpu", **more: Any) -> str:
    return result_key(task, training, seed, device, **more)


def strict_certainty(predictions: Tensor, targets: Tensor) -> Tensor:
    return certainty(predictions, targets) ** 2


def test_it_is_16_hexadecimal_digits_and_repeats() -> None:
    assert len(key()) == 16
    int(key(), 16)
    assert key() == key() == key(task_of())


@pytest.mark.parametrize(
    "changed",
    [
        lambda: key(task_of(train=points(2))),
        lambda: key(task_of(validation=points(2))),
        lambda: key(task_of(test=points(2))),
        lambda: key(task_of(model=lambda: nn.Sequential(nn.Linear(4, CLASSES)))),
        lambda: key(task_of(metric="f1_macro")),
        lambda: key(task_of(metric=certainty)),
        lambda: key(task_of(version="2")),
        lambda: key(seed=1),
        lambda: key(device="cuda"),
        lambda: key(loss="x*y"),
        lambda: key(loss=None),
    ],
    ids=["train", "validation", "test", "model", "metric", "own metric", "version", "seed", "device", "more", "more: None"],
)
def test_another_of_these_is_another_key(changed: Callable[[], str]) -> None:
    assert changed() != key()


CHANGES: dict[str, Any] = {
    "steps": 21, "batch_size": 99, "learning_rates": (0.1,), "momentum": 0.5, "weight_decay": 0.1, "schedule": ((5, 0.1),),
    "class_reduction": "mean", "eps": 1e-6, "early_stop": 0.5, "curve_every": 5, "curve_on": "test", "precision": "tf32",
    "optimizer": "adam", "nesterov": True, "betas": (0.8, 0.999), "alpha": 0.9, "warmup": 0.1, "clip_norm": 1.0,
    "label_smoothing": 0.1, "unit_gradient": True, "rungs": ((0.5, 0.5),),
    "metrics": ("ece",),
}  # fmt: skip


@pytest.mark.parametrize("option", sorted(TrainingConfig.model_fields.keys() - {"memory_mb"}))
def test_another_training_is_another_key(option: str) -> None:
    """Every option counts but the limit of memory."""
    assert key(training=CONFIG.model_copy(update={option: CHANGES[option]})) != key()


def test_the_limit_of_memory_does_not_count() -> None:
    assert key(training=CONFIG.model_copy(update={"memory_mb": 100})) == key()


def test_options_that_came_later_count_only_if_they_are_used() -> None:
    """A result that was remembered before there were optimizers to choose is still known."""
    settings = CONFIG.model_dump(mode="json", exclude={"memory_mb", *LATER_OPTIONS})
    assert key() == digest([TASK.digest(), settings, 0, "cpu", versions(), {}])


def test_only_the_kind_of_a_device_counts() -> None:
    assert key(device="cuda:0") == key(device="cuda:1") == key(device="cuda") == key(device=str(torch.device("cuda", 3)))
    assert key(device="cpu:0") == key(device="cpu")


def test_the_name_and_description_of_a_task_do_not_count() -> None:
    assert key(dataclasses.replace(TASK, name="another", description="other words")) == key()


def test_metrics_are_told_apart_by_what_they_do() -> None:
    """Two lambdas have the same name."""
    lambdas: list[Callable[[Tensor, Tensor], float]] = [
        lambda predictions, targets: float(certainty(predictions, targets)),
        lambda predictions, targets: float(strict_certainty(predictions, targets)),
    ]
    keys = [key(task_of(metric=metric)) for metric in (*lambdas, certainty, strict_certainty)]
    assert len(set(keys)) == 4
    assert keys == [key(task_of(metric=metric)) for metric in (*lambdas, certainty, strict_certainty)]


def test_another_version_of_glo_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    first = key()
    monkeypatch.setattr("glo.provenance.__version__", "0.0.0")
    assert key() != first


@pytest.mark.parametrize("library", ["torch", "numpy", "cma"])
def test_another_version_of_a_library_is_another_key(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first, version = key(), importlib.metadata.version
    monkeypatch.setattr("glo.provenance._installed_version", lambda name: "0.0.0" if name == library else version(name))
    assert key() != first


def test_another_version_of_python_is_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    first = key()
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "0", "1"))
    second = key()
    assert second != first
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "0", "2"))
    assert key() == second


PROGRAM = """
from glo.execution import result_key
from glo.records import TrainingConfig
from glo.tasks import load_task
print(result_key(load_task("digits"), TrainingConfig(), 0, "cpu", loss="x*y"))
"""


def test_it_is_the_same_in_another_process() -> None:
    there = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout
    assert there.strip() == key(load_task("digits"), TrainingConfig(), loss="x*y")
