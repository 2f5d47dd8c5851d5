"""Objectives: the user's own training loop as the judge of a loss."""

from __future__ import annotations

import itertools
import math
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.text import Text

import glo
from glo.errors import ConfigError, ReplayError, StudyError, UserCodeError
from glo.records import Stage, Status
from glo.study import StudyResult
from glo.tasks import Objective

TRIALS = 12


def score_of(trial: glo.Trial) -> float:
    """A score that costs nothing: how well one step down the loss moves three logits, plus a little for the seed."""
    logits = torch.zeros(3, 3, requires_grad=True)
    trial.loss()(logits, torch.arange(3)).backward()
    assert logits.grad is not None
    return float(-logits.grad.diagonal().sum()) + trial.seed / 100


def study(objective: Callable[[glo.Trial], Any], folder: Path, **options: Any) -> glo.Study:
    settings = ["genetic.population=6", "training.unit_gradient=false"]  # with it, all scores would be about the same
    values: dict[str, Any] = {"name": "mine", "classes": 3, "storage": folder / "glo.db", "settings": settings}
    return glo.Study(objective, **{**values, **options})


def test_every_trial_reaches_the_function_once_and_the_best_is_found(tmp_path: Path) -> None:
    seen: list[glo.Trial] = []

    def objective(trial: glo.Trial) -> float:
        seen.append(trial)
        return score_of(trial)

    result = study(objective, tmp_path).search(trials=TRIALS)
    assert len(result.trials) == TRIALS
    assert [trial.number for trial in seen] == list(range(TRIALS))
    assert len({trial.expression for trial in seen}) == TRIALS
    assert len({trial.fingerprint for trial in result.trials}) == TRIALS
    assert {trial.seed for trial in seen} == {0}
    assert result.best.fitness == max(map(score_of, seen))
    assert result.best.learning_rate is None
    loss, again = result.best.loss(), glo.ExpressionLoss(result.expression)
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    assert torch.equal(loss(logits, targets), again(logits, targets))


def test_losses_have_the_unit_gradient_by_default(tmp_path: Path) -> None:
    """In the search and as they are handed out; so one learning rate suits all."""
    handed: dict[str, str] = {}

    def objective(trial: glo.Trial) -> float:
        handed[trial.expression] = str(trial.loss().expr)
        return trial.number

    result = study(objective, tmp_path, settings=["genetic.population=6"]).search(trials=TRIALS)
    for expression, loss in handed.items():
        assert loss == str(glo.unit_gradient(glo.parse(expression), classes=3))
    assert str(result.best.loss().expr) == handed[result.best.expression]


def test_the_funnel_stands_in_front(tmp_path: Path) -> None:
    """Far more expressions are bred than reach the function, and none that is flat or does not help."""
    counts = study(score_of, tmp_path).search(trials=TRIALS).funnel
    assert counts[Stage.TRAINING].candidates == TRIALS
    assert counts[Stage.STRUCTURE].candidates > 5 * TRIALS
    assert counts[Stage.DESCENT].rejected > 0


def test_a_lower_score_is_better_if_it_is_minimised(tmp_path: Path) -> None:
    def error(trial: glo.Trial) -> float:
        return 50 - score_of(trial)

    low = study(error, tmp_path, direction="minimize").search(trials=30)
    high = study(lambda trial: score_of(trial) - 50, tmp_path, name="high").search(trials=30)
    scores = [trial.fitness for trial in low.trials if trial.status is Status.TRAINED]
    assert low.best.fitness == min(scores)
    front = low.pareto()
    assert front[-1].fitness == min(scores)
    assert all(a.nodes < b.nodes and a.fitness > b.fitness for a, b in itertools.pairwise(front))
    # A search depends on the order of its scores alone, so the two are one search with their signs exchanged.
    assert [trial.expression for trial in low.trials] == [trial.expression for trial in high.trials]
    assert low.tuning is None


@pytest.mark.parametrize("selection", ["roulette", "tournament"])
@pytest.mark.parametrize("steady", [True, False])
def test_negative_and_unbounded_scores_work_with_each_search(tmp_path: Path, selection: str, steady: bool) -> None:
    def objective(trial: glo.Trial) -> float:
        return 1e6 * (score_of(trial) - 1000)

    settings = ["genetic.population=6", f"genetic.selection={selection}", *([] if steady else ["genetic.elites=1"])]
    mine = study(objective, tmp_path, settings=settings)
    result = mine.search(trials=18) if steady else mine.search(generations=3, steady_state=False)
    trained = [trial for trial in result.trials if trial.status is Status.TRAINED]
    assert len(trained) >= 16
    assert result.best.fitness == max(trial.fitness for trial in trained) < 0


