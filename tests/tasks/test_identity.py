"""A custom metric is part of a task's digest by what it does, in the same way in every process."""

from __future__ import annotations

import functools
import json
import math
import os
import statistics
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glo.tasks import METRICS, Task
from glo.tasks.content import describe
from small import with_metric

DATA = torch.arange(24.0).reshape(8, 3), torch.arange(8) % 4


def digest(metric: Any, version: str = "") -> str:
    """The digest of a task with this metric, which is not called: some of these return no number."""
    task = Task("points", lambda: nn.Linear(3, 4), DATA, DATA, version=version)
    return with_metric(task, metric or task.metric).digest()


def scaled(scale: object) -> Callable[..., Any]:
    """A metric with a value in its closure."""
    return lambda predictions, targets: (predictions, targets, scale)


def with_default(scale: object) -> Callable[..., Any]:
    def metric(predictions: Tensor, targets: Tensor, scale: object = scale) -> Any:
        return predictions, targets, scale

    return metric


def with_keyword(scale: object) -> Callable[..., Any]:
    def metric(predictions: Tensor, targets: Tensor, *, scale: object = scale) -> Any:
        return predictions, targets, scale

    return metric


def in_partial(scale: object) -> Callable[..., Any]:
    return functools.partial(lambda scale, predictions, targets: (predictions, targets, scale), scale)


def by_attribute(scale: object) -> Callable[..., Any]:
    def metric(predictions: Tensor, targets: Tensor) -> Any:
        return predictions, targets

    vars(metric)["scale"] = scale
    return metric


class Scaled:
    """A callable object."""

    def __init__(self, scale: object) -> None:
        self.scale = scale

    def __call__(self, predictions: Tensor, targets: Tensor) -> Any:
        return predictions, targets, self.scale

    def score(self, predictions: Tensor, targets: Tensor) -> Any:
        return self(predictions, targets)


@dataclass(frozen=True, slots=True)
class Slotted:
    """A callable object without a __dict__."""

    scale: object

    def __call__(self, predictions: Tensor, targets: Tensor) -> Any:
        return predictions, targets, self.scale


class Layer(nn.Module):
    """A callable object of PyTorch, with state in a buffer."""

    def __init__(self, scale: object) -> None:
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(str(scale))))


class Side(Enum):
    """Values with a name."""

    LEFT = 1
    RIGHT = 2


HOLDERS: list[Callable[[object], Any]] = [
    scaled, with_default, with_keyword, in_partial, by_attribute, Scaled, Slotted, lambda scale: Scaled(scale).score,
]  # fmt: skip
VALUES: list[tuple[object, object]] = [
    (1, 2),
    (1, 1.0),
    (1, True),
    (1, None),
    (0.0, -0.0),
    ("a", "b"),
    (b"a", b"b"),
    (1j, 2j),
    (Fraction(1, 3), Fraction(2, 3)),
    ((1, 2), (2, 1)),
    ((1, 2), [1, 2]),
    ([[1], 2], [1, [2]]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, {1: "a"}),
    ({"a", "b"}, {"a", "c"}),
    (frozenset({1}), {1}),
    (range(3), range(4)),
    (Side.LEFT, Side.RIGHT),
    (Side.LEFT, 1),
    (torch.float32, torch.float64),
    (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0])),
    (torch.tensor([1, 2]), torch.tensor([[1, 2]])),
    (torch.tensor([1.0]).bfloat16(), torch.tensor([2.0]).bfloat16()),
    (torch.eye(2).to_sparse(), 2 * torch.eye(2).to_sparse()),
    (np.array([1, 2]), np.array([1, 3])),
    (np.array([1, 2]), np.array([1, 2], np.int8)),
    (np.array(["a", None], object), np.array(["b", None], object)),
    (np.float32(1), np.float32(2)),
    (scaled(1), scaled(2)),
    (scaled(scaled(1)), scaled(scaled(2))),
    (lambda y: y, lambda y: -y),
    (Scaled(1), Scaled(2)),
    (nn.Linear(1, 1), nn.Linear(1, 2)),
    (torch.sum, torch.mean),
    (np.maximum, np.minimum),
    (math.sin, math.cos),
    ([1].count, [2].count),
    (nn.functional.relu, nn.functional.gelu),
    (statistics.mean, statistics.median),
    (torch.Tensor.sum, torch.Tensor.mean),
    (math, statistics),
    (nn.ReLU, nn.GELU),
]


