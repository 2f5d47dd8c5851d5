"""What every store must do: a suite to be inherited by a test class whose fixture `open_store` opens the same store anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glo.errors import ConfigError, GloError, RunError
from glo.records import FunnelCounts, Outcome, Phase, Stage, StageCount, Status, new_counts
from glo.store import GenerationRecord, Store

OpenStore = Callable[[], Store]
Known = dict[str, dict[str, Outcome]]

CONFIG = {"seed": 3, "training": {"learning_rates": [0.01, 0.1], "early_stop": 0.0}, "name": "Fräulein 試験"}
VERSIONS = {"glo": "1.2", "torch": "2.0+cpu"}

# Takes the lock of a run, says so, and holds it until its input is closed.
HOLDER = """
import sys
from glo.store import Store
with Store(sys.argv[1]).lock(sys.argv[2]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def generation(number: int, outcomes: list[Outcome], funnel: FunnelCounts | None = None) -> GenerationRecord:
    """A generation of these outcomes."""
    return GenerationRecord(number, Phase.GENETIC, f"asked-{number}", outcomes, funnel or new_counts(), 0.1 + number)


def trained(expression: str, fingerprint: str, fitness: float = 0.5) -> Outcome:
    """The outcome of a training that ended well."""
    return Outcome(expression, fingerprint, Status.TRAINED, Stage.TRAINING, "", fitness, 0.1)


def outcomes() -> st.SearchStrategy[Outcome]:
    """Any outcome that a run may record: fitness and learning rate are numbers."""
    # Surrogates cannot be stored in any database, and no reason holds them.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
    number = st.floats(allow_nan=False, allow_infinity=False)
    return st.builds(
        Outcome,
        expression=text,
        fingerprint=text,
        status=st.sampled_from(Status),
        stage=st.sampled_from(Stage),
        reason=text,
        fitness=number,
        learning_rate=st.none() | number,
    )


@contextmanager
def holding(store: Store, name: str) -> Iterator[subprocess.Popen[str]]:
    """A real process that holds the lock of a run."""
    command = [sys.executable, "-c", HOLDER, str(store), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            yield holder
        finally:
            holder.kill()


class StoreContract:
    """A subclass overrides the fixture `open_store`: each call opens the same store, which is empty at first."""

    @pytest.fixture
    def open_store(self) -> Iterator[OpenStore]:
        """To be overridden."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Store:
        """An empty store."""
        return open_store()

    @pytest.fixture
    def run(self, store: Store) -> str:
        """The name of a run without generations in the store."""
        store.create_run("first", CONFIG, VERSIONS)
        return "first"

    def test_new_store_has_no_runs(self, store: Store) -> None:
        assert store.runs() == []

    def test_run_is_read_back_as_it_was_created(self, store: Store, run: str) -> None:
        record = store.run(run)
        assert (record.name, record.config, record.versions, record.generations) == (run, CONFIG, VERSIONS, 0)
        assert record.created.endswith("+00:00")

    def test_runs_are_listed_with_their_generations(self, store: Store, run: str) -> None:
        store.create_run("second", {}, {})
        store.record(run, generation(0, [trained("x*y", "f")]))
        store.record(run, generation(1, [trained("x*y", "f")] * 3))
        assert {record.name: record.generations for record in store.runs()} == {"first": 2, "second": 0}

    def test_name_is_taken_once(self, store: Store, run: str) -> None:
        with pytest.raises(RunError, match=r"already a run 'first'.*glo resume first"):
            store.create_run(run, {"other": 1}, {})
        assert store.run(run).config == CONFIG

    def test_unknown_run_lists_the_known(self, store: Store) -> None:
        with pytest.raises(RunError, match=r"no run 'third'.*none yet"):
            store.run("third")
        store.create_run("first", {}, {})
        store.create_run("second", {}, {})
        with pytest.raises(RunError, match=r"no run 'third'.*first, second"):
            store.run("third")

    @pytest.mark.parametrize("name", ["a", "7", "digits-paper-0", "A.b_c-9", "n" * 100])
    def test_good_names(self, store: Store, name: str) -> None:
        store.create_run(name, {}, {})
        with store.lock(name):
            assert store.run(name).name == name

    @pytest.mark.parametrize("name", ["", ".hidden", "-x", "a b", "a/b", "../up", "é", "n" * 101, "a\n", "a;b"])
    def test_bad_names(self, store: Store, name: str) -> None:
        with pytest.raises(ConfigError, match="name"):
            store.create_run(name, {}, {})
        with pytest.raises(ConfigError, match="name"), store.lock(name):
            pass
        assert store.runs() == []

    def test_outcome_of_every_kind_is_read_back(self, open_store: OpenStore, store: Store, run: str) -> None:
        rows = [
            Outcome(f"x*y + {n}", f"{n:016x}", status, stage, "∂f/∂y ist 0 — нет 数", 0.1 + 0.2, rate)
            for n, (status, stage, rate) in enumerate(
                (status, stage, rate) for status in Status for stage in Stage for rate in (None, 1 / 3)
            )
        ]
        funnel = {stage: StageCount(n + 5, n, 1 / (n + 3)) for n, stage in enumerate(Stage)}
        record = generation(0, rows, funnel)
        store.record(run, record)
        assert store.generations(run) == [record]
        assert open_store().generations(run) == [record]

    # The store is shared by the examples: each is a generation of its own.
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(rows=st.lists(outcomes(), max_size=4), seconds=st.floats(0, 1e9))
    def test_any_outcomes_are_read_back_exactly(self, open_store: OpenStore, rows: list[Outcome], seconds: float) -> None:
        store = open_store()
        if not store.runs():
            store.create_run("any", {}, {})
        number = len(store.generations("any"))
        record = GenerationRecord(number, Phase.COEFFICIENTS, "asked", rows, new_counts(), seconds)
        store.record("any", record)
        assert store.generations("any")[number] == record

    def test_order_is_kept(self, store: Store, run: str) -> None:
        # Neither the order of the expressions nor that of the fingerprints is the order of the positions.
        rows = [trained(f"x*y*{(n * 7) % 12}", f"{(n * 5) % 12}") for n in range(12)]
        for number in range(11):
            store.record(run, generation(number, rows[number:] + rows[:number]))
        read = store.generations(run)
        assert [record.generation for record in read] == list(range(11))
        assert [record.outcomes for record in read] == [rows[n:] + rows[:n] for n in range(11)]

    def test_generations_belong_to_their_run(self, store: Store, run: str) -> None:
        store.create_run("second", {}, {})
        mine, other = generation(0, [trained("x*y", "f", 0.1)]), generation(0, [trained("x + y", "g", 0.2)])
        store.record(run, mine)
        store.record("second", other)
        assert store.generations(run) == [mine]
        assert store.generations("second") == [other]

    def test_generation_without_outcomes(self, store: Store, run: str) -> None:
        store.record(run, generation(0, []))
        assert store.generations(run) == [generation(0, [])]

    def test_known_is_by_context_and_fingerprint(self, store: Store, run: str) -> None:
        known: Known = {
            "one": {"f": trained("x*y", "f", 0.1), "g": trained("x + y", "g", 0.2)},
            "two": {"f": trained("x*y", "f", 0.3)},
        }
        store.record(run, generation(0, []), known)
        assert store.known("one", ["f", "g", "h"]) == known["one"]
        assert store.known("one", ["g"]) == {"g": known["one"]["g"]}
        assert store.known("two", ["f", "g"]) == known["two"]
        assert store.known("three", ["f"]) == {}
        assert store.known("one", []) == {}

    def test_first_entry_wins(self, store: Store, run: str) -> None:
        first, later = trained("x*y", "f", 0.1), trained("y*x", "f", 0.9)
        store.record(run, generation(0, [first]), {"one": {"f": first}})
        store.record(run, generation(1, [later]), {"one": {"f": later, "g": trained("x + y", "g")}})
        assert store.known("one", ["f", "g"]) == {"f": first, "g": trained("x + y", "g")}
        assert store.generations(run)[1].outcomes == [later]

    def test_many_fingerprints_are_looked_up_at_once(self, store: Store, run: str) -> None:
        known = {f"{n}": trained("x*y", f"{n}", n / 7) for n in range(2500)}
        store.record(run, generation(0, []), {"one": known})
        assert store.known("one", list(known)) == known

    def test_generation_is_recorded_once(self, store: Store, run: str) -> None:
        record = generation(0, [trained("x*y", "f")])
        store.record(run, record, {"one": {"f": trained("x*y", "f")}})
        again = generation(0, [trained("x + y", "g")] * 3)
        with pytest.raises(GloError, match=run):
            store.record(run, again, {"one": {"g": trained("x + y", "g")}})
        assert store.generations(run) == [record]
        assert store.known("one", ["f", "g"]) == {"f": trained("x*y", "f")}

    def test_refused_generation_leaves_nothing(self, store: Store, run: str) -> None:
        # The second of its outcomes is no number, so the generation and its first outcome must not stay either.
        bad = [trained("x*y", "f"), trained("x*y", "g", float("nan"))]
        with pytest.raises(GloError):
            store.record(run, generation(0, bad), {"one": {"f": bad[0]}})
        assert store.generations(run) == []
        assert store.run(run).generations == 0
        assert store.known("one", ["f"]) == {}
        store.record(run, generation(0, bad[:1]))
        assert store.generations(run) == [generation(0, bad[:1])]

    def test_generation_of_an_unknown_run_is_refused(self, store: Store, run: str) -> None:
        with pytest.raises(GloError, match="second"):
            store.record("second", generation(0, [trained("x*y", "f")]))
        assert store.generations("second") == []

    def test_two_stores_see_each_others_commits(self, open_store: OpenStore) -> None:
        one, two = open_store(), open_store()
        one.create_run("first", CONFIG, VERSIONS)
        assert two.run("first").config == CONFIG
        record = generation(0, [trained("x*y", "f")])
        two.record("first", record, {"one": {"f": trained("x*y", "f")}})
        assert one.generations("first") == [record]
        assert one.known("one", ["f"]) == {"f": trained("x*y", "f")}
        assert one.run("first").generations == 1

    def test_what_is_remembered_is_there_at_once_and_needs_no_run(self, open_store: OpenStore) -> None:
        """Before the generation is recorded, which may then tell it again; the first outcome stays."""
        one, two = open_store(), open_store()
        first = trained("x*y", "f")
        one.remember({"one": {"f": first}, "two": {"f": trained("y*x", "f")}})
        assert two.known("one", ["f", "g"]) == {"f": first}
        two.remember({"one": {"f": trained("y*x", "f", 0.9), "g": trained("x + y", "g")}})
        one.remember({})
        assert one.known("one", ["f", "g"]) == {"f": first, "g": trained("x + y", "g")}
        assert one.known("two", ["f"]) == {"f": trained("y*x", "f")}

    def test_lock_of_another_process(self, store: Store, run: str) -> None:
        with holding(store, run) as holder:
            with pytest.raises(RunError, match="run 'first' is in use"), store.lock(run):
                pass
            with store.lock("second"):  # another run is free
                pass
            assert store.run(run).generations == 0  # reading needs no lock
            holder.kill()
            holder.wait()
            with store.lock(run):  # a killed process leaves none behind
                store.record(run, generation(0, []))
        assert store.run(run).generations == 1

    def test_lock_is_free_again_after_use(self, open_store: OpenStore, store: Store, run: str) -> None:
        for opened in (store, open_store(), store):
            with opened.lock(run), pytest.raises(RunError, match="in use"), open_store().lock(run):
                pass

    def test_error_under_a_lock_is_its_own(self, store: Store, run: str) -> None:
        with pytest.raises(ZeroDivisionError), store.lock(run):
            _ = 1 / 0
        with store.lock(run):
            pass
