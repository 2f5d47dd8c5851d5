"""Fakes for tests of the code above the executors: an executor that trains nothing, and a cache that records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from glo.evaluation import MemoryCache
from glo.execution import Batch, Key
from glo.records import Failure, Outcome, Result, Status, Training, TrainingResult

# A result for each way in which a training can end.
RESULTS: dict[Status, Result] = {
    Status.TRAINED: TrainingResult(0.5),
    Status.STOPPED: TrainingResult(0.1, stopped=True),
    Status.DIVERGED: TrainingResult(0.0, diverged=True),
    Status.CRASHED: Failure(Status.CRASHED, "out of memory"),
    Status.TIMED_OUT: Failure(Status.TIMED_OUT, "not ended after 5 s"),
}


class FakeExecutor:
    """Makes results up, and records what it was asked to train.  Batches end in the order of their submission.

    Args:
        result: makes the result of a training and its seed.
        device: what it claims to train on.
        one_by_one: whether `next` returns one result of a batch at a time, the last first; otherwise all of them.

    Attributes:
        submitted: each training with its seed, in the order of submission.
    """

    slots = 1

    def __init__(
        self,
        result: Callable[[Training, int], Result] = lambda training, seed: TrainingResult(0.5),
        device: str = "cpu",
        one_by_one: bool = False,
    ) -> None:
        self.device = device
        self.submitted: list[tuple[Training, int]] = []
        self._result, self._one_by_one = result, one_by_one
        self._replies: deque[tuple[Key, dict[int, Result]]] = deque()

    @property
    def texts(self) -> list[str]:
        """The losses that were submitted; each once, even if it is trained at several learning rates."""
        return list(dict.fromkeys(str(training.expression) for training, _ in self.submitted))

    def submit(self, key: Key, batch: Batch) -> None:
        trainings = list(zip(batch.trainings, batch.seeds, strict=True))
        self.submitted += trainings
        results = {position: self._result(*each) for position, each in enumerate(trainings)}
        if self._one_by_one:
            self._replies.extend((key, {position: results[position]}) for position in reversed(results))
        else:
            self._replies.append((key, results))

    def next(self) -> tuple[Key, dict[int, Result]]:
        if not self._replies:
            raise RuntimeError("nothing is under way")
        return self._replies.popleft()

    def close(self) -> None:
        self._replies.clear()


class RecordingCache(MemoryCache):
    """Records the outcomes that it is given, by the text of their losses; for funnels of one seed and configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.remembered: dict[str, Outcome] = {}

    def remember(self, outcomes: Mapping[str, Mapping[str, Outcome]], /) -> None:
        assert outcomes
        for learned in outcomes.values():
            assert learned
            for mark, outcome in learned.items():
                assert mark == outcome.fingerprint
                assert outcome.expression not in self.remembered, "an outcome was remembered twice"
                self.remembered[outcome.expression] = outcome
        super().remember(outcomes)