@pytest.mark.parametrize("hold", HOLDERS)
def test_a_value_that_a_metric_refers_to_counts(hold: Callable[[object], Any]) -> None:
    assert digest(hold(1)) == digest(hold(1))
    assert digest(hold(1)) != digest(hold(2))


@pytest.mark.parametrize("pair", VALUES, ids=range(len(VALUES)))  # a repr may have an address, or a set in any order
def test_different_values_have_different_descriptions(pair: tuple[object, object]) -> None:
    one, other = pair
    assert describe(scaled(one)) != describe(scaled(other))
    assert describe(scaled(one)) == describe(scaled(one))


def test_different_lambdas_have_different_digests() -> None:
    one = lambda y, x: (y.argmax(1) == x).float().mean()  # noqa: E731
    other = lambda y, x: (y.argmin(1) == x).float().mean()  # noqa: E731
    again = lambda y, x: (y.argmax(1) == x).float().mean()  # noqa: E731
    assert digest(one) == digest(again) != digest(other)


def test_different_lambdas_on_one_line_have_different_digests() -> None:
    one, other = (lambda y, x: y.sum() + 1), (lambda y, x: y.sum() + 2)
    assert digest(one) != digest(other)


def test_a_built_in_metric_counts_by_name() -> None:
    assert digest("accuracy") == digest(None)
    assert len({digest(name) for name in METRICS}) == len(METRICS)


def test_the_version_counts() -> None:
    assert digest("accuracy", "") == digest("accuracy")
    assert len({digest("accuracy", version) for version in ("", "1", "2")}) == 3


def module(name: str, text: str) -> types.ModuleType:
    made = types.ModuleType(name)
    exec(compile(f"import functools\n{text}", f"{name}.py", "exec"), vars(made))  # noqa: S102 - a module in a test
    return made


METRIC = """
def helper(y):
    return y.mean() * FACTOR

FACTOR, UNUSED = 2.0, 1

class Scorer:
    bias = 0
    @property
    def factor(self):
        return 3
    @staticmethod
    def shifted(y):
        return y + 4
    @classmethod
    def made(cls):
        return cls()
    @functools.cached_property
    def power(self):
        return 5
    def __call__(self, y, x):
        return helper(y) * self.factor

class Better(Scorer):
    pass

def metric(y, x):
    return [helper(part) for part in y]

def recursive(y, x):
    return other(y, x)

def other(y, x):
    return recursive(y, x) if len(y) > 6 else y

scorer = Better()
"""


@pytest.mark.parametrize(
    ("attribute", "old", "new"),
    [
        ("metric", "y.mean()", "y.sum()"),
        ("metric", "2.0", "2.5"),
        ("recursive", "> 6", "> 7"),
        ("scorer", "bias = 0", "bias = 1"),
        ("scorer", "return 3", "return 4"),
        ("scorer", "y + 4", "y + 5"),
        ("scorer", "return cls()", "return cls"),
        ("scorer", "return 5", "return 6"),
        ("scorer", "helper(y) * self", "helper(x) * self"),
        ("scorer", "2.0", "2.5"),
    ],
)
def test_code_that_a_metric_uses_counts(attribute: str, old: str, new: str) -> None:
    def described(text: str) -> str:
        return describe(getattr(module("scores", text), attribute))

    assert old in METRIC
    assert described(METRIC) != described(METRIC.replace(old, new))
    assert described(METRIC) == described(METRIC.replace("UNUSED = 2.0, 1", "UNUSED = 2.0, 2"))


def test_members_of_the_users_own_modules_count() -> None:
    package, member = types.ModuleType("own"), module("own.scores", METRIC)
    vars(package)["scores"] = member
    metric = lambda y, x: own.scores.helper(y)  # noqa: E731, F821  # pyright: ignore[reportUndefinedVariable]
    metric = types.FunctionType(metric.__code__, {"own": package})
    before = describe(metric)
    vars(member)["UNUSED"] = 5
    assert describe(metric) == before
    vars(member)["FACTOR"] = 5
    assert describe(metric) != before


DECORATORS: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "torch.no_grad": torch.no_grad(),
    "torch.jit.script": torch.jit.script,
    "functools.cache": functools.cache,
    "functools.wraps": lambda metric: functools.wraps(metric)(lambda *given: metric(*given)),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", DECORATORS)
