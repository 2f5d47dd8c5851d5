"""Racing and confirmation in a study: what is given up, what it counts, and what the best is in the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from callbacks import Interrupting
from glo.expr import parse
from glo.records import PhaseKind, Status, Training, derive_seeds
from glo.study import StudyResult, discover
from glo.tasks import Task
from glo.training import train_single

MakeTask = Callable[..., Task]
SMALL: Any = {"generations": 4, "population": 16, "steps": 40, "name": "run"}
NO_RUNGS = "training.rungs=[]"


@pytest.fixture(scope="module")
def whole(make_task: MakeTask, tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return discover(make_task(), storage=tmp_path_factory.mktemp("whole") / "glo.db", **SMALL)


def confirmations(result: StudyResult) -> list[list[Any]]:
    return [record.outcomes for record in result.history if record.phase is PhaseKind.CONFIRMATION]


def test_candidates_that_are_behind_are_given_up_with_their_rung(whole: StudyResult) -> None:
    given_up = [trial for trial in whole.trials if "among the worst" in trial.reason]
    assert given_up
    for trial in given_up:
        assert trial.status is Status.STOPPED
        assert trial.generation > 0, "nothing was known to be behind"
        assert [step for step, _ in trial.reports] in ([4], [4, 12], [4, 12, 24])
    ended = [trial for trial in whole.trials if trial.status is Status.TRAINED and trial.phase is PhaseKind.GENETIC]
    assert all([step for step, _ in trial.reports] == [4, 12, 24] for trial in ended)


def test_what_was_given_up_has_no_children_and_is_no_finalist(whole: StudyResult) -> None:
    """It is told to the search as worth nothing, whatever it had at its rung."""
    stopped = {trial.fingerprint for trial in whole.trials if trial.status is Status.STOPPED}
    assert stopped.isdisjoint(trial.fingerprint for trial in whole.finalists(99))


def test_racing_saves_trainings(whole: StudyResult, make_task: MakeTask, tmp_path: Path) -> None:
    """The steps of all trainings, by the last rung that each has reached."""
    patient = discover(make_task(), storage=tmp_path / "glo.db", settings=[NO_RUNGS], **SMALL)
    assert not [trial for trial in patient.trials if "among the worst" in trial.reason]
    stopped = sum(trial.status is Status.STOPPED for trial in whole.trials)
    assert stopped > sum(trial.status is Status.STOPPED for trial in patient.trials)


@pytest.mark.parametrize("after", [1, 3, 5, 6])
def test_a_killed_search_ends_as_if_it_had_not_been(
    whole: StudyResult, make_task: MakeTask, tmp_path: Path, after: int
) -> None:
    storage = tmp_path / "glo.db"
    with pytest.raises(KeyboardInterrupt):
        discover(make_task(), storage=storage, callbacks=[Interrupting(after)], **SMALL)
    found = discover(make_task(), storage=storage, **SMALL)
    assert found.history_digest() == whole.history_digest()
    assert [trial.reports for trial in found.trials] == [trial.reports for trial in whole.trials]


def test_another_study_in_the_store_changes_nothing(whole: StudyResult, make_task: MakeTask, tmp_path: Path) -> None:
    """What one study has learned of a loss is no use to another, whose candidates are measured against others."""
    storage = tmp_path / "glo.db"
    discover(make_task(), storage=storage, **{**SMALL, "name": "other", "population": 12})
    assert discover(make_task(), storage=storage, **SMALL).history_digest() == whole.history_digest()


def test_the_best_are_trained_again_on_fresh_seeds(whole: StudyResult, make_task: MakeTask) -> None:
    """Successive halving, each at its own rate; the means of the last round are those of separate trainings."""
    rounds = confirmations(whole)
    counts = [len(outcomes) for outcomes in rounds]
    assert len(rounds) == whole.config.confirmation.rounds == 3
    assert counts == [min(limit, counts[0]) for limit in (12, 6, 3)]
    seeds = derive_seeds(whole.config.seed, "finalists", whole.config.confirmation.seeds)
    task, config = make_task(), whole.config.training.whole
    for outcome in rounds[-1]:
        trainings = [
            train_single(task, Training(parse(outcome.expression), outcome.learning_rate), config, s) for s in seeds
        ]
        assert outcome.fitness == pytest.approx(mean(result.validation for result in trainings), abs=1e-3)
    assert whole.best.phase is PhaseKind.CONFIRMATION
    assert whole.best.fitness == max(outcome.fitness for outcome in rounds[-1])
    assert whole.seeds == 8


def test_finalists_of_later_rounds_come_first(whole: StudyResult) -> None:
    rounds = confirmations(whole)
    finalists = [trial.fingerprint for trial in whole.finalists(99)]
    last, middle = ({outcome.fingerprint for outcome in outcomes} for outcomes in (rounds[-1], rounds[-2]))
    assert set(finalists[: len(last)]) == last
    assert set(finalists[: len(middle)]) == middle


def test_trainings_of_an_earlier_round_are_not_repeated(whole: StudyResult) -> None:
    trained = [record.funnel for record in whole.history if record.phase is PhaseKind.CONFIRMATION]
    counts = [sum(count.candidates for stage, count in funnel.items() if stage == "early stop") for funnel in trained]
    rounds = [len(outcomes) for outcomes in confirmations(whole)]
    assert counts == [2 * rounds[0], 2 * rounds[1], 4 * rounds[2]]


def test_tuning_starts_from_the_confirmed_best(make_task: MakeTask, tmp_path: Path) -> None:
    settings = ["coefficients.iterations=1", "coefficients.population=4", "coefficients.confirmations=1"]
    found = discover(make_task(), storage=tmp_path / "glo.db", tune=True, settings=settings, **SMALL)
    kinds = [record.phase for record in found.history]
    assert kinds == [PhaseKind.GENETIC] * 4 + [PhaseKind.CONFIRMATION] * 3 + [
        PhaseKind.COEFFICIENTS,
        PhaseKind.CONFIRMATION,
    ]
    assert found.tuning is not None
    last_round = found.history[6].outcomes
    assert found.tuning["start"] == max(last_round, key=lambda outcome: outcome.fitness).expression
