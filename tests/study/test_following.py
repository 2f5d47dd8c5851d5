"""What the progress of a study says."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import glo
from callbacks import Interrupting
from glo.progress import Lines, Progress, Silent

SEARCH: dict[str, Any] = {"generations": 2, "population": 6, "steps": 20, "confirm": 2}


def study(folder: Path, progress: bool | Progress) -> glo.Study:
    return glo.Study("digits", storage=folder / "glo.db", name="run", device="cpu", progress=progress)


def test_a_search_has_a_line_for_each_generation(tmp_path: Path) -> None:
    written: list[str] = []
    study(tmp_path, Progress(Lines(written.append))).search(**SEARCH)
    told = [line.split(",")[0] for line in written]
    assert told == [
        "search generation 1 of 2", "search generation 2 of 2",
        "confirmation round 1 of 3", "confirmation round 2 of 3", "confirmation round 3 of 3",
    ]  # fmt: skip
    assert all(" left" in line and ", about " in line and ", best 0." in line for line in written)
    assert written[1].split(",")[1] == " 12 candidates"
    assert written[-1].endswith("about 0 s left")


def test_what_is_replayed_is_shown_and_not_logged(tmp_path: Path) -> None:
    study(tmp_path, False).search(**SEARCH)
    written: list[str] = []
    progress = Progress(Lines(written.append))
    study(tmp_path, progress).search(**SEARCH)
    assert written == []
    assert [str(part).split(",")[0] for part in progress.parts] == ["search generation 2 of 2", "confirmation round 3 of 3"]


def test_a_steady_search_counts_candidates(tmp_path: Path) -> None:
    progress = Progress(Silent())
    study(tmp_path, progress).search(**SEARCH, steady_state=True)
    assert (progress.parts[0].done, progress.parts[0].total) == (12, 12)
    assert str(progress.parts[0]).startswith("search candidate 12 of 12, best 0.")


def test_a_tuning(tmp_path: Path) -> None:
    progress = Progress(Silent())
    study(tmp_path, progress).tune("1.2*x*log(y)", iterations=2, population=4, steps=20)
    told = [(str(part).split(",")[0], part.done, part.total) for part in progress.parts]
    assert told == [("tuning generation 2 of 2", 2, 2), ("confirmation round 1 of 1", 1, 1)]


def test_a_study_confirms_again_after_it_searched_on(tmp_path: Path) -> None:
    study(tmp_path, False).search(**SEARCH)
    progress = Progress(Silent())
    glo.load_study("run", tmp_path / "glo.db", device="cpu", progress=progress).resume(generations=3)
    told = {part.name: str(part).split(",")[0] for part in progress.parts}
    assert told == {"search": "search generation 3 of 3", "confirmation": "confirmation round 3 of 3"}


@pytest.mark.parametrize("shown", [True, False])
def test_python_logs_it_unless_told_otherwise(tmp_path: Path, caplog: pytest.LogCaptureFixture, shown: bool) -> None:
    caplog.set_level(logging.INFO, logger="glo.progress")
    glo.discover("digits", storage=tmp_path / "glo.db", device="cpu", progress=shown, **SEARCH)
    logged = [record.message for record in caplog.records if record.name == "glo.progress"]
    assert len(logged) == (5 if shown else 0)


def test_a_comparison_reports_to_the_callers_function(tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    config = glo.ComparisonConfig(baselines="none", learning_rates=(0.1,), repeats=2, steps=(5,))
    losses = ["x*log(y)", "x*y"]
    glo.compare_losses("digits", losses, config, device="cpu", on_progress=lambda *call: calls.append(call))
    assert calls[-1] == ("measuring on test", 4, 4)


class Ends(glo.Callback):
    """Notes how a study ends."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_exception(self, study: glo.Study, error: BaseException) -> None:
        self.seen.append(type(error).__name__)

    def on_end(self, study: glo.Study, result: glo.StudyResult) -> None:
        self.seen.append("end")


def test_every_callback_hears_of_an_exception_and_it_is_raised(tmp_path: Path) -> None:
    first, last = Ends(), Ends()
    options: dict[str, Any] = {"storage": tmp_path / "glo.db", "name": "run", "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        glo.Study("digits", callbacks=[first, Interrupting(1), last], **options).search(**SEARCH)
    glo.Study("digits", callbacks=[first, last], **options).search(**SEARCH)
    assert first.seen == last.seen == ["KeyboardInterrupt", "end"]
