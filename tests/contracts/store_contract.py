"""What every store must do: a suite to be inherited by a test class whose fixture `new_url` names stores to be made."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from glo.errors import ConfigError, GloError, RunError, StoreError
from glo.records import FunnelCounts, Outcome, Phase, Stage, StageCount, Status, digest, new_counts
from glo.store import GenerationRecord, Store

NewUrl = Callable[[], str]
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

# Waits for a line on its input, so that several of them start at the same moment.
OPENER = """
import sys
from glo.store import Store
print("ready", flush=True)
sys.stdin.readline()
store = Store(sys.argv[1])
store.create_run(sys.argv[2], {}, {})
"""

# Records 300 generations of 5 outcomes.
WRITER = """
import sys
from glo.records import Outcome, Phase, Stage, Status, new_counts
from glo.store import GenerationRecord, Store
store = Store(sys.argv[1])
outcomes = [Outcome("x*y", "f", Status.TRAINED, Stage.TRAINING)] * 5
for number in range(300):
    store.record("run", GenerationRecord(number, Phase.GENETIC, "asked", outcomes, new_counts(), 0.0))
"""

# Learns the same 200 losses twenty times over, and the results of trainings, one process forwards and one backwards.
LEARNER = """
import sys
from glo.records import Outcome, Phase, Stage, Status, new_counts
from glo.store import GenerationRecord, Store
store = Store(sys.argv[1])
store.create_run(sys.argv[2], {}, {})
print("ready", flush=True)
sys.stdin.readline()
order = list(range(200))[:: int(sys.argv[3])]
for number in range(20):
    marks = [f"{number}-{n}" for n in order]
    known = {"context": {mark: Outcome("x*y", mark, Status.TRAINED, Stage.TRAINING) for mark in marks}}
    store.record(sys.argv[2], GenerationRecord(number, Phase.GENETIC, "asked", [], new_counts(), 0.0), known)
    store.record_trainings({mark: {"by": sys.argv[2]} for mark in marks})
"""


def started_together(script: str, arguments: list[list[str]]) -> None:
    """Run a script that says "ready" and waits for a line, several times at once; each must succeed."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", script, *each],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in arguments
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    errors = [child.communicate()[1] for child in children]
    assert [child.returncode for child in children] == [0] * len(children), "\n".join(errors)


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


def json_like() -> st.SearchStrategy[object]:
    """What JSON can hold, but for numbers that are none, which not every database takes."""
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
    leaf = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text
    leaf |= st.floats(allow_nan=False, allow_infinity=False)
    return st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))


def press_ctrl_c(*_: object) -> None:
    """To be called by an event of SQLAlchemy."""
    signal.raise_signal(signal.SIGINT)