def test_cma_es_minimises(tmp_path: Path) -> None:
    def objective(trial: glo.Trial) -> float:
        return 20 - score_of(trial)

    result = study(objective, tmp_path, direction="minimize").tune("x*log(y)", which="all", iterations=3, population=4)
    assert result.tuning is not None
    rows = {row["candidate"]: row["fitness"] for row in result.tuning["confirmation"]}
    assert rows["best sample"] < rows["start"]
    assert result.best.fitness == min(rows.values())


def test_enumeration(tmp_path: Path) -> None:
    result = study(score_of, tmp_path).enumerate(max_depth=1, repeats=2)
    assert result.best.fitness == max(outcome.fitness for outcome in result.enumerated)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_study_that_was_stopped_goes_on(tmp_path: Path, jobs: int) -> None:
    """With one job, to the byte."""

    class Stop(glo.Callback):
        def on_generation(self, study: glo.Study, generation: Any) -> None:
            if generation.generation == 6:
                study.stop()

    whole = study(score_of, tmp_path, name="whole").search(trials=20, jobs=jobs)
    stopped = study(score_of, tmp_path, callbacks=[Stop()])
    assert len(stopped.search(trials=20, jobs=jobs).trials) == 7
    calls: list[int] = []

    def counted(trial: glo.Trial) -> float:
        calls.append(trial.number)
        return score_of(trial)

    result = study(score_of, tmp_path).search(trials=20, jobs=jobs) if jobs > 1 else None
    if jobs == 1:  # another function is another objective, unless a version says that it is the same
        with pytest.raises(ReplayError, match=r"task\.digest is"):
            study(counted, tmp_path).search(trials=20)
        result = study(score_of, tmp_path).search(trials=20)
        assert result.history_digest() == whole.history_digest()
    assert isinstance(result, StudyResult)
    assert len(result.trials) == 20


def test_a_version_stands_for_the_code(tmp_path: Path) -> None:
    first = Objective(score_of, classes=3, version="1")
    assert first.digest() == Objective(lambda trial: 1.0, classes=3, version="1").digest()
    assert first.digest() != Objective(score_of, classes=3, version="2").digest()
    assert Objective(score_of, classes=3).digest() != Objective(score_of, classes=4).digest()
    scale = 1.0

    def scaled(trial: glo.Trial) -> float:
        return scale * score_of(trial)

    before = Objective(scaled, classes=3).digest()
    scale = 2.0
    assert Objective(scaled, classes=3).digest() != before


def test_what_is_known_is_not_asked_again(tmp_path: Path) -> None:
    """Of one function, by another study in the same store."""
    calls = tmp_path / "calls"

    def objective(trial: glo.Trial) -> float:
        with calls.open("a") as file:
            file.write(f"{trial.number}\n")
        return score_of(trial)

    first = study(objective, tmp_path).search(trials=TRIALS)
    second = study(objective, tmp_path, name="again").search(trials=TRIALS)
    assert first.history_digest() == second.history_digest()
    assert len(calls.read_text().split()) == TRIALS


NO_SCORES = {
    "None": (lambda trial: None, "an objective gives a number, not None"),
    "text": (lambda trial: "0.5", "an objective gives a number, not '0.5'"),
    "two": (lambda trial: torch.zeros(2), "an objective gives a number, not a Tensor of 2 elements"),
    "other keys": (lambda trial: {"accuracy": 1.0}, 'a dictionary with "validation" and perhaps "test", not one with'),
    "nan": (lambda trial: math.nan, "the objective returned nan"),
    "inf": (lambda trial: np.float32(np.inf), "the objective returned inf"),
    "raise": (lambda trial: 1 / 0, "ZeroDivisionError: division by zero"),
    "exit": (lambda trial: exit(3), "SystemExit: 3"),
}


