"""The user's code fails in each of ten ways, in each place that a training runs: an outcome, and the next training works."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator

import pytest

from failing import PLACES, TIME_LIMIT, WAYS, check_outcome, failing_batch
from glo.errors import UserCodeError
from glo.execution import ForkingExecutor, can_fork, rehearse_for, train
from glo.records import TrainingResult

pytestmark = pytest.mark.skipif(not can_fork("cpu"), reason="forking is not safe here (no Linux, or a GPU in sight)")


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def executor(request: pytest.FixtureRequest) -> Iterator[ForkingExecutor]:
    executor = ForkingExecutor(request.param, TIME_LIMIT)
    yield executor
    executor.close()
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_a_training_that_fails_is_an_outcome(executor: ForkingExecutor, way: str, place: str) -> None:
    (result,) = train(executor, failing_batch(way, place))
    check_outcome(result, way)
    (next_one,) = train(executor, failing_batch(way, "nowhere"))
    assert isinstance(next_one, TrainingResult)


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("nan", "thread")])
def test_code_that_always_fails_is_refused_in_the_rehearsal(executor: ForkingExecutor, way: str) -> None:
    batch = failing_batch(way, "forward")
    with pytest.raises(UserCodeError, match=r"task 'failing': (the model fails in training|a training of a few steps)"):
        rehearse_for(executor, batch.task, batch.config, TIME_LIMIT)
