"""The part of the store's contract that concerns whole studies: whether one runs, and to add, rename and delete one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from glo.errors import StudyError
from glo.records import Origin, Stage, StageCount
from glo.store import Store, StudyRecord, WholeStudy
from glo.testing.store_base import CONFIG, UNICODE, VERSIONS, OpenStore, StoreFixtures, generation, trained


def made_study(name: str) -> WholeStudy:
    """A study with two generations, origins and a judgement."""
    rows = [trained("x*y", "f", 0.1 + 0.2), trained("log(y)", "g", -1e300)]
    funnel = {stage: StageCount(n + 5, n, 1 / (n + 3)) for n, stage in enumerate(Stage)}
    bred = replace(generation(1, rows, funnel), origins={"x*y": Origin("crossover", ("x", "y"))})
    created = "2026-01-02T03:04:05+00:00"
    judgement = {"verdict": {"text": UNICODE, "gain": 1 / 3}, "created": created}
    return WholeStudy(StudyRecord(name, created, CONFIG, VERSIONS, 2), [generation(0, rows), bred], judgement)


class WholeStudyContract(StoreFixtures):
    """The tests; see `StoreContract`."""

    def test_a_study_runs_while_its_lock_is_held(self, open_store: OpenStore, store: Store, study: str) -> None:
        assert not store.is_running(study)
        with store.lock(study):
            assert (store.is_running(study), open_store().is_running(study)) == (True, True)
            assert not store.is_running("second")
        assert not open_store().is_running(study)
        with store.lock(study):  # to ask has not taken it
            pass

    def test_deleted_study_is_gone_and_others_stay(self, open_store: OpenStore, store: Store, study: str) -> None:
        for name in ("second", study):
            store.create_study(name, CONFIG, VERSIONS, replace_empty=True)
            store.record(name, made_study(name).generations[0])
            store.record_judgement(name, {"verdict": name})
        second = store.whole("second")
        store.delete(study)
        assert [record.name for record in open_store().studies()] == ["second"]
        assert open_store().whole("second") == second
        assert open_store().judgement(study) is None
        store.create_study(study, CONFIG, VERSIONS)  # the name is free, and nothing of the old one is left
        assert (store.generations(study), store.judgement(study)) == ([], None)
        with pytest.raises(StudyError, match="no study 'third'"):
            store.delete("third")

    def test_renamed_study_keeps_all_but_its_name(self, open_store: OpenStore, store: Store, study: str) -> None:
        made = made_study("made")
        store.add(made)
        store.rename("made", "renamed")
        assert open_store().whole("renamed") == replace(made, record=replace(made.record, name="renamed"))
        assert {record.name for record in store.studies()} == {study, "renamed"}
        for name, new, message in (("third", "new", "no study 'third'"), ("renamed", study, f"already a study '{study}'")):
            with pytest.raises(StudyError, match=message):
                store.rename(name, new)
        assert open_store().whole("renamed").generations == made.generations

    def test_added_study_is_read_back_as_a_whole_or_not_at_all(self, open_store: OpenStore, store: Store) -> None:
        made = made_study("made")
        store.add(made)
        assert open_store().whole("made") == made
        with pytest.raises(StudyError, match="already a study 'made'"):
            store.add(replace(made, generations=[]))
        bad = replace(made_study("bad"), generations=[*made.generations, generation(7, [trained("x*y", "f", math.nan)])])
        with pytest.raises(StudyError, match="not a number"):
            store.add(bad)
        assert [record.name for record in open_store().studies()] == ["made"]
        assert open_store().whole("made") == made

    def test_a_running_study_is_not_deleted_or_renamed(self, open_store: OpenStore, store: Store, study: str) -> None:
        with open_store().lock(study):
            for change in (lambda: store.delete(study), lambda: store.rename(study, "new")):
                with pytest.raises(StudyError, match=f"'{study}' is in use"):
                    change()
        assert [record.name for record in store.studies()] == [study]
