"""Networks that fail are made again with other seeds, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from glo.catalog import baikal, cross_entropy
from glo.compare.protocol import Contender
from glo.paper.experiment.blocks import ATTEMPTS, measured_rows, repeated
from glo.paper.experiment.context import Lab
from glo.records import derive_seeds
from glo.store import Store
from glo.training import Result, Training, TrainingResult

SEEDS = derive_seeds(0, "test", 3 * ATTEMPTS)
CONTENDERS = {"cross_entropy": Contender(cross_entropy, "", 0.1, 0.0), "baikal": Contender(baikal, "", 0.01, 0.0)}


class Failing:
    """A trainer in which cross-entropy diverges or crashes with some seeds; the metric of the others is 0.5."""

    def __init__(self, diverged: Sequence[int], crashed: Sequence[int] = ()) -> None:
        self.diverged, self.crashed = diverged, crashed

    def train(
        self,
        trainings: Sequence[Training],
        seed: int | Sequence[int],
        test: bool = False,
        on_done: Callable[[int], None] = lambda done: None,
    ) -> list[Result]:
        assert not isinstance(seed, int)
        return [self._one(training, each) for training, each in zip(trainings, seed, strict=True)]

    def _one(self, training: Training, seed: int) -> Result:
        if training.expression == cross_entropy and seed in self.crashed:
            return "out of memory"
        bad = training.expression == cross_entropy and seed in self.diverged
        return TrainingResult(0.0, diverged=True, test=0.0) if bad else TrainingResult(0.6, test=0.5)


def test_failures_are_kept_and_made_again(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "glo.db", Store(tmp_path / "glo.db"))
    trainer = Failing(diverged=[SEEDS[1], SEEDS[3]], crashed=[SEEDS[4]])
    runs = repeated(trainer, CONTENDERS, 3, lab)
    assert [isinstance(run, TrainingResult) and not run.diverged for run in runs["cross_entropy"]] == [
        True, False, True, False, False, True,
    ]  # fmt: skip
    assert len(runs["baikal"]) == 3
    rows = measured_rows(trainer, CONTENDERS, 3, lab)
    assert (rows["cross_entropy"]["values"], rows["cross_entropy"]["failed"]) == ([0.5] * 3, 3)
    assert (rows["baikal"]["values"], rows["baikal"]["failed"]) == ([0.5] * 3, 0)


def test_what_never_trains_is_given_up_and_counts_nothing(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "glo.db", Store(tmp_path / "glo.db"))
    row = measured_rows(Failing(diverged=SEEDS), CONTENDERS, 3, lab)["cross_entropy"]
    assert (row["values"], row["failed"]) == ([0.0] * 3, 3 * ATTEMPTS)
