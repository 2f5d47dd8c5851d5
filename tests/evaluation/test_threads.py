"""Computations of small arrays take one thread of PyTorch, and leave its number of threads alone."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest
import torch

from glo.evaluation.descent import DescentProbe
from glo.evaluation.threads import one_thread
from glo.expr import parse
from glo.records import Link, TrainingConfig


@pytest.fixture(autouse=True)
def three_threads() -> None:
    torch.set_num_threads(3)  # every test ends with the number of before


def test_the_descent_probe_takes_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    descend = DescentProbe._descend

    def noting(probe: DescentProbe, expressions: list) -> torch.Tensor:
        seen.append(torch.get_num_threads())
        return descend(probe, expressions)

    monkeypatch.setattr(DescentProbe, "_descend", noting)
    DescentProbe(Link.SOFTMAX, 10, TrainingConfig())([parse("x*log(y)")])
    assert seen == [1]
    assert torch.get_num_threads() == 3


def test_threads_of_python_restore_their_own_number() -> None:
    inside, first_has_left = Barrier(2), Barrier(2)
    seen: list[int] = []

    def first() -> None:
        torch.set_num_threads(3)
        with one_thread():
            inside.wait()
        seen.append(torch.get_num_threads())
        first_has_left.wait()

    other = Thread(target=first)
    other.start()
    with one_thread():
        inside.wait()
        first_has_left.wait()
        assert torch.get_num_threads() == 1
    other.join()
    assert [*seen, torch.get_num_threads()] == [3, 3]


def test_an_error_restores_it_too() -> None:
    with pytest.raises(ValueError, match="mine"), one_thread():
        raise ValueError("mine")
    assert torch.get_num_threads() == 3