class StoreContract:
    """A subclass overrides the fixture `new_url`: each call gives the URL of a store that is not there yet."""

    @pytest.fixture
    def new_url(self) -> NewUrl:
        """To be overridden."""
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, new_url: NewUrl) -> Iterator[OpenStore]:
        """Each call opens the same store, which is empty at first."""
        url, opened = new_url(), []

        def open_it() -> Store:
            opened.append(Store(url))
            return opened[-1]

        yield open_it
        for store in opened:
            store.close()

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Store:
        """An empty store."""
        return open_store()

    @pytest.fixture
    def run(self, store: Store) -> str:
        """The name of a run without generations in the store."""
        store.create_run("first", CONFIG, VERSIONS)
        return "first"

    @pytest.fixture
    def ctrl_c(self) -> Iterator[None]:
        """Python's own handler of it; a process that a shell started in the background ignores it."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

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

    def test_any_outcomes_are_read_back_exactly(self, store: Store, run: str) -> None:
        @settings(max_examples=40)  # each a generation of its own
        @given(rows=st.lists(outcomes(), max_size=4), seconds=st.floats(0, 1e9))
        def read_back(rows: list[Outcome], seconds: float) -> None:
            number = len(store.generations(run))
            record = GenerationRecord(number, Phase.COEFFICIENTS, "asked", rows, new_counts(), seconds)
            store.record(run, record)
            assert store.generations(run)[number] == record

        read_back()

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

    @pytest.mark.parametrize("moment", ["begin", "commit", "reset"])
    @pytest.mark.usefixtures("ctrl_c")
    def test_ctrl_c_waits_for_the_end_of_a_transaction(
        self, store: Store, run: str, moment: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """SQLAlchemy would print the traceback of what interrupts it there."""
        event.listen(Pool if moment == "reset" else Engine, moment, press_ctrl_c, once=True)
        first = generation(0, [trained("x*y", "f")])
        with pytest.raises(KeyboardInterrupt):
            store.record(run, first)
        assert not caplog.records
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert store.generations(run) == [first]

    @pytest.mark.usefixtures("ctrl_c")
    def test_second_ctrl_c_does_not_wait(self, store: Store, run: str) -> None:
        event.listen(Engine, "before_cursor_execute", press_ctrl_c, once=True)
        event.listen(Engine, "before_cursor_execute", press_ctrl_c, once=True, insert=True)
        with pytest.raises(KeyboardInterrupt):
            store.record(run, generation(0, [trained("x*y", "f")]))
        assert store.generations(run) == []

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

    def test_store_that_is_not_there_is_not_made_for_a_reader(self, new_url: NewUrl) -> None:
        url = new_url()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"no store .*: give its --storage, or start with glo search"):
                Store(url, create=False)
        Store(url).close()
        Store(url, create=False).close()

    def test_processes_make_a_store_at_the_same_time(self, new_url: NewUrl) -> None:
        """Several searches may be started at once where there is no store yet."""
        for _ in range(3):
            url = new_url()
            started_together(OPENER, [[url, f"run{number}"] for number in range(4)])
            store = Store(url, create=False)
            assert sorted(record.name for record in store.runs()) == ["run0", "run1", "run2", "run3"]
            store.close()

    def test_runs_that_learn_the_same_at_once_do_not_disturb_each_other(self, store: Store) -> None:
        """Whoever comes first wins; nobody fails, whatever the order in which each writes."""
        started_together(LEARNER, [[str(store), "first", "1"], [str(store), "second", "-1"]])
        marks = [f"{number}-{n}" for number in range(20) for n in range(200)]
        assert len(store.known("context", marks)) == len(marks)
        assert {result["by"] for result in store.trainings(marks).values()} <= {"first", "second"}
        assert {record.generations for record in store.runs()} == {20}

    def test_reader_sees_only_whole_generations(self, store: Store) -> None:
        """A generation is there with all its outcomes or not at all, for a process that reads while another writes."""
        store.create_run("run", {}, {})
        with subprocess.Popen([sys.executable, "-c", WRITER, str(store)]) as writer:
            seen = {len(record.outcomes) for record in store.generations("run")}
            while writer.poll() is None:
                seen |= {len(record.outcomes) for record in store.generations("run")}
        assert writer.returncode == 0
        assert len(store.generations("run")) == 300
        assert seen == {5}

    def test_refusal_does_not_leave_the_store_locked(self, open_store: OpenStore, store: Store, run: str) -> None:
        """What was refused is rolled back."""
        with pytest.raises(StoreError):
            store.create_run(run, {}, {})
        open_store().create_run("second", {}, {})
        assert [record.name for record in store.runs()] == ["first", "second"]

    def test_trainings_are_read_back_by_key(self, open_store: OpenStore, store: Store) -> None:
        results = {
            "a": {"validation": 0.1 + 0.2, "test": None, "curve": [[100, 1 / 3], [200, 1e-300]], "stopped": False},
            "b": {"error": "∂f/∂y ist 0 — нет 数\n\t\"'\\"},
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
        @settings(max_examples=40)  # each under a key of its own
        @given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), json_like(), max_size=4))
        def read_back(result: dict[str, object]) -> None:
            key = digest(result)
            store.record_trainings({key: result})
            assert store.trainings([key]) == {key: result}

        read_back()

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
