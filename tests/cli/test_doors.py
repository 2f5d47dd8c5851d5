"""No traceback at the door: random command lines and files end with exit code 0, or in one line and exit code 2."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import typer.main

from cli.conftest import Glo, Result
from glo.cli.app import app
from glo.store import Store
from glo.testing.store_base import generation, trained

TASK = """
import torch
from torch import nn
import glo

inputs = torch.randn(24, 3, generator=torch.Generator().manual_seed(0))
data = inputs, (inputs[:, 0] > 0).long()
task = glo.Task("mine", lambda: nn.Linear(3, 2), data, data, data, training={"steps": 2})
number = 3

def broken():
    raise glo.errors.TaskError("broken")
"""
MINE = ["--task", "doortask:task"]
STUDY = ["--steps", "2", *MINE]
# Each command, what makes it valid, and what is given last, so that nothing trains for long, whatever was drawn before.
COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "demo": ([], ["--out", "/proc/demo"]),
    "search": ([], ["--population", "3", "--generations", "1", "--slots", "1", "--baselines", "none", *STUDY]),
    "tune": (["x*log(y)"], ["--iterations", "1", "--population", "4", "--repeats", "1", *STUDY]),
    "enumerate": ([], ["--max-depth", "1", "--repeats", "1", *STUDY]),
    "compare": (["x*y"], ["--repeats", "2", "--tuning-seeds", "1", "--learning-rate", "0.1", *STUDY]),
    "resume": (["first"], []),
    "runs": ([], []),
    "show": (["x*y"], []),
    "evaluate": (["x*log(y)"], STUDY),
    "export": (["x*y"], []),
    "tasks": ([], []),
    "cluster check": ([], ["nowhere.toml"]),
    "cluster certs": ([], []),
    "experiment list": ([], []),
    "experiment run": (["noise"], ["--out", "/proc/experiment"]),
}
PLAIN = """
- -- --- -1 0 1 2 0.5 -0.0 1e999 nan inf 1,2 , 99999999999999999999 ü \udcff ' %s {} [bold]
x*y -x*y x* x*y^2 baikal paper default effective taylor3 latex cpu gpu cuda:x first digits
. .. / /proc /dev/null nowhere/x ~ ~nobody/x a?b a.png a.toml garbage.toml deep.toml glo.db garbage.db folder
a=b = training.steps=2 training.learning_rates=[] training.learning_rates=nan training.eps=-1 x.....=1
training.steps={} genetic.weights.log=-1 genetic.weights={} funnel=3 phases=[] seed=[[
sqlite:// sqlite:///:memory: sqlite:///glo.db?mode=nonsense&uri=true sqlite:///glo.db?timeout=x
postgresql:// postgresql://u@ http://h:p/x doortask:task doortask:number doortask:broken doortask:nothing doortask: : os:path
nowhere:task json:dumps local:² ssh: tls:// tcp://
"""
LONG = ["y" + "+y" * 600, "x" * 300, "a" * 200 + "/b", "seed=" + "[" * 5000]
WORDS = ["", " ", "-square(x - y)", *LONG, *PLAIN.split()]
LINES = 8


def seeded(seed: int | str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - no secrets here


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task, and files that are not what they seem."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # glo adds the current folder
    monkeypatch.delitem(sys.modules, "doortask", raising=False)
    (tmp_path / "doortask.py").write_text(TASK)
    (tmp_path / "folder").mkdir()
    (tmp_path / "garbage.db").write_bytes(seeded(0).randbytes(5000))
    (tmp_path / "garbage.toml").write_bytes(seeded(1).randbytes(500))
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    return tmp_path


def options_of(command: str) -> list[str]:
    found: object = typer.main.get_command(app)
    for word in command.split():
        found = found.commands[word]  # pyright: ignore[reportAttributeAccessIssue]
    return [name for parameter in found.params for name in parameter.opts if name.startswith("-")]  # pyright: ignore


def drawn(rng: random.Random, command: str) -> list[str]:
    """A random command line: the valid one with options, values and words put into it."""
    valid, last = COMMANDS[command]
    words, options = list(valid), options_of(command)
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        part = [rng.choice(options), rng.choice(WORDS)]
        if rng.random() < 0.3:
            part = [rng.choice([part[0], part[1], "=".join(part), "--nonsense"])]
        words[rng.randint(0, len(words)) :] = [*part, *words[len(words) :]]
    return [*command.split(), *words, *last]


def assert_ended_with_a_word(result: Result, about: object) -> None:
    assert result.code in (0, 2), (about, result)
    assert "Traceback" not in result.out + result.err, (about, result)
    if result.code == 2 and "Usage:" not in result.err:
        assert result.err.startswith("Error: "), (about, result)
        assert result.err.count("\n") == 1, (about, result)


@pytest.mark.parametrize("command", COMMANDS)
def test_random_command_lines(glo: Glo, files: Path, command: str) -> None:
    rng = seeded(command)
    for _ in range(LINES):
        arguments = drawn(rng, command)
        assert_ended_with_a_word(glo(*arguments), arguments)


def changed(rng: random.Random, content: bytes) -> bytes:
    """The content with some bytes changed, cut off, or repeated."""
    part = bytearray(content)
    for _ in range(rng.choice([1, 3, 30])):
        start = rng.randrange(len(part))
        part[start : start + rng.choice([1, 1, 8, 100])] = rng.choice(
            [rng.randbytes(1), rng.randbytes(8), b"", b'"', b"[", b"="]
        )
        part = part or bytearray(b"\0")
    return bytes(part)


def test_random_stores(glo: Glo, tmp_path: Path) -> None:
    store = Store(tmp_path / "good.db")
    store.create_study("first", {"task": {"name": "digits", "digest": "d", "link": "softmax"}}, {})
    store.record("first", generation(0, [trained("x*y", "f"), trained("x*log(y)", "g")]))
    store.close()
    good, rng = (tmp_path / "good.db").read_bytes(), seeded(0)
    for number in range(2 * LINES):
        (tmp_path / f"{number}.db").write_bytes(changed(rng, good))
        for arguments in (["runs"], ["runs", "first"], ["show", "--study", "first"]):
            assert_ended_with_a_word(glo(*arguments, "--storage", f"{number}.db"), number)


CONFIG = b"""
phases = ["genetic", "coefficients"]
[training]
steps = 2
learning_rates = [0.1, 0.01]
[genetic]
generations = 1
population = 2
[genetic.weights]
log = 1.0
"""
CLUSTER = b"""
kind = "slurm"
min_jobs = 1
max_jobs = 2
memory = "4GB"
options = ["--partition=gpu"]
"""


def test_random_configurations(glo: Glo, files: Path) -> None:
    rng = seeded(0)
    for number in range(2 * LINES):
        (files / "a.toml").write_bytes(changed(rng, CONFIG))
        result = glo("search", *MINE, "--config", "a.toml", "--storage", "nowhere/glo.db")
        assert_ended_with_a_word(result, number)


def test_random_clusters(glo: Glo, files: Path) -> None:
    rng = seeded(0)
    for number in range(2 * LINES):
        (files / "a.toml").write_bytes(changed(rng, CLUSTER))
        assert_ended_with_a_word(glo("cluster", "check", "a.toml"), number)
