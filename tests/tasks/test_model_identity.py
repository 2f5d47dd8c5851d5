"""A model is part of a task's digest by what it does: code, settings and a few outputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from glo.tasks import Task

DATA = torch.arange(24.0).reshape(8, 3), torch.arange(8) % 4


def digest(model: type[nn.Module] | object, version: str = "") -> str:
    return Task("mine", model, DATA, DATA, version=version).digest()  # pyright: ignore[reportArgumentType]


class Net(nn.Module):
    """Its forward pass reads a setting, and calls a function."""

    def __init__(self, gain: float = 1.0, function: object = functional.relu, power: int = 1) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 5), nn.Linear(5, 4)
        self.function, self.power = function, power
        with torch.no_grad():
            self.first.weight.mul_(gain)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.last(self.function(self.first(inputs)) ** self.power)  # pyright: ignore[reportCallIssue]


class WithRelu(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return functional.relu(super().forward(input))


class WithGelu(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return functional.gelu(super().forward(input))


class Addressed(nn.Linear):
    """Its repr changes from process to process."""

    def extra_repr(self) -> str:
        return f"{object()}"


def hooked(scale: float) -> nn.Module:
    made = nn.Linear(3, 4)
    made.register_forward_hook(lambda module, inputs, outputs: torch.mul(outputs, scale))  # pyright: ignore
    return made


def frozen() -> nn.Module:
    made = Net()
    made.first.requires_grad_(False)
    return made


DIFFERENT = {
    "the model": Net,
    "an initial gain": lambda: Net(gain=1.1),
    "a function it calls": lambda: Net(function=functional.gelu),
    "a setting": lambda: Net(power=2),
    "a frozen part": frozen,
    "dropout": lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1)),
    "more dropout": lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2)),
    "a forward with relu": lambda: WithRelu(3, 4),
    "a forward with gelu": lambda: WithGelu(3, 4),
    "a hook": lambda: hooked(2.0),
    "another hook": lambda: hooked(3.0),
}


def test_whatever_changes_a_training_changes_the_digest() -> None:
    digests = {name: digest(model) for name, model in DIFFERENT.items()}
    assert len(set(digests.values())) == len(DIFFERENT), digests


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_same_model_made_again_has_the_same_digest(name: str) -> None:
    assert digest(DIFFERENT[name]) == digest(DIFFERENT[name])


CELL = """
class Cell(nn.Linear):
    def forward(self, input):
        return functional.{function}(super().forward(input))
"""


def test_an_edited_class_of_the_same_name_has_another_digest() -> None:
    """As in a notebook, whose cell is edited and run again."""
    found: set[str] = set()
    for function in ("relu", "gelu", "gelu"):
        names: dict[str, Any] = {"nn": nn, "functional": functional}
        exec(CELL.format(function=function), names)  # noqa: S102
        found.add(digest(lambda cell=names["Cell"]: cell(3, 4)))
    assert len(found) == 2


def test_a_version_tells_what_cannot_be_seen() -> None:
    assert len({digest(Net), digest(Net, "2"), digest(Net, "3")}) == 3


SCRIPT = """
import torch
from torch import nn
from glo.tasks import Task

class Net(nn.Linear):
    def extra_repr(self):
        return f"{object()}"

data = torch.arange(24.0).reshape(8, 3), torch.arange(8) % 4
net = lambda: (made := Net(3, 4), made.register_forward_hook(lambda *a: None))[0]
print(Task("mine", net, data, data).digest())
"""


def test_the_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Despite a memory address in its repr, and the numbers of its hooks."""
    script = tmp_path / "script.py"
    found: set[str] = set()
    for before in ("", "nn.Linear(1, 1).register_forward_hook(print)\n"):
        script.write_text(SCRIPT.replace("data =", before + "data ="))
        found.add(subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
    assert digest(lambda: Addressed(3, 4)) == digest(lambda: Addressed(3, 4))
