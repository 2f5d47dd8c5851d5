"""Work in child processes: results are those of this process, deaths are reported, and no child outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from glo.execution import Batch, ForkingExecutor, local_executor, train
from glo.execution.children import Died, Overdue, in_processes, spare_processes
from glo.expr import parse
from glo.records import Failure, Status, Training, TrainingConfig
from glo.tasks import Task
from processes import PATIENCE, alive, wait_until

CONFIG = TrainingConfig(steps=40, batch_size=10, learning_rates=(0.1,))
LOSSES = ["x*log(y)", "x*y", "x*sqrt(y)", "log(y) - x/y", "x + y*x", "x*log(y)*2", "square(x)*y", "x*log(x*y)", "x - y/x"]
TRAININGS = [Training(parse(loss), rate) for loss in LOSSES for rate in (0.1, 1.0)]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


def task_of(model: Callable[[], nn.Module], **options: Any) -> Task:
    generator = torch.Generator().manual_seed(1)
    targets = torch.arange(60) % 3
    inputs = torch.randn(60, 6, generator=generator) + 2 * torch.eye(3, 6)[targets]
    return Task("clusters", model, train=(inputs, targets), validation=(inputs, targets), test=(inputs, targets), **options)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def dropout() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(), nn.Linear(8, 3))


def cnn() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


@pytest.mark.parametrize("model", [mlp, dropout, cnn])
@pytest.mark.parametrize("seeds", [[3], [3, 4], [3, 4, 5]])
def test_results_do_not_depend_on_the_number_of_processes(model: Callable[[], nn.Module], seeds: list[int]) -> None:
    trainings = [training for training in TRAININGS for _ in seeds]
    batch = Batch(task_of(model), CONFIG, trainings, seeds * len(TRAININGS), test=True)
    done: list[int] = []
    found = [train(local_executor("cpu", processes), batch, done.append) for processes in (1, 2, 3)]
    assert found[0] == found[1] == found[2]
    assert len({str(result) for result in found[0]}) > 3
    assert done.count(len(trainings)) == 3


def test_each_part_has_a_process_of_one_thread() -> None:
    found = dict(in_processes(lambda part: (part, os.getpid(), torch.get_num_threads()), [5, 6, 7], 2))
    assert [found[position][0] for position in range(3)] == [5, 6, 7]  # pyright: ignore[reportIndexIssue]
    assert len({process for _, process, _ in found.values()} | {os.getpid()}) == 4  # pyright: ignore[reportGeneralTypeIssues]
    assert {threads for *_, threads in found.values()} == {1}  # pyright: ignore[reportGeneralTypeIssues]


def test_no_more_processes_run_at_once_than_asked_for(tmp_path: Path) -> None:
    def count(part: int) -> int:
        mine = tmp_path / str(part)
        mine.touch()
        started, most = time.monotonic(), 0
        # Wait until another one is seen, however slow the machine, and a little longer for a third; the last one is alone.
        while (waited := time.monotonic() - started) < 0.05 or (most < 2 and waited < 3):
            most = max(most, len(list(tmp_path.iterdir())))
        mine.unlink()
        return most

    assert max(most for _, most in in_processes(count, range(6), 2) if isinstance(most, int)) == 2


def test_an_exception_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_processes(lambda part: 1 // part, [1, 0], 2))


def test_a_death_is_reported_and_costs_only_its_part() -> None:
    def die(part: int) -> int:
        if part == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if part == 2:
            os._exit(3)
        return part

    found = dict(in_processes(die, range(4), 2))
    assert found == {0: 0, 1: Died(-signal.SIGKILL), 2: Died(3), 3: 3}
    assert [str(found[i]) for i in (1, 2)] == ["its process was killed by SIGKILL", "its process exited with 3"]


def test_a_child_that_takes_too_long_is_killed_and_costs_only_its_part(tmp_path: Path) -> None:
    """Even if it ignores SIGTERM and SIGINT."""

    def work(part: int) -> int:
        if part == 1:
            for ignored in (signal.SIGTERM, signal.SIGINT):
                signal.signal(ignored, signal.SIG_IGN)
            (tmp_path / "pid").write_text(str(os.getpid()))
            time.sleep(PATIENCE)
        return part

    started = time.monotonic()
    assert dict(in_processes(work, range(4), 2, limit=1.0)) == {0: 0, 1: Overdue(1.0), 2: 2, 3: 3}
    assert 1 <= time.monotonic() - started < PATIENCE / 2
    assert str(Overdue(1.0)) == "not ended after 1 s"
    assert not alive(int((tmp_path / "pid").read_text()))


def test_the_limit_applies_to_each_part_and_not_to_all_together() -> None:
    def work(part: int) -> int:
        time.sleep(0.3)
        return part

    assert dict(in_processes(work, range(4), 1, limit=PATIENCE)) == {part: part for part in range(4)}
    assert dict(in_processes(work, range(4), 1, limit=1.0)) == {part: part for part in range(4)}


def test_threads_may_fork_concurrently_and_each_notices_a_death() -> None:
    """If a child inherited the pipe of another thread's child, a death would go unnoticed until it ends."""

    def work(part: int) -> int:
        if part % 2:
            os._exit(3)
        time.sleep(0.2)
        return part

    found: list[dict[int, int | Died | Overdue]] = []
    threads = [
        threading.Thread(target=lambda: found.append(dict(in_processes(work, range(4), 2, limit=PATIENCE))))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [{0: 0, 1: Died(3), 2: 2, 3: Died(3)}] * len(threads)


def deadly(predictions: torch.Tensor, targets: torch.Tensor) -> float:
    """Kill the process of a network that is nearly always wrong, as only the second loss below makes it."""
    accuracy = float((predictions.argmax(1) == targets).float().mean())
    if accuracy < 0.1:
        os.kill(os.getpid(), signal.SIGKILL)
    return accuracy


@pytest.mark.parametrize("model", [mlp, cnn])
def test_a_candidate_that_kills_its_process_is_a_failure(model: Callable[[], nn.Module]) -> None:
    """Trained as one population at first, all die; trained one by one, only the candidate that kills."""
    losses = ["x*log(y)", "0 - x*y", "x*y", "x*sqrt(y)", "square(x)*y"]
    trainings = [Training(parse(loss), 0.1) for loss in losses]
    config = CONFIG.model_copy(update={"steps": 200})
    batch = Batch(task_of(model, metric=deadly), config, trainings, seeds=[0] * len(trainings))
    found = train(ForkingExecutor(2), batch)
    assert [isinstance(result, Failure) for result in found] == [False, True, False, False, False]
    assert found[1] == Failure(Status.CRASHED, "its process was killed by SIGKILL")


def test_a_caller_that_stops_early_waits_for_no_child(tmp_path: Path) -> None:
    def work(part: int) -> int:
        if part:
            (tmp_path / "pid").write_text(str(os.getpid()))
            time.sleep(PATIENCE)
        return part

    with closing(in_processes(work, [1, 0], 2)) as results:  # pyright: ignore[reportArgumentType]
        assert next(results) == (1, 0)
        wait_until((tmp_path / "pid").exists)
        wait_until(lambda: bool((tmp_path / "pid").read_text()))
    assert not alive(int((tmp_path / "pid").read_text()))


ORPHAN = """
import os, sys, time
from glo.execution.children import in_processes
def work(part):
    os.write(1, f"{os.getpid()}\\n".encode())  # both children write to one pipe: each writes its line at once
    time.sleep(60)
list(in_processes(work, [0, 1], 2))
"""


def test_children_do_not_outlive_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    children = [int(parent.stdout.readline()) for _ in range(2)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not any(alive(child) for child in children))


EARLY_ORPHAN = """
import ctypes, os, time
from glo.execution.children import in_processes
parent, library = os.getpid(), ctypes.CDLL
def ask_late(name):
    os.write(1, f"{os.getpid()}\\n".encode())
    while os.getppid() == parent:
        time.sleep(0.01)
    return library(name)
ctypes.CDLL = ask_late
list(in_processes(lambda part: time.sleep(600), [0], 1))
"""


def test_a_child_whose_parent_is_killed_before_it_asks_for_the_signal_does_not_outlive_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", EARLY_ORPHAN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not alive(child))


THRIFTY = """
import resource, torch
from glo.execution.children import in_processes
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work(part):
    before = faults()
    for _ in range(200):
        torch.ones(2**18)  # 256 pages, freed again
    return faults() - before
((_, found),) = in_processes(work, [None], 1)
print(found)
"""


def test_children_keep_freed_memory_though_the_environment_asks_to_return_it() -> None:
    """Dask sets this for its workers: each step of a training would request its pages again, 51,200 times here."""
    environment = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "65536"}
    found = subprocess.run([sys.executable, "-c", THRIFTY], env=environment, capture_output=True, text=True, check=True)
    assert int(found.stdout) < 5_000


def test_one_process_for_each_thread_but_one_on_a_gpu() -> None:
    torch.set_num_threads(3)
    assert spare_processes("cpu") == (1 if torch.cuda.is_available() else 3)
    assert spare_processes("cuda") == 1
