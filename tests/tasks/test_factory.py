"""The model of a task: made anew at each call, with the weights of the seed, whatever generator they come from."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glo.errors import TaskError, UserCodeError
from glo.tasks import Task, fresh_model

DATA = torch.arange(24.0).reshape(8, 3), torch.arange(8) % 4


def task(model: Callable[[], object]) -> Task:
    return Task("mine", model, DATA, DATA)  # pyright: ignore[reportArgumentType]


class Drawn(nn.Module):
    """Weights from some generator."""

    def __init__(self, draw: Callable[[], object]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(draw(), dtype=torch.float32).reshape(3, 4))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight


ONE = nn.Linear(3, 4)
BACKBONE = nn.Linear(3, 3)
NORMED = nn.BatchNorm1d(3, affine=False)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: ONE, r"model\(\) returns the same Linear at each call"),
        (lambda: nn.Sequential(BACKBONE, nn.Linear(3, 4)), "share the parameter '0.weight'"),
        (lambda: nn.Sequential(NORMED, nn.Linear(3, 4)), "share the module '0' and its buffers"),
        (lambda: Drawn(lambda: np.random.default_rng().normal(size=12)), "other initial values of 'weight' at each call"),
        (ONE, "model must be a function that makes a new network, such as a class, not a Linear"),
        ("Linear", "model must be a function .* not a str"),
        (lambda: None, r"model\(\) must return a torch.nn.Module, not NoneType"),
    ],
)
def test_a_factory_that_is_not_fresh_is_refused(model: Callable[[], object], message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        task(model)
    assert "task 'mine'" in str(caught.value)


def frozen() -> nn.Module:
    """Shares a part that no training changes."""
    return nn.Sequential(FROZEN, nn.Linear(3, 4))


FROZEN = nn.Linear(3, 3).requires_grad_(False)


@pytest.mark.parametrize("model", [frozen, lambda: copy.deepcopy(ONE), lambda: nn.Linear(3, 4)])
def test_a_part_that_no_training_changes_may_be_shared(model: Callable[[], nn.Module]) -> None:
    assert task(model).digest()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: torch.randn(12).tolist(),
        lambda: np.random.randn(12),  # noqa: NPY002
        lambda: [random.gauss(0, 1) for _ in range(12)],
    ],
    ids=["torch", "numpy", "python"],
)
def test_the_seed_decides_the_weights_whatever_generator_they_come_from(draw: Callable[[], object]) -> None:
    made = task(lambda: Drawn(draw))
    one, same, another = (fresh_model(made, seed).weight for seed in (1, 1, 2))
    assert isinstance(one, Tensor)
    assert torch.equal(one, same)  # pyright: ignore[reportArgumentType]
    assert not torch.equal(one, another)  # pyright: ignore[reportArgumentType]


def test_lazy_modules_are_initialised_with_the_weights_of_the_seed() -> None:
    made = task(lambda: nn.Sequential(nn.LazyLinear(5), nn.ReLU(), nn.LazyLinear(4)))
    one, same, another = (nn.utils.parameters_to_vector(fresh_model(made, seed).parameters()) for seed in (1, 1, 2))
    assert len(one) == 3 * 5 + 5 + 5 * 4 + 4
    assert torch.equal(one, same)
    assert not torch.equal(one, another)
    assert fresh_model(made, 1).training


def test_an_error_of_the_factory_is_shown_with_its_cause() -> None:
    def broken() -> nn.Module:
        return {}["missing"]

    with pytest.raises(UserCodeError, match=r"model\(\) fails: KeyError: 'missing' \(in broken, test_factory.py:\d+\)") as e:
        task(broken)
    assert isinstance(e.value.__cause__, KeyError)


class Returns(nn.Linear):
    def __init__(self, wrap: Callable[[Tensor], object]) -> None:
        super().__init__(3, 4)
        self.wrap = wrap

    def forward(self, input: Tensor) -> object:  # noqa: A002 # pyright: ignore[reportIncompatibleMethodOverride]
        return self.wrap(super().forward(input))


@pytest.mark.parametrize(("wrap", "kind"), [(lambda z: (z, z), "tuple"), (lambda z: {"logits": z}, "dict")])
def test_a_model_that_does_not_return_a_tensor_is_refused(wrap: Callable[[Tensor], object], kind: str) -> None:
    with pytest.raises(TaskError, match=f"the model returns a {kind}; it must return one tensor"):
        task(lambda: Returns(wrap))
