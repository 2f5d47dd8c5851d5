"""The contract of a store, to be run on each kind of database (`glo.store.backend.Backend`).

    class TestMyStore(glo.testing.StoreContract):
        @pytest.fixture
        def new_url(self, tmp_path):
            numbers = itertools.count()
            return lambda: f"mydatabase:///{tmp_path}/{next(numbers)}"

The tests of concurrent processes are in `store_processes`, those of deleting, renaming and adding studies in `store_whole`.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glo.errors import ConfigError, GloError, StudyError
from glo.records import Origin, Outcome, PhaseKind, Stage, StageCount, Status, digest, new_counts
from glo.store import GenerationRecord, Store
from glo.testing.store_base import CONFIG, UNICODE, VERSIONS, OpenStore, any_json, any_outcomes, generation, trained
from glo.testing.store_processes import StoreProcessesContract
from glo.testing.store_whole import WholeStudyContract


class StoreContract(StoreProcessesContract, WholeStudyContract):
    """All tests of a store.

    A subclass overrides the fixture `new_url`: a function that returns the URL of a store that does not exist yet, another
    one at each call.
    """

    # --- studies ---

    def test_new_store_has_no_runs(self, store: Store) -> None:
        assert store.studies() == []

    def test_study_is_read_back_as_it_was_created(self, store: Store, study: str) -> None:
        record = store.study(study)
        assert (record.name, record.config, record.versions, record.generations) == (study, CONFIG, VERSIONS, 0)
        assert record.created.endswith("+00:00")

    def test_studies_are_listed_with_their_generations(self, store: Store, study: str) -> None:
        store.create_study("second", {}, {})
        store.record(study, generation(0, [trained("x*y", "f")]))
        store.record(study, generation(1, [trained("x*y", "f")] * 3))
        assert {record.name: record.generations for record in store.studies()} == {"first": 2, "second": 0}

    def test_name_is_taken_once(self, store: Store, study: str) -> None:
        with pytest.raises(StudyError, match=r"already a study 'first'.*glo resume first"):
            store.create_study(study, {"other": 1}, {})
        assert store.study(study).config == CONFIG

    def test_an_empty_study_can_be_replaced_and_a_begun_one_cannot(self, store: Store, study: str) -> None:
        store.create_study("second", CONFIG, VERSIONS)
        store.create_study(study, {"other": 1}, {"glo": "2"}, replace_empty=True)
        assert (store.study(study).config, store.study(study).versions) == ({"other": 1}, {"glo": "2"})
        store.record(study, generation(0, [trained("x*y", "f")]))
        with pytest.raises(StudyError, match=r"already a study 'first'"):
            store.create_study(study, {"other": 2}, {}, replace_empty=True)
        assert store.study(study).config == {"other": 1}
        assert store.generations(study) == [generation(0, [trained("x*y", "f")])]
        assert store.study("second").config == CONFIG

    def test_error_for_an_unknown_run_lists_the_known_runs(self, store: Store) -> None:
        with pytest.raises(StudyError, match=r"no study 'third'.*none yet"):
            store.study("third")
        store.create_study("first", {}, {})
        store.create_study("second", {}, {})
        with pytest.raises(StudyError, match=r"no study 'third'.*first, second"):
            store.study("third")

    def test_extended_study_has_the_new_configuration_and_keeps_the_rest(self, store: Store, study: str) -> None:
        store.create_study("second", CONFIG, VERSIONS)
        store.record(study, generation(0, [trained("x*y", "f")]))
        created, longer = store.study(study).created, {**CONFIG, "phases": ["genetic", "coefficients"]}
        store.extend_study(study, longer)
        record = store.study(study)
        assert (record.config, record.versions, record.created) == (longer, VERSIONS, created)
        assert store.generations(study) == [generation(0, [trained("x*y", "f")])]
        assert store.study("second").config == CONFIG
        with pytest.raises(StudyError, match=r"no study 'third'.*first, second"):
            store.extend_study("third", longer)
        assert len(store.studies()) == 2

    @pytest.mark.parametrize("name", ["a", "7", "digits-paper-0", "A.b_c-9", "n" * 100])
    def test_valid_names(self, store: Store, name: str) -> None:
        store.create_study(name, {}, {})
        with store.lock(name):
            assert store.study(name).name == name

    @pytest.mark.parametrize("name", ["", ".hidden", "-x", "a b", "a/b", "../up", "é", "n" * 101, "a\n", "a;b"])
    def test_invalid_names(self, store: Store, name: str) -> None:
        with pytest.raises(ConfigError, match="name"):
            store.create_study(name, {}, {})
        with pytest.raises(ConfigError, match="name"), store.lock(name):
            pass
        assert store.studies() == []

    # --- judgements ---

    def test_judgement_is_read_back_and_replaced(self, open_store: OpenStore, store: Store, study: str) -> None:
        store.create_study("second", CONFIG, VERSIONS)
        assert store.judgement(study) is None
        content = {"verdict": {"text": UNICODE, "gains": {"a": 1 / 3}}, "values": [0.1 + 0.2, None]}
        store.record_judgement(study, content)
        read = open_store().judgement(study)
        assert read is not None
        assert read.pop("created").endswith("+00:00")
        assert read == content
        assert store.judgement("second") is None
        store.record_judgement(study, {"verdict": 2})
        assert (store.judgement(study) or {})["verdict"] == 2

    def test_judgement_of_an_unknown_study_is_rejected(self, store: Store, study: str) -> None:
        with pytest.raises(StudyError, match=f"no study 'second'.*{study}"):
            store.record_judgement("second", {})
        assert store.judgement("second") is None

    # --- versions ---

    def test_version_of_a_study_changes_with_all_that_happens_to_it(
        self, open_store: OpenStore, store: Store, study: str
    ) -> None:
        store.create_study("second", CONFIG, VERSIONS)
        other = open_store()
        seen = [other.versions()]
        store.record(study, generation(0, []))
        seen.append(other.versions())
        for verdict in (1, 2):
            store.record_judgement(study, {"verdict": verdict})
            seen.append(other.versions())
        with store.lock(study):
            seen.append(other.versions())
        assert len({versions[study] for versions in seen}) == len(seen)
        assert len({versions["second"] for versions in seen}) == 1
        assert other.versions() == seen[-2]

    # --- generations ---

    def test_outcome_of_every_kind_is_read_back(self, open_store: OpenStore, store: Store, study: str) -> None:
        rows = [
            Outcome(f"x*y + {n}", f"{n:016x}", status, stage, UNICODE, 0.1 + 0.2, rate)
            for n, (status, stage, rate) in enumerate(
                (status, stage, rate) for status in Status for stage in Stage for rate in (None, 1 / 3)
            )
        ]
        funnel = {stage: StageCount(n + 5, n, 1 / (n + 3)) for n, stage in enumerate(Stage)}
        record = generation(0, rows, funnel)
        store.record(study, record)
        assert store.generations(study) == [record]
        assert open_store().generations(study) == [record]

    def test_any_outcomes_are_read_back_exactly(self, store: Store, study: str) -> None:
        @settings(max_examples=40)  # each is a generation
        @given(rows=st.lists(any_outcomes(), max_size=4), seconds=st.floats(0, 1e9))
        def read_back(rows: list[Outcome], seconds: float) -> None:
            number = len(store.generations(study))
            record = GenerationRecord(number, PhaseKind.COEFFICIENTS, "asked", rows, new_counts(), seconds)
            store.record(study, record)
            assert store.generations(study)[number] == record

        read_back()

    def test_outcomes_keep_their_order(self, store: Store, study: str) -> None:
        # Neither the order of the expressions nor that of the fingerprints is the order of the positions.
        rows = [trained(f"x*y*{(n * 7) % 12}", f"{(n * 5) % 12}") for n in range(12)]
        for number in range(11):
            store.record(study, generation(number, rows[number:] + rows[:number]))
        read = store.generations(study)
        assert [record.generation for record in read] == list(range(11))
        assert [record.outcomes for record in read] == [rows[n:] + rows[:n] for n in range(11)]

    def test_generations_belong_to_their_study(self, store: Store, study: str) -> None:
        store.create_study("second", {}, {})
        mine, other = generation(0, [trained("x*y", "f", 0.1)]), generation(0, [trained("x + y", "g", 0.2)])
        store.record(study, mine)
        store.record("second", other)
        assert store.generations(study) == [mine]
        assert store.generations("second") == [other]

    def test_origins_are_read_back(self, open_store: OpenStore, store: Store, study: str) -> None:
        made = {"x*y": Origin("crossover and mutation", ("x + y", "y")), "x + y": Origin("random")}
        records = [replace(generation(0, [trained("x*y", "f")]), origins=made), generation(1, [trained("x + y", "g")])]
        for record in records:
            store.record(study, record)
        assert open_store().generations(study) == records

    def test_generation_without_outcomes(self, store: Store, study: str) -> None:
        store.record(study, generation(0, []))
        assert store.generations(study) == [generation(0, [])]

    def test_generation_is_recorded_once(self, store: Store, study: str) -> None:
        record = generation(0, [trained("x*y", "f")])
        store.record(study, record)
        with pytest.raises(GloError, match=study):
            store.record(study, generation(0, [trained("x + y", "g")] * 3))
        assert store.generations(study) == [record]

    def test_rejected_generation_leaves_no_trace(self, store: Store, study: str) -> None:
        # The second outcome is NaN, so neither the generation nor its first outcome may stay.
        bad = [trained("x*y", "f"), trained("x*y", "g", float("nan"))]
        with pytest.raises(GloError):
            store.record(study, generation(0, bad))
        assert store.generations(study) == []
        assert store.study(study).generations == 0
        store.record(study, generation(0, bad[:1]))
        assert store.generations(study) == [generation(0, bad[:1])]

    @pytest.mark.usefixtures("study")
    def test_generation_of_an_unknown_run_is_rejected(self, store: Store) -> None:
        with pytest.raises(GloError, match="second"):
            store.record("second", generation(0, [trained("x*y", "f")]))
        assert store.generations("second") == []

    # --- the cache of outcomes ---

    def test_lookup_is_by_context_and_fingerprint(self, store: Store) -> None:
        outcomes = {
            "one": {"f": trained("x*y", "f", 0.1), "g": trained("x + y", "g", 0.2)},
            "two": {"f": trained("x*y", "f", 0.3)},
        }
        store.remember(outcomes)
        assert store.lookup("one", ["f", "g", "h"]) == outcomes["one"]
        assert store.lookup("one", ["g"]) == {"g": outcomes["one"]["g"]}
        assert store.lookup("two", ["f", "g"]) == outcomes["two"]
        assert store.lookup("three", ["f"]) == {}
        assert store.lookup("one", []) == {}

    def test_first_outcome_stays(self, open_store: OpenStore) -> None:
        """Remembering needs no study, and another store sees the outcome at once."""
        one, two = open_store(), open_store()
        first = trained("x*y", "f", 0.1)
        one.remember({"one": {"f": first}, "two": {"f": trained("y*x", "f")}})
        assert two.lookup("one", ["f", "g"]) == {"f": first}
        two.remember({"one": {"f": trained("y*x", "f", 0.9), "g": trained("x + y", "g")}})
        one.remember({})
        assert one.lookup("one", ["f", "g"]) == {"f": first, "g": trained("x + y", "g")}
        assert one.lookup("two", ["f"]) == {"f": trained("y*x", "f")}

    def test_study_records_its_own_outcome_of_a_loss_that_is_remembered(self, store: Store, study: str) -> None:
        first, later = trained("x*y", "f", 0.1), trained("y*x", "f", 0.9)
        store.remember({"one": {"f": first}})
        store.record(study, generation(0, [later]))
        assert store.lookup("one", ["f"]) == {"f": first}
        assert store.generations(study)[0].outcomes == [later]

    def test_many_fingerprints_are_looked_up_at_once(self, store: Store) -> None:
        outcomes = {f"{n}": trained("x*y", f"{n}", n / 7) for n in range(2500)}
        store.remember({"one": outcomes})
        assert store.lookup("one", list(outcomes)) == outcomes

    # --- results of single trainings ---

    def test_trainings_are_read_back_by_key(self, open_store: OpenStore, store: Store) -> None:
        results = {
            "a": {"validation": 0.1 + 0.2, "test": None, "curve": [[100, 1 / 3], [200, 1e-300]], "stopped": False},
            "b": {"error": f"{UNICODE}\n\t\"'\\"},
            "c": {},
        }
        store.record_trainings(results)
        assert store.trainings(["a", "b", "c"]) == results
        assert open_store().trainings(["c", "a"]) == {"a": results["a"], "c": {}}

    def test_first_result_of_a_training_stays(self, store: Store) -> None:
        store.record_trainings({"a": {"n": 1}})
        store.record_trainings({"a": {"n": 2}, "b": {"n": 3}})
        assert store.trainings(["a", "b"]) == {"a": {"n": 1}, "b": {"n": 3}}

    def test_unknown_trainings_are_left_out(self, store: Store) -> None:
        assert store.trainings(["a"]) == {}
        store.record_trainings({})
        store.record_trainings({"a": {"n": 1}})
        assert store.trainings(["b", "a", "c"]) == {"a": {"n": 1}}
        assert store.trainings([]) == {}

    def test_thousands_of_trainings(self, store: Store) -> None:
        results = {f"{n:040x}": {"n": n, "third": n / 3} for n in range(3000)}
        store.record_trainings(results)
        assert store.trainings([*results, "unknown"]) == results

    def test_any_result_of_a_training_is_read_back_exactly(self, store: Store) -> None:
        @settings(max_examples=40)  # each has its own key
        @given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), any_json(), max_size=4))
        def read_back(result: dict[str, object]) -> None:
            key = digest(result)
            store.record_trainings({key: result})
            assert store.trainings([key]) == {key: result}

        read_back()
