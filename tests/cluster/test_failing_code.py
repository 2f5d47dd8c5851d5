"""On workers too, the user's code may fail in each of ten ways, in each place that a training runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")

from failing import PLACES, TIME_LIMIT, WAYS, check_outcome, failing_batch
from glo.execution import Executor, open_executor
from glo.execution.dask.config import LocalConfig

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with open_executor(LocalConfig(workers=2, retries=0), "cpu", TIME_LIMIT) as executor:
        yield executor


def test_a_training_that_fails_is_an_outcome(executor: Executor) -> None:
    """All at once, so that what fails meets what works."""
    keys = [(way, place) for way in WAYS for place in (*PLACES, "nowhere")]
    for way, place in keys:
        executor.submit((way, place), failing_batch(way, place))
    for _ in keys:
        key, results = executor.next()
        assert isinstance(key, tuple)
        way, place = key
        check_outcome(results[0], way if place != "nowhere" else "thread")
