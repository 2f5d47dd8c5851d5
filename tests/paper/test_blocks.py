"""Networks that fail are trained again with other seeds, counted and published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from compare.scripted import BRIEF, answered, task_of
from glo.catalog import baikal, cross_entropy
from glo.compare.procedures import Procedure, Request, run_all
from glo.compare.rows import Contender
from glo.execution import Batch, InlineExecutor, Key
from glo.paper.experiment.accuracy import LOSSES
from glo.paper.experiment.blocks import ATTEMPTS, Plan, measure_conditions, measured_rows, repeat
from glo.paper.experiment.context import ExperimentContext, provenance
from glo.records import Failure, Result, Status, Training, TrainingResult, derive_seeds
from glo.store import Store

SEEDS = derive_seeds(0, "test", 3 * ATTEMPTS)
CONTENDERS = {"cross_entropy": Contender(cross_entropy, "", 0.1, 0.0), "baikal": Contender(baikal, "", 0.01, 0.0)}
PLAN = Plan(task="digits", samples=100, fractions=(0.5, 1), steps=(6, 12), n=2, ladder=(0.1, 1), batch_size=20)
CRASHED, TIMED_OUT = Failure(Status.CRASHED, "out of memory"), Failure(Status.TIMED_OUT, "no result after 60 s")
GOOD, DIVERGED = TrainingResult(0.6, test=0.5), TrainingResult(0.0, diverged=True, test=0.0)


def failing(diverged: Sequence[int], crashed: Sequence[int] = ()) -> Callable[[Batch], list[Result]]:
    """Results in which cross-entropy diverges or crashes with some seeds."""

    def answer(batch: Batch) -> list[Result]:
        return [one(training, seed) for training, seed in zip(batch.trainings, batch.seeds, strict=True)]

    def one(training: Training, seed: int) -> Result:
        if training.expression == cross_entropy and seed in crashed:
            return CRASHED
        return DIVERGED if training.expression == cross_entropy and seed in diverged else GOOD

    return answer


def repeated(answer: Callable[[Batch], list[Result]]) -> dict[str, list[Result]]:
    return answered(repeat(task_of(), BRIEF, CONTENDERS, 3, seed=0), answer)


class Ending:
    """An executor that does not train: all trainings end with the same result."""

    slots, device = 1, "cpu"

    def __init__(self, result: Result = GOOD, device: str = "cpu") -> None:
        self._result, self.device = result, device
        self._batches: list[tuple[Key, Batch]] = []
        self.waited = 0  # how many batches had been submitted at the first wait

    def submit(self, key: Key, batch: Batch) -> None:
        self._batches.append((key, batch))

    def next(self) -> tuple[Key, dict[int, Result]]:
        self.waited = self.waited or len(self._batches)
        key, batch = self._batches.pop()
        return key, dict.fromkeys(range(len(batch)), self._result)

    def close(self) -> None:
        self._batches.clear()


def context_at(folder: Path, executor: Any) -> ExperimentContext:
    folder.mkdir(exist_ok=True)
    return ExperimentContext(folder / "glo.db", Store(folder / "glo.db"), executor=executor)


def test_failures_are_kept_and_trained_again() -> None:
    results = repeated(failing(diverged=[SEEDS[1], SEEDS[3]], crashed=[SEEDS[4]]))
    assert results["cross_entropy"] == [GOOD, DIVERGED, GOOD, DIVERGED, CRASHED, GOOD]
    assert results["baikal"] == [GOOD] * 3
    rows = measured_rows(CONTENDERS, results, 3)
    assert (rows["cross_entropy"]["values"], rows["cross_entropy"]["failed"]) == ([0.5] * 3, 3)
    assert (rows["baikal"]["values"], rows["baikal"]["failed"]) == ([0.5] * 3, 0)


def test_a_loss_that_never_trains_counts_as_zero() -> None:
    row = measured_rows(CONTENDERS, repeated(failing(diverged=SEEDS)), 3)["cross_entropy"]
    assert (row["values"], row["failed"]) == ([0.0] * 3, 3 * ATTEMPTS)


def listed(context: ExperimentContext) -> list[dict[str, Any]]:
    """The list of the trainings after two of them."""
    runs: list[dict[str, Any]] = []

    def procedure() -> Procedure[str]:
        yield Request("training", Batch(task_of(), BRIEF, [Training(baikal, 0.1)], [3]))
        yield Request("training", Batch(task_of(), BRIEF, [Training(cross_entropy, 0.2)], [4]))
        return "done"

    assert run_all(context.caching_executor, [context.listing(procedure(), runs, block="b")]) == ["done"]
    return runs


@pytest.mark.parametrize("failure", [CRASHED, TIMED_OUT])
def test_a_failed_training_is_published_with_its_status(failure: Failure, tmp_path: Path) -> None:
    first, second = listed(context_at(tmp_path, Ending(failure)))
    assert (first["status"], first["reason"]) == (failure.status.value, failure.reason)
    assert (first["block"], first["steps"], first["learning_rate"], first["seed"]) == ("b", BRIEF.steps, 0.1, 3)
    assert (second["expression"], second["seed"]) == (str(cross_entropy), 4)
    assert "validation" not in first


def test_a_training_is_published_with_the_commit_of_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = ("first", "second")
    found: list[list[dict[str, Any]]] = []
    for commit in commits:
        monkeypatch.setattr("glo.paper.experiment.caching.commit", lambda commit=commit: commit)
        context = context_at(tmp_path, Ending())
        found.append(listed(context))
        context.store.close()
    assert [run["commit"] for run in found[0]] == ["first", "first"]
    assert found[1] == found[0]


def test_all_blocks_of_all_conditions_are_submitted_at_once(tmp_path: Path) -> None:
    executor = Ending()
    measured = measure_conditions(context_at(tmp_path, executor), PLAN, LOSSES)
    assert executor.waited == 8
    assert [condition["steps"] for condition in measured] == [6, 12, 6, 12]
    assert [condition["fraction"] for condition in measured] == [0.5, 0.5, 1, 1]


def test_the_list_of_the_trainings_does_not_depend_on_the_order_of_the_results(tmp_path: Path) -> None:
    class NewestFirst(InlineExecutor):
        def next(self) -> tuple[Key, dict[int, Result]]:
            self._waiting.rotate(1)
            return super().next()

    contexts = [context_at(tmp_path / name, make()) for name, make in (("a", InlineExecutor), ("b", NewestFirst))]
    first, second = ((measure_conditions(context, PLAN, LOSSES), context.runs) for context in contexts)
    assert first == second
    assert list(dict.fromkeys((run["fraction"], run["steps"], run["block"]) for run in first[1])) == [
        (fraction, steps, block) for fraction in (0.5, 1) for steps in (6, 12) for block in ("paper's rate", "own rate")
    ]


def test_the_provenance_names_the_device_of_the_executor(tmp_path: Path) -> None:
    context = context_at(tmp_path, Ending(device="cuda"))
    context.cluster = True
    origin = provenance(context, "glo", "experiment", "run", "a b")
    assert (origin["device"], origin["cluster"], origin["command"]) == ("cuda", True, "glo experiment run 'a b'")