@pytest.mark.parametrize("way", NO_SCORES)
def test_a_trial_without_a_score_is_an_outcome_and_the_study_goes_on(tmp_path: Path, way: str) -> None:
    bad, reason = NO_SCORES[way]

    def objective(trial: glo.Trial) -> Any:
        return bad(trial) if trial.number % 3 == 1 else score_of(trial)

    trials = study(objective, tmp_path).search(trials=9).trials
    failed = [trial for trial in trials if trial.status is not Status.TRAINED]
    assert [trial.number for trial in failed] == [1, 4, 7]
    assert all(reason in trial.reason for trial in failed), failed[0].reason


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bug_in_the_function_ends_the_study_with_its_traceback(tmp_path: Path, jobs: int) -> None:
    def objective(trial: glo.Trial) -> float:
        raise KeyError(f"no column for trial {trial.number}")

    mine = study(objective, tmp_path, max_failures=4)
    with pytest.raises(UserCodeError, match="4 trials in a row failed, the first with: KeyError: 'no column") as caught:
        mine.search(trials=50, jobs=jobs)
    assert "raise KeyError(f" in caught.value.trace
    assert "test_objectives.py" in caught.value.trace
    assert len(mine.trials) == 3  # the fourth is tried again when the bug is mended


def test_failures_between_successes_do_not_end_it(tmp_path: Path) -> None:
    def objective(trial: glo.Trial) -> float:
        return score_of(trial) if trial.number % 3 == 0 else math.nan

    assert len(study(objective, tmp_path, max_failures=3).search(trials=TRIALS).trials) == TRIALS


def hang(trial: glo.Trial) -> float:
    time.sleep(600)
    return 0.0


def kill(trial: glo.Trial) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


@pytest.mark.parametrize(
    ("bad", "status", "reason"),
    [
        (hang, Status.TIMED_OUT, "not ended after 4 s"),
        (kill, Status.CRASHED, "its process was killed by SIGKILL"),
        (lambda trial: os._exit(0), Status.CRASHED, "its process exited with 0"),
    ],
    ids=["hang", "kill", "exit"],
)
def test_an_isolated_trial_that_hangs_or_dies_is_an_outcome(tmp_path: Path, bad: Any, status: Status, reason: str) -> None:
    def objective(trial: glo.Trial) -> float:
        return bad(trial) if trial.number == 2 else score_of(trial)

    limit = 4.0 if bad is hang else None
    trials = study(objective, tmp_path, time_limit=limit).search(trials=5, isolate=True).trials
    assert [trial.status is Status.TRAINED for trial in trials] == [True, True, False, True, True]
    assert (trials[2].status, trials[2].reason) == (status, reason)


def test_an_isolated_trial_may_have_workers_of_its_own(tmp_path: Path) -> None:
    """As the `DataLoader` of a training loop does."""

    def objective(trial: glo.Trial) -> float:
        loader = torch.utils.data.DataLoader(list(range(4)), batch_size=2, num_workers=1)  # pyright: ignore[reportArgumentType]
        return score_of(trial) + sum(int(batch.sum()) for batch in loader)

    trials = study(objective, tmp_path).search(trials=2, jobs=2).trials
    assert [trial.status for trial in trials] == [Status.TRAINED] * 2, trials[0].reason


