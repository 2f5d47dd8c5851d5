"""A child that stays does one piece of work after another, tells a death or an exception, and ends with its parent."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial

import pytest
import torch

from glo.execution.children import Died, Overdue
from glo.execution.lasting import LastingChild
from processes import alive, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="children are forked on Linux only")


@pytest.fixture
def child() -> Iterator[LastingChild]:
    made = LastingChild()
    yield made
    made.end()


def test_it_is_one_process_of_one_thread(child: LastingChild) -> None:
    assert child.call(os.getpid) == child.call(os.getpid) != os.getpid()
    assert child.call(torch.get_num_threads) == 1
    assert child.call(partial(math.pow, 2, 5), limit=60) == 32
    assert not child.ended


def test_it_sets_its_environment_first() -> None:
    child = LastingChild({"GLO_TEST_CARD": "GPU-a"})
    assert child.call(partial(os.getenv, "GLO_TEST_CARD")) == "GPU-a"
    assert "GLO_TEST_CARD" not in os.environ
    child.end()


def test_an_exception_is_raised_here_and_the_child_goes_on(child: LastingChild) -> None:
    first = child.call(os.getpid)
    with pytest.raises(ValueError, match="math domain error"):
        child.call(partial(math.sqrt, -1))
    assert child.call(os.getpid) == first


def test_a_death_is_told_and_ends_the_child(child: LastingChild) -> None:
    assert child.call(partial(signal.raise_signal, signal.SIGKILL)) == Died(-signal.SIGKILL)
    assert child.ended


def test_an_exit_is_a_death(child: LastingChild) -> None:
    assert child.call(partial(os._exit, 3)) == Died(3)
    assert child.ended


def test_a_death_between_two_pieces_of_work_is_told_with_the_next(child: LastingChild) -> None:
    process = child.call(os.getpid)
    assert isinstance(process, int)
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: not alive(process))
    assert child.call(os.getpid) == Died(-signal.SIGKILL)


def test_what_takes_too_long_is_killed(child: LastingChild) -> None:
    process = child.call(os.getpid)
    assert isinstance(process, int)
    assert child.call(partial(time.sleep, 600), limit=0.2) == Overdue(0.2)
    assert child.ended
    assert not alive(process)


def test_work_that_cannot_be_sent_ends_the_child(child: LastingChild) -> None:
    with pytest.raises((AttributeError, TypeError, OSError), match=r"pickle"):
        child.call(lambda: None)
    assert child.ended


ORPHAN = """
import os, time
from functools import partial
from glo.execution.lasting import LastingChild
child = LastingChild()
print(child.call(os.getpid), flush=True)
child.call(partial(time.sleep, 600))
"""


def test_it_does_not_outlive_a_killed_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    process = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not alive(process))
