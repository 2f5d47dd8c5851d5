"""The report of every kind of study, of real trainings."""

from __future__ import annotations

import re
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import glo
from glo.compare import ComparisonConfig
from glo.errors import ConfigError, StoreError, StudyError
from glo.store import Store
from glo.study import Callback, Study, load_study
from study.conftest import MakeTask

SMALL: Any = {"generations": 2, "population": 6, "steps": 20, "confirm": 0}
HOW = ComparisonConfig(baselines="standard", tuning_seeds=1, repeats=2)


def objective(trial: glo.Trial) -> float:
    return 1 / len(trial.expression)


def text(path: Path) -> str:
    """The words of a page, as a reader sees them."""
    page = re.sub(r"<(style|script)\b.*?</\1>", " ", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", page)).split())


@pytest.fixture
def study(make_task: MakeTask, tmp_path: Path) -> Study:
    return Study(make_task(), name="first", storage=tmp_path / "glo.db")


def test_a_search_without_a_verdict(study: Study, tmp_path: Path) -> None:
    found = study.search(**SMALL)
    page = text(study.report(tmp_path / "report.html"))
    assert f"The best loss so far reaches {found.fitness:.4f} (validation accuracy)" in page
    assert "This is one training, the best of many, so chance flatters it." in page
    assert f"glo report first --storage {tmp_path}/glo.db --judge does that" in page
    assert "12 candidates in 2 generations, finished." in page
    assert found.expression in page
    assert "It was started in Python" in page  # with a Task object, which no command can name
    assert study.judgement is None
    assert "The family of the best" in page
    assert load_study("first", study.storage).result.origins == found.origins
    assert found.origins.keys() == {trial.expression for trial in found.trials}


def test_a_judged_search_has_the_verdict_and_each_loss(study: Study, tmp_path: Path) -> None:
    study.search(**SMALL)
    judgement = study.judge(HOW)
    page = text(load_study("first", study.storage).report(tmp_path / "report.html"))
    assert judgement.verdict.text in page
    assert "This rests on 2 trainings of each loss with fresh seeds, measured by accuracy on 60 test samples" in page
    for row in judgement.comparison.rows:
        assert row.expression in page
        assert f"{row.mean:.4f}" in page
    direct = text(study.result.report(tmp_path / "direct.html", judgement))
    assert judgement.verdict.text in direct
    recorded = study.judgement
    assert recorded is not None
    assert recorded["verdict"] == judgement.to_dict()["verdict"]
    assert recorded["history_digest"] == study.result.history_digest()


def test_a_judgement_is_outdated_once_the_study_goes_on(study: Study, tmp_path: Path) -> None:
    study.search(**SMALL)
    study.judge(HOW)
    assert "The study has gone on" not in text(study.report(tmp_path / "report.html"))
    study.tune(iterations=1, population=4)
    assert "The study has gone on since it was judged" in text(study.report(tmp_path / "report.html"))
    study.judge(HOW)
    assert "The study has gone on" not in text(study.report(tmp_path / "report.html"))


def test_the_report_of_an_enumeration_and_of_a_tuning(make_task: MakeTask, tmp_path: Path) -> None:
    task, storage = make_task(), tmp_path / "glo.db"
    enumerated = Study(task, name="all", storage=storage)
    enumerated.enumerate(max_depth=1, repeats=1, steps=5)
    assert "phasesenumeration" in text(enumerated.report(tmp_path / "report.html"))
    tuned = Study(task, name="tuned", storage=storage)
    result = tuned.tune("baikal", iterations=2, population=4, steps=5)
    page = text(tuned.report(tmp_path / "report.html"))
    assert f"{result.fitness:.4f}" in page
    assert "phasescoefficients" in page


def test_the_report_of_an_objective_and_of_a_steady_state(tmp_path: Path) -> None:
    own = Study(objective, name="own", storage=tmp_path / "glo.db", classes=3, link="softmax", direction="maximize")
    own.search(trials=15)
    page = text(own.report(tmp_path / "report.html"))
    assert "an objective trains each loss itself" in page
    assert "15 candidates" in page
    lower = Study(objective, name="lower", storage=tmp_path / "glo.db", classes=3, link="softmax", direction="minimize")
    lower.search(trials=15)
    assert "(score, lower is better)" in text(lower.report(tmp_path / "report.html"))


def test_the_report_of_a_study_that_found_nothing(make_task: MakeTask, tmp_path: Path) -> None:
    study = Study(make_task(), storage=tmp_path / "glo.db", settings=["training.learning_rates=[1e300]"])
    study.search(**SMALL)
    page = text(study.report(tmp_path / "report.html"))
    assert "No candidate could be trained. All 12 candidates diverged: outputs became NaN or infinite" in page
    assert "All candidates" in page


def test_the_report_of_a_study_that_is_running(make_task: MakeTask, tmp_path: Path) -> None:
    pages: list[str] = []

    class Reporting(Callback):
        def on_begin(self, study: Study) -> None:
            pages.append(text(study.report(tmp_path / "report.html")))

        def on_generation(self, study: Study, generation: object) -> None:
            pages.append(text(study.report(tmp_path / "report.html")))

    Study(make_task(), storage=tmp_path / "glo.db", callbacks=[Reporting()]).search(**SMALL)
    assert "Nothing is recorded yet." in pages[0]
    assert "6 candidates in 1 generation of 2, running." in pages[1]
    assert "12 candidates in 2 generations, running." in pages[2]


def test_misuse(study: Study, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no store"):
        study.report(tmp_path / "report.html")
    study.search(**SMALL)
    with pytest.raises(StudyError, match="no study 'second'"):
        Study(study.task, name="second", storage=study.storage).report(tmp_path / "report.html")
    with pytest.raises(ConfigError, match="cannot be written"):
        study.report(tmp_path / "nowhere" / "report.html")


def test_a_store_of_an_earlier_version_has_no_origins_and_gets_a_judgement(study: Study) -> None:
    study.search(**SMALL)
    with closing(Store(study.storage)) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE judgements")
        connection.exec_driver_sql("DROP TABLE origins")
    study.search(**{**SMALL, "generations": 2})
    assert study.result.origins == {}
    assert study.judgement is None
    judgement = study.judge(HOW)
    recorded = study.judgement
    assert recorded is not None
    assert recorded["verdict"] == judgement.to_dict()["verdict"]


def test_a_notebook_shows_a_study_in_a_frame_without_scripts(make_task: MakeTask, tmp_path: Path) -> None:
    study = Study(make_task(), name="first", storage=tmp_path / "glo.db")
    assert study._repr_html_() is None
    result = study.search(**SMALL)
    for shown in (study._repr_html_(), result._repr_html_()):
        assert shown is not None
        assert shown.startswith('<iframe title="glo study first" sandbox=""')
        page = unescape(shown.partition('srcdoc="')[2])
        assert "<script" not in page
        assert f"Best so far: {study.best.fitness:.4f}" in page