def test_a_decorated_metric_counts_by_its_own_code(name: str) -> None:
    def one(y: Tensor, x: Tensor) -> Tensor:
        return y.sum()

    def same(y: Tensor, x: Tensor) -> Tensor:
        return y.sum()

    def other(y: Tensor, x: Tensor) -> Tensor:
        return y.mean()

    same.__qualname__ = other.__qualname__ = one.__qualname__
    first, second, third = (describe(DECORATORS[name](metric)) for metric in (one, same, other))
    assert first == second != third


def test_attributes_of_a_packages_own_function_do_not_count() -> None:
    """torch.compile stores an address in one."""
    metric = torch.no_grad()(scaled(1))
    before = describe(metric)
    vars(metric)["_id"] = id(metric)
    assert describe(metric) == before


def test_circular_references_can_be_described() -> None:
    loop: list[object] = [1]
    loop.append(loop)
    handlers: set[object] = set()
    handlers.add(functools.partial(lambda kept, y, x: kept, [handlers]))
    for value in (loop, handlers, scaled(loop), Scaled(Scaled)):
        assert describe(value) == describe(value)


def test_a_long_chain_of_objects_can_be_described() -> None:
    chain: object = None
    for number in range(5000):
        chain = [number, chain]
    assert len(json.loads(describe(chain))[1]) == 5000


def test_the_description_does_not_change_with_use() -> None:
    """Python replaces the instructions of a function that is called often."""
    scorer = module("scores", METRIC).metric
    before = describe(scorer)
    for _ in range(200):
        scorer(torch.ones(3, 2), None)
    assert describe(scorer) == before


def test_attributes_of_library_objects_count_if_they_can_be_called() -> None:
    assert describe(Layer(1)) == describe(Layer(1)) != describe(Layer(2))


SCRIPT = """
import functools, logging, sys
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import torch
from torch import nn
from glo.tasks import Task

logger, here = logging.getLogger(__name__), Path(__file__)
WEIGHTS, NAMES = {"b": torch.ones(2), "a": np.ones(3)}, {"one", "two", "three", "four"}

@dataclass
class Penalty:
    size: float
    kinds: frozenset = frozenset({"l1", "l2", "l3"})
    def __call__(self, y):
        return self.size * y.abs().mean() * (0.5 if "l1" in {"l1", "l4", "l5"} else 1)

def helper(y):
    logger.debug("%s", here)
    return y.sum() * len(WEIGHTS) if "two" in NAMES else recursive(y)

def recursive(y):
    return helper(y)

penalty = Penalty(0.1)

@torch.no_grad()
def metric(y, x, *, scale=2.0, kept={"x", "y", "z"}):
    return float(scale * helper(y) - penalty(y) + sum(part.mean() for part in y)) + len(kept)

data = torch.arange(24.0).reshape(8, 3), torch.arange(8) % 4
task = Task("points", lambda: nn.Linear(3, 4), data, data, metric=functools.partial(metric, scale=3.0))
"""


def run_python(script: Path, hash_seed: int) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_digest_is_the_same_in_every_process(tmp_path: Path) -> None:
    """Despite other string hashes, file names and line numbers; in the main module, imported and unpickled."""
    one, other = tmp_path / "one" / "script.py", tmp_path / "other" / "renamed.py"
    pickled = tmp_path / "task.pickle"
    for path, empty_lines in ((one, 0), (other, 30)):
        path.parent.mkdir()
        sent = f"Path({str(pickled)!r}).write_bytes(cloudpickle.dumps(task))"
        ending = f"if __name__ == '__main__':\n    import cloudpickle\n    print(task.digest())\n    {sent}\n"
        path.write_text("\n" * empty_lines + SCRIPT + ending)
    third = tmp_path / "one" / "third.py"
    third.write_text(
        "import cloudpickle, script\nfrom pathlib import Path\n"
        f"received = cloudpickle.loads(Path({str(pickled)!r}).read_bytes())\n"
        "for _ in range(100):\n    received.score(received.train.inputs, received.train.targets)\n"
        "print(received.digest(), script.task.digest())\n"
    )
    found = [*run_python(one, 1), *run_python(other, 2), *run_python(third, 3)]
    assert len(found) == 4
    assert len(set(found)) == 1


def test_a_metric_can_be_sent_from_a_test() -> None:
    original = with_metric(Task("points", lambda: nn.Linear(3, 4), DATA, DATA), scaled(torch.ones(3)))
    assert cloudpickle.loads(cloudpickle.dumps(original)).digest() == original.digest()
