"""The memory of a population: an option or half of the free memory, and a population stays within it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from glo.records import TrainingConfig
from glo.tasks import Task, load_task
from glo.training.memory import ASSUMED_FREE, LIBRARY, PER_THREAD, budget, chunk_size, chunk_sizes, free_memory

GIB = 2**30
MEMINFO = "MemTotal:       16777216 kB\nMemFree:         1048576 kB\nMemAvailable:    8388608 kB\n"


def system(root: Path, limit: str | None, used: int = 0, meminfo: str = MEMINFO) -> Path:
    """Write the files of a Linux system; those of a control group only if it has a limit."""
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text(meminfo)
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True)
    if limit is not None:
        (group / "memory.max").write_text(limit + "\n")
        (group / "memory.current").write_text(f"{used}\n")
    return root


@pytest.mark.parametrize(
    ("limit", "used", "free"),
    [
        (None, 0, 8 * GIB),
        ("max", 3 * GIB, 8 * GIB),
        (str(4 * GIB), GIB, 3 * GIB),
        (str(40 * GIB), GIB, 8 * GIB),
        (str(GIB), 2 * GIB, 0),
    ],
)
def test_free_memory_respects_the_limit_of_a_container(tmp_path: Path, limit: str | None, used: int, free: int) -> None:
    assert free_memory(system(tmp_path, limit, used)) == free


@pytest.mark.parametrize("meminfo", ["", "MemAvailable:\n", "MemAvailable: much kB\n"])
def test_without_meminfo_free_memory_is_assumed(tmp_path: Path, meminfo: str) -> None:
    assert free_memory(system(tmp_path, None, meminfo=meminfo)) == ASSUMED_FREE
    assert free_memory(tmp_path / "nowhere") == ASSUMED_FREE


def test_budget_is_the_option_or_half_of_the_free_memory() -> None:
    assert budget(TrainingConfig(memory_mb=7), "cpu") == 7 * 2**20
    free = free_memory()
    assert free / 4 < budget(TrainingConfig(), "cpu") < free


def test_a_chunk_has_at_least_one_network_and_grows_with_memory() -> None:
    task, config = load_task("digits"), TrainingConfig()
    model: nn.Module = task.model()
    sizes = [chunk_size(model, task, config, memory) for memory in (0, LIBRARY + GIB // 4, LIBRARY + GIB // 2)]
    assert sizes[0] == 1
    assert 2 * sizes[1] <= sizes[2] <= 2 * sizes[1] + 1


def test_a_chunk_has_room_for_the_tokens_of_an_embedding_bag() -> None:
    tokens, config = torch.zeros(1000, 500, dtype=torch.int64), TrainingConfig()
    data = tokens, torch.arange(1000) % 2
    task = Task("bag", lambda: nn.Sequential(nn.EmbeddingBag(3, 2)), data, data)
    assert chunk_size(task.model(), task, config, 40 * 1000 * 2 * 4 * 500) <= 40


def test_chunks_have_about_the_same_size() -> None:
    assert chunk_sizes(10, 4, "cuda") == [3, 3, 4]
    assert chunk_sizes(10, 10, "cuda") == [10]
    assert chunk_sizes(0, 10, "cuda") == []


def test_a_chunk_on_a_cpu_has_so_many_networks_for_each_thread() -> None:
    most = PER_THREAD * torch.get_num_threads()
    assert chunk_sizes(2 * most, 10 * most, "cpu") == [most, most]
    assert chunk_sizes(2 * most, 10 * most, "cuda") == [2 * most]


def test_what_autograd_keeps_of_a_functional_model_counts() -> None:
    """Its memory is not in the outputs of its modules."""
    data, config = (torch.zeros(100, 2), torch.arange(100) % 2), TrainingConfig()
    narrow, wide = (Task(f"width {width}", lambda width=width: Repeated(width), data, data) for width in (1, 1000))
    sizes = [chunk_size(task.model(), task, config, GIB) for task in (narrow, wide)]
    assert sizes[0] > 100 * sizes[1] > 0


class Repeated(nn.Module):
    def __init__(self, times: int) -> None:
        super().__init__()
        self.layer, self.times = nn.Linear(2, 2), times

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layer(inputs).repeat(1, self.times).exp().unflatten(1, (self.times, 2)).mean(1)


# Not ru_maxrss, which a process inherits from its parent.
PEAK = r"""
import re, sys, torch
from pathlib import Path
from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import load_task
from glo.training import train_population
torch.set_num_threads(1)
def train(networks, memory):
    config = TrainingConfig(steps=3, memory_mb=memory)
    train_population(load_task("digits"), [Training(parse("x*log(y)"), 0.1)] * networks, config, 0)
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = train(2, 100)
print(train(int(sys.argv[1]), int(sys.argv[2])) - before)
"""


def peak(networks: int, memory: int) -> float:
    """MiB by which a process grows while it trains a population."""
    command = [sys.executable, "-c", PEAK, str(networks), str(memory)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_a_population_stays_within_its_memory() -> None:
    assert peak(1500, 1000) > 10, "without a limit the population must be larger than the limit"
    assert peak(1500, 6) < 6