def test_ctrl_c_ends_the_study_where_a_library_turns_it_into_an_exit(tmp_path: Path) -> None:
    def objective(trial: glo.Trial) -> float:
        if trial.number == 2:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt:
                exit(1)  # as Lightning does
        return score_of(trial)

    mine = study(objective, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        mine.search(trials=5)
    assert len(mine.trials) == 2


def test_reports_give_up_the_worse_half(tmp_path: Path) -> None:
    """By the median of what earlier trials have reported at the same step; the record says where."""
    stopped: list[int] = []

    def objective(trial: glo.Trial) -> float:
        for step in (1, 2):
            trial.report(trial.number % 10 if step == 2 else 0.0, step)
            if trial.should_stop():
                stopped.append(trial.number)
                break
        return score_of(trial)

    trials = study(objective, tmp_path).search(trials=20).trials
    # 0, 1, 2, 3 set the median; then 4 is above it, and so on, until 10, which reports 0.
    expected: list[int] = []
    known: list[float] = []
    for number in range(20):
        if len(known) >= 4 and number % 10 < np.median(known):
            expected.append(number)
        known.append(number % 10)
    assert stopped == expected
    assert {trial.number for trial in trials if trial.status is Status.STOPPED} == set(expected)
    first = trials[expected[0]]
    assert first.reason == "worse than the median of earlier trials at step 2"
    assert first.reports == ((1, 0.0), (2, float(first.number % 10)))
    assert study(objective, tmp_path).best.number not in expected


def test_reports_survive_a_restart(tmp_path: Path) -> None:
    def objective(trial: glo.Trial) -> float:
        trial.report(trial.number % 7, 1)
        trial.should_stop()
        return score_of(trial)

    class Stop(glo.Callback):
        def on_generation(self, study: glo.Study, generation: Any) -> None:
            if generation.generation == 9:
                study.stop()

    whole = study(objective, tmp_path, name="whole", storage=tmp_path / "whole.db").search(trials=20)
    study(objective, tmp_path, callbacks=[Stop()]).search(trials=20)
    resumed = study(objective, tmp_path).search(trials=20)
    assert resumed.trials == whole.trials
    assert any(trial.status is Status.STOPPED for trial in whole.trials[10:])


def test_misuse_of_report(tmp_path: Path) -> None:
    trial = glo.Trial("x*log(y)", 0, 0)
    assert trial.should_stop() is False
    trial.report(0.5, step=3)
    with pytest.raises(ConfigError, match="step 3 comes after step 3"):
        trial.report(0.5, step=3)
    with pytest.raises(ConfigError, match=r"takes a whole number as its step, not 4\.5"):
        trial.report(0.5, step=4.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="gives a number, not 'x'"):
        trial.report("x", step=4)  # pyright: ignore[reportArgumentType]


def test_the_timeout_ends_the_study_and_the_next_call_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def objective(trial: glo.Trial) -> float:
        time.sleep(0.02)  # it takes a while
        return score_of(trial)

    first = study(objective, tmp_path).search(trials=20, timeout="0.1s")
    assert 0 < len(first.trials) < 20
    assert "the timeout of 0.1s has ended study 'mine'" in caplog.text
    assert len(study(objective, tmp_path).search(trials=20).trials) == 20
    for bad in ("soon", 0, -1, "2 weeks", math.inf):
        with pytest.raises(ConfigError, match="a timeout is a number of seconds above 0"):
            study(objective, tmp_path).search(trials=20, timeout=bad)


def test_compare_uses_fresh_seeds_and_the_test_score(tmp_path: Path) -> None:
    def objective(trial: glo.Trial) -> dict[str, float]:
        return {"validation": score_of(trial), "test": -score_of(trial) - (trial.seed % 1000) / 1e4}

    mine = study(objective, tmp_path, direction="minimize")
    mine.search(trials=TRIALS)
    found = mine.compare(config=glo.ComparisonConfig(repeats=4))
    best = mine.best
    row = found.row(best.expression) if best.expression not in ("x*log(y)",) else found.row("cross_entropy")
    assert row.n == 4
    assert len(set(row.values)) == 4  # a seed each
    assert max(row.values) < 0
    assert "each trained by the objective" in str(found)
    figure = found.plot()
    texts = " ".join(text.get_text() for text in figure.findobj(Text))
    assert "each trained by the objective" in texts
    assert "test score (lower is better), 4 seeds" in texts
    assert "steps" not in texts
    written = found.to_dict()
    assert written["learning_rates"] == []
    assert written["training"] == {"class_reduction": "sum", "eps": 1e-7, "unit_gradient": False}
    assert "rate" not in [column.header for column in found.table().columns]
    smoothing = found.row("label_smoothing")
    assert smoothing.validation < found.row("cross_entropy").validation or smoothing.variant


def test_a_comparison_without_a_test_score_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def objective(trial: glo.Trial) -> float:
        return math.nan if trial.expression == "x*log(y)" else score_of(trial)

    mine = study(objective, tmp_path)
    mine.search(trials=6)
    found = mine.compare(config=glo.ComparisonConfig(repeats=2, smoothings=(0.2,)))
    assert "returns no test score: its validation score with fresh seeds is compared" in caplog.text
    failed = found.row("cross_entropy")
    assert failed.failed
    (note,) = [note for note in found.warnings if note.startswith("cross_entropy: ")]
    assert "count as the worst that was measured" in note
    assert "steps" not in note
    assert min(failed.values) == min(value for row in found.rows for value in row.values)  # the worst that was measured
    with pytest.raises(ConfigError, match="steps, label_noise and train_fraction do nothing"):
        mine.compare(config=glo.ComparisonConfig(repeats=2, label_noise=0.2))


MISUSES: list[tuple[dict[str, Any], str]] = [
    ({"classes": None}, "give classes"),
    ({"link": "tanh"}, "link is one of softmax, sigmoid, identity, not 'tanh'"),
    ({"direction": "up"}, "direction is one of maximize, minimize, not 'up'"),
    ({"classes": 1}, "give classes"),
    ({"max_failures": 0}, "max_failures is 1 or more"),
    ({"settings": ["training.steps=3"]}, "option 'training.steps' does nothing here: an objective trains as it likes"),
    ({"settings": ["generations=3"]}, "a steady-state search has trials"),
    ({"device": "cuda:0"}, "chooses its own"),
]


@pytest.mark.parametrize(("options", "message"), MISUSES)
def test_misuse_is_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    if options.get("device") and not torch.cuda.is_available():
        message = "device"
    with pytest.raises(ConfigError, match=message):
        study(score_of, tmp_path, **options).search(trials=3)


def test_options_of_objectives_are_refused_beside_a_task(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="classes is for an objective"):
        glo.Study("digits", classes=10)
    with pytest.raises(ConfigError, match="jobs and isolate are for an objective on this machine"):
        glo.Study("digits", storage=tmp_path / "a.db").search(jobs=2)
    with pytest.raises(ConfigError, match="not a int"):
        glo.Study(3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="steps and learning rates do nothing for an objective"):
        study(score_of, tmp_path).search(steps=5)
    assert not (tmp_path / "a.db").exists()


def test_asked_trials_give_the_same_study(tmp_path: Path) -> None:
    """As a search with one job of as many trials."""

    class Stop(glo.Callback):
        def on_generation(self, study: glo.Study, generation: Any) -> None:
            if generation.generation == TRIALS - 1:
                study.stop()

    whole = study(score_of, tmp_path, name="whole", callbacks=[Stop()]).search(trials=1000)
    asked = study(score_of, tmp_path, name="asked", storage=tmp_path / "asked.db")
    for _ in range(TRIALS):
        trial = asked.ask()
        asked.tell(trial, score_of(trial))
    asked.close()
    assert asked.trials == whole.trials
    assert len(asked.trials) == TRIALS


def test_what_was_asked_and_never_told_is_found_again(tmp_path: Path) -> None:
    mine = study(score_of, tmp_path)
    first, second, third = (mine.ask() for _ in range(3))
    mine.tell(second, 0.9)
    mine.close()  # as the end of the process would
    again = study(score_of, tmp_path)
    found = [again.ask() for _ in range(2)]
    assert [(trial.number, trial.expression) for trial in found] == [(t.number, t.expression) for t in (first, third)]
    again.tell(found[1], failed="the disk was full")
    again.tell(found[0], math.nan)
    again.close()
    told = {trial.expression: (trial.status, trial.reason, trial.fitness) for trial in again.trials}
    assert told[second.expression] == (Status.TRAINED, "", 0.9)
    assert told[third.expression] == (Status.CRASHED, "the disk was full", 0.0)
    assert told[first.expression][0] is Status.DIVERGED


def test_misuse_of_ask_and_tell(tmp_path: Path) -> None:
    mine = study(score_of, tmp_path, settings=["genetic.population=6", "trials=2"])
    with pytest.raises(StudyError, match="was not asked for a trial"):
        mine.tell(glo.Trial("x*log(y)", 0, 0), 1.0)
    trial = mine.ask()
    with pytest.raises(StudyError, match="is in use by another process"):
        study(score_of, tmp_path).ask()
    with pytest.raises(ConfigError, match="a score, or failed="):
        mine.tell(trial)
    mine.tell(trial, 1.0)
    with pytest.raises(StudyError, match="trial 0 was told already"):
        mine.tell(trial, 2.0)
    mine.tell(mine.ask(), 1.0)
    with pytest.raises(StudyError, match="has no further trial: all 2 are asked"):
        mine.ask()
    mine.close()
    with pytest.raises(ConfigError, match="ask and tell are for an objective"):
        glo.Study("digits", storage=tmp_path / "glo.db").ask()


def test_a_study_of_a_function_without_a_name_needs_it_again(tmp_path: Path) -> None:
    study(score_of, tmp_path).search(trials=3)
    loaded = glo.load_study("mine", tmp_path / "glo.db")
    assert loaded.best.loss().link == "softmax"
    with pytest.raises(StudyError, match="or a function, and not by its name"):
        loaded.resume()
    assert len(glo.load_study("mine", tmp_path / "glo.db", task=score_of).resume().trials) == 3
