"""Searches with constraints: nothing that violates them is trained, and what leaves nothing is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import glo
from glo.catalog.shelf import shelf
from glo.errors import ConfigError, StudyError
from glo.evaluation import lacking
from glo.expr import parse
from glo.records import PROPERTIES, FunnelConfig, Link, PhaseKind, Property, Stage, Status
from glo.search.nesting import forbidden_nesting, read_nestings
from glo.study import Study, StudyResult, discover
from glo.tasks import Task

MakeTask = Callable[..., Task]
SMALL: Any = {"generations": 2, "population": 8, "steps": 20, "confirm": 0, "name": "run"}


@pytest.fixture(scope="module")
def regression() -> Task:
    """A regression with a linear network."""
    inputs = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    targets = inputs.sum(1, keepdims=True)
    train, validation, test = ((inputs[a : a + 40], targets[a : a + 40]) for a in (0, 40, 80))
    return Task("line", lambda: nn.Linear(2, 1), train, validation, test, link="identity", training={"batch_size": 20})


def losses(result: StudyResult, *statuses: Status) -> list[str]:
    return [trial.expression for trial in result.trials if not statuses or trial.status in statuses]


@pytest.mark.parametrize("constraints", [["bounded"], ["monotone", "convex"], [*PROPERTIES]], ids=str)
@pytest.mark.parametrize("preset", ["default", "paper"])
def test_only_losses_with_the_properties_are_trained(
    make_task: MakeTask, tmp_path: Path, constraints: list[Property], preset: str
) -> None:
    options = {**SMALL, "population": 20, "preset": preset, "constraints": constraints}
    result = discover(make_task(), storage=tmp_path / "glo.db", **options)
    tried = losses(result, Status.TRAINED, Status.STOPPED, Status.DIVERGED)
    assert tried
    assert [lacking(parse(text), name, Link.SOFTMAX) for text in tried for name in constraints] == [None] * (
        len(tried) * len(constraints)
    )
    assert result.summary()["funnel"]["constraint"]["rejected"] > 0
    for trial in result.trials:
        if trial.stage is Stage.CONSTRAINT:
            assert trial.status is Status.REJECTED
            assert any(trial.reason.startswith(f"it is not {name}: ") for name in constraints)


def test_no_candidate_has_a_forbidden_nesting(make_task: MakeTask, tmp_path: Path) -> None:
    forbidden = ["sqrt(sqrt)", "sqrt(log)", "*(*)"]
    for steady_state in (False, True):
        options = {**SMALL, "population": 12, "steady_state": steady_state, "forbidden": forbidden}
        result = discover(make_task(), storage=tmp_path / f"{steady_state}.db", **options)
        assert len(losses(result)) == 24
        assert not any(forbidden_nesting(parse(text), read_nestings(forbidden)) for text in losses(result))


def test_a_constrained_study_goes_on_as_it_was_started(make_task: MakeTask, tmp_path: Path) -> None:
    options = {**SMALL, "constraints": ["bounded"], "forbidden": ["sqrt(sqrt)"]}
    whole = discover(make_task(), storage=tmp_path / "whole.db", **options)
    study = Study(make_task(), name="run", storage=tmp_path / "parts.db", callbacks=[StopAtOnce()])
    study.search(**{name: value for name, value in options.items() if name != "name"})
    assert len(study.result.history) == 1
    again = glo.load_study("run", tmp_path / "parts.db", task=make_task()).resume()
    assert again.history_digest() == whole.history_digest()
    assert again.config.funnel == FunnelConfig(constraints=("bounded",), derivative=True, descent=True)
    assert again.config.genetic.forbidden == ("sqrt(sqrt)",)


class StopAtOnce(glo.Callback):
    """Ends a study after its first generation."""

    def on_generation(self, study: Study, generation: object) -> None:
        study.stop()


def test_trainings_are_shared_with_a_search_without_constraints(make_task: MakeTask, tmp_path: Path) -> None:
    """Constraints decide what is trained, not how; and what another search has trained is rejected all the same."""
    options: dict[str, Any] = {**SMALL, "start": ["x*y"], "settings": ["training.rungs=[]"]}
    free = discover(make_task(), storage=tmp_path / "glo.db", **options)
    bounded = discover(
        make_task(), storage=tmp_path / "glo.db", **{**options, "name": "bounded", "constraints": ["bounded"]}
    )
    first = [next(trial for trial in result.trials if trial.expression == "x*y") for result in (free, bounded)]
    assert first[0].fitness == first[1].fitness
    assert bounded.summary()["funnel"]["cache"]["rejected"] > 0
    assert all(lacking(parse(text), "bounded", Link.SOFTMAX) is None for text in losses(bounded, Status.TRAINED))


def test_the_shelf_without_what_the_constraints_exclude(make_task: MakeTask, tmp_path: Path) -> None:
    result = discover(make_task(), storage=tmp_path / "glo.db", start=["shelf", "gce"], constraints=["bounded"], **SMALL)
    start = result.config.genetic.start
    every = {str(loss) for family in shelf("softmax", 3).values() for loss in family.values()}
    assert set(start) == {text for text in every if lacking(parse(text), "bounded", Link.SOFTMAX) is None}
    assert 10 < len(start) < len(every) - 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraints": ["round"]}, r"'funnel\.constraints\.0': .*'bounded', 'monotone' or 'convex' \(given: 'round'\)"),
        ({"forbidden": ["log(sin)"]}, r"'genetic\.forbidden': .*'sin' .* is no operator"),
        ({"forbidden": ["log"]}, r"'genetic\.forbidden': .*OUTER\(INNER\)"),
        ({"settings": ["genetic.weights={x = 0, y = 0, '1' = 0}"]}, "x and y need a weight above 0"),
        ({"settings": ["genetic.weights={x = 1, y = 1, log = 1}"]}, "no operator joins x and y: .*genetic.weights"),
        (
            {"start": ["x*y", "x*log(y)"], "constraints": ["bounded"]},
            r"start expression x\*log\(y\) is excluded, .*diverges",
        ),
        ({"start": ["cross_entropy"], "constraints": ["bounded"]}, r"start expression x\*log\(y\) is excluded"),
        ({"start": ["x*sqrt(sqrt(y))"], "forbidden": ["sqrt(sqrt)"]}, r"has the forbidden nesting sqrt\(sqrt\)"),
        (
            {"constraints": ["bounded"], "settings": ["genetic.max_nodes=3", "genetic.weights={'*' = 0}"]},
            r"no loss passes the checks .* the operators log, .*; genetic\.max_nodes=3; funnel\.constraints=bounded: allow",
        ),
        (
            {"settings": ["genetic.weights={x = 1, y = 1, '-' = 1, log = 1}"], "forbidden": ["-(-)", "-(log)", "log(-)"]},
            r"no loss passes the checks .* genetic\.forbidden=-\(-\), -\(log\), log\(-\): allow more",
        ),
    ],
    ids=str,
)
def test_constraints_that_leave_nothing(make_task: MakeTask, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        discover(make_task(), storage=tmp_path / "glo.db", **SMALL, **options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"constraints": ["convex", "bounded"]}, "in regression no loss is both bounded and convex"),
        (
            {"start": ["shelf"], "forbidden": ["square(-)", "abs(-)", "max(-)"]},
            "the constraints exclude all losses of the shelf",
        ),
        ({"settings": ["genetic.max_nodes=4"]}, r"no loss passes the checks .* genetic\.max_nodes=4"),
    ],
    ids=str,
)
def test_constraints_that_leave_nothing_in_regression(
    regression: Task, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        discover(regression, storage=tmp_path / "glo.db", **SMALL, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_bounded_loss_of_an_error_is_found(regression: Task, tmp_path: Path) -> None:
    """Random trees hardly ever are one, and squared error is not."""
    result = discover(regression, storage=tmp_path / "glo.db", constraints=["bounded", "monotone"], **SMALL)
    assert losses(result, Status.TRAINED)
    assert lacking(parse(result.expression), "bounded", Link.IDENTITY) is None
    assert result.best.trained is not None


def test_a_search_that_finds_no_loss_with_the_constraints_says_so(
    regression: Task, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The operators make no bounded loss, and too many expressions to see that before the search."""
    settings = ["genetic.weights={'/' = 0, log = 0, sqrt = 0}", "genetic.attempts=2"]
    with caplog.at_level(logging.WARNING, "glo"):
        found = discover(regression, storage=tmp_path / "glo.db", constraints=["bounded"], settings=settings, **SMALL)
    assert "none of 1,000 random trees passes the checks before a training" in caplog.text
    assert losses(found) == losses(found, Status.REJECTED)
    with pytest.raises(StudyError, match=r"rejected by the check of (structure|constraint).*it is not bounded"):
        _ = found.best


