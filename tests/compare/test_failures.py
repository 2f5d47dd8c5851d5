"""Failed trainings: counted, with the first reason, in the result, its text and its JSON."""

from __future__ import annotations

import json

import pytest
from torch import Tensor, nn

from compare.scripted import CRASHED, NAN_LOSS, Scripted, config_of, task_of
from glo.catalog import cross_entropy, mse
from glo.compare import compare_losses
from glo.compare.failures import Failures, failures_of
from glo.compare.protocol import compare
from glo.errors import ConfigError
from glo.records import Failure, Status, Training, TrainingConfig, TrainingResult
from small import CLASSES

TINY = config_of(0.1, 1.0, 10.0, tuning_seeds=1, repeats=2, smoothings=(0.2, 0.5))
BRIEF = TrainingConfig(steps=5, batch_size=30)
OVERDUE = Failure(Status.TIMED_OUT, "not ended after 3 s")
DIVERGED = "diverged: outputs or the loss became NaN or infinite"


class Breaks(nn.Module):
    """Fails at the fourth step of every training; a rehearsal makes two."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.steps = nn.Linear(4, CLASSES), 0

    def forward(self, inputs: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps > 3:
            raise RuntimeError("out of memory")
        return self.layer(inputs)


def test_failures_are_counted_with_the_first_reason() -> None:
    good, diverged = TrainingResult(0.5, test=0.5), TrainingResult(0.0, diverged=True, test=0.0)
    assert failures_of([good, good]) == Failures(0, 2)
    assert failures_of([good, OVERDUE, CRASHED]) == Failures(2, 3, 0, "timed out: not ended after 3 s")
    assert failures_of([CRASHED, OVERDUE], test=True) == Failures(2, 2, 2, "crashed: out of memory")
    assert failures_of([good, diverged], test=True) == Failures(1, 2, 1, DIVERGED)
    nan = TrainingResult(0.0, diverged=True, reason="the metric is nan")
    assert failures_of([nan, diverged], test=True) == Failures(2, 2, 2, "diverged: the metric is nan")
    assert failures_of([diverged]) == Failures(0, 1), "a rate that is too high is tried for every loss"
    assert failures_of([good, CRASHED]) + failures_of([OVERDUE], test=True) == Failures(2, 3, 1, "crashed: out of memory")


def test_a_row_has_the_failures_of_its_choice_and_of_its_measurement() -> None:
    """The other loss has none; the rate at which all crash is not chosen."""

    def score(training: Training, seed: int) -> float | Failure:
        if training.expression == mse and (training.learning_rate == 0.1 or seed == 3):
            return OVERDUE if seed == 3 else CRASHED
        return 0.5

    scripted = Scripted(score)
    families = {"base": {"": cross_entropy}, "loss": {"": mse}}
    base, loss = scripted.run(compare(task_of(), BRIEF, families, config_of(0.1, 0.2, 0.3, tuning_seeds=2, repeats=4)))
    assert base.failures.count == 0
    assert loss.learning_rate == 0.2
    assert loss.values == (0.5, 0.0, 0.5, 0.5)
    tried = len(scripted.rates(mse))
    assert loss.failures == Failures(3, 2 * tried + 4, 1, "crashed: out of memory")
    assert not loss.failed


def test_a_loss_that_always_fails_is_not_tried_at_more_rates() -> None:
    scripted = Scripted(lambda training, _: CRASHED if training.expression == mse else training.learning_rate)
    families = {"base": {"": cross_entropy}, "loss": {"": mse}}
    scripted.run(compare(task_of(), BRIEF, families, config_of(0.1, 0.2, tuning_seeds=1, repeats=2)))
    assert scripted.rates(mse) == [0.1, 0.2]
    assert len(scripted.rates(cross_entropy)) > 2


def test_a_model_that_always_crashes_shows_its_reason() -> None:
    """Rather than a table of zeros."""
    comparison = compare_losses(task_of(model=Breaks, training={"steps": 5}), ["baikal"], TINY, device="cpu")
    assert all(row.failed for row in comparison.rows)
    found = comparison.to_dict()
    failures = found["losses"]["baikal"]["failures"]
    assert (failures["count"], failures["trainings"], failures["on_test"]) == (5, 5, 2)
    assert failures["reason"].startswith("crashed: RuntimeError: out of memory")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert len(comparison.warnings) == 3, "and no word on rates at the edge"
    text = str(comparison)
    assert "Warning: baikal: 5 of 5 trainings of 5 steps failed, 2 of them on test, and count 0" in text
    assert f"the first {failures['reason']}" in text
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert len(lines) == 3
    assert all("failed" in line and "0.0000" not in line for line in lines)


def test_a_loss_that_always_diverges_shows_its_reason() -> None:
    name = str(NAN_LOSS)
    comparison = compare_losses(task_of(training={"steps": 5}), [name], TINY, device="cpu")
    assert comparison.row(name).failures.on_test == 2
    assert comparison.row("cross_entropy").failures.count == 0
    (warning,) = [text for text in comparison.warnings if text.startswith(f"{name}: ")]
    assert warning.endswith(f"the first {DIVERGED}")
    lines = {line.split("│")[1].strip(): line for line in str(comparison).splitlines() if line.startswith("│")}
    assert "failed" in lines[name]
    assert "failed" not in lines["cross_entropy"]


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        ("x", "does not use y"),
        ("y", "does not use x"),
        ("7", "does not use x and y"),
        ("x + y - y", "its derivative is zero"),
        ("x*(y/y)", "its derivative is zero"),
    ],
)
def test_a_constant_is_not_compared(loss: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot train a network: it .*{reason}"):
        compare_losses(task_of(), ["baikal", loss], TINY, device="cpu")


def test_a_loss_that_is_the_baseline_is_said_to_be() -> None:
    comparison = compare_losses(task_of(training={"steps": 5}), ["x*log(y)", "baikal"], TINY, device="cpu")
    assert "x*log(y) is cross_entropy, and has no row of its own" in comparison.warnings