def test_an_enumeration_has_the_constraints_too(make_task: MakeTask, tmp_path: Path) -> None:
    settings = ["funnel.constraints=['bounded', 'convex']", "genetic.forbidden=['sqrt(*)']", "enumeration.max_depth=2"]
    settings += ["genetic.weights={x = 1, y = 1, sqrt = 1, '*' = 1, log = 1}", "repeats=1"]
    study = Study(make_task(), name="run", storage=tmp_path / "glo.db", settings=settings)
    found = losses(study.enumerate(steps=20))
    assert "x*sqrt(y)" in found
    assert not {"sqrt(x*y)", "x*log(y)"} & set(found)


def test_tuning_keeps_to_the_constraints(make_task: MakeTask, tmp_path: Path) -> None:
    """x*(y + c*log(y)) is bounded for no c but 0; a tuning of a convex loss leaves it convex."""
    settings = ["funnel.constraints=['convex']", "coefficients.iterations=3"]
    study = Study(make_task(), name="run", storage=tmp_path / "glo.db", settings=settings)
    result = study.tune("x*sqrt(y) - square(y)", steps=20)
    tuned = [trial for trial in result.trials if trial.phase is PhaseKind.COEFFICIENTS]
    assert any(trial.stage is Stage.CONSTRAINT for trial in tuned)
    assert all(lacking(parse(t.expression), "convex", Link.SOFTMAX) is None for t in tuned if t.status is Status.TRAINED)
