"""What a store must do when several processes use it: creation, concurrent writers and readers, and the lock of a study."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from glo.errors import StoreError, StudyError
from glo.store import Store
from glo.testing.store_base import CONFIG, VERSIONS, NewUrl, OpenStore, StoreFixtures, generation, trained

# Takes the lock of a study, reports it, and holds it until its input is closed.
HOLDER = """
import sys
from glo.store import Store
with Store(sys.argv[1]).lock(sys.argv[2]):
    print("locked", flush=True)
    sys.stdin.read()
"""

# Waits for a line on its input, so that several processes start at the same moment.
OPENER = """
import sys
from glo.store import Store
print("ready", flush=True)
sys.stdin.readline()
store = Store(sys.argv[1])
store.create_study(sys.argv[2], {}, {})
"""

# Records 300 generations of 5 outcomes.
WRITER = """
import sys
from glo.records import Outcome, PhaseKind, Stage, Status, new_counts
from glo.store import GenerationRecord, Store
store = Store(sys.argv[1])
outcomes = [Outcome("x*y", "f", Status.TRAINED, Stage.TRAINING)] * 5
for number in range(300):
    store.record("run", GenerationRecord(number, PhaseKind.GENETIC, "asked", outcomes, new_counts(), 0.0))
"""

# Remembers twenty times 200 losses and results of trainings; the last argument, 1 or -1, is the order of writing.
LEARNER = """
import sys
from glo.records import Outcome, PhaseKind, Stage, Status, new_counts
from glo.store import GenerationRecord, Store
store = Store(sys.argv[1])
store.create_study(sys.argv[2], {}, {})
print("ready", flush=True)
sys.stdin.readline()
order = list(range(200))[:: int(sys.argv[3])]
for number in range(20):
    keys = [f"{number}-{n}" for n in order]
    store.remember({"context": {key: Outcome("x*y", key, Status.TRAINED, Stage.TRAINING) for key in keys}})
    store.record(sys.argv[2], GenerationRecord(number, PhaseKind.GENETIC, "asked", [], new_counts(), 0.0))
    store.record_trainings({key: {"by": sys.argv[2]} for key in keys})
"""


class StoreProcessesContract(StoreFixtures):
    """Tests of a store that several processes, or several `Store` objects, use at once."""

    def test_two_stores_see_each_others_commits(self, open_store: OpenStore) -> None:
        one, two = open_store(), open_store()
        one.create_study("first", CONFIG, VERSIONS)
        assert two.study("first").config == CONFIG
        record = generation(0, [trained("x*y", "f")])
        two.record("first", record)
        two.remember({"one": {"f": trained("x*y", "f")}})
        assert one.generations("first") == [record]
        assert one.lookup("one", ["f"]) == {"f": trained("x*y", "f")}
        assert one.study("first").generations == 1

    def test_reader_does_not_create_a_missing_store(self, new_url: NewUrl) -> None:
        url = new_url()
        for _ in range(2):
            with pytest.raises(StoreError, match=r"no store .*: give its --storage, or start with glo search"):
                Store(url, create=False)
        Store(url).close()
        Store(url, create=False).close()

    def test_processes_create_a_store_at_the_same_time(self, new_url: NewUrl) -> None:
        """Several searches may start at once where there is no store yet."""
        for _ in range(3):
            url = new_url()
            run_together(OPENER, [[url, f"run{number}"] for number in range(4)])
            store = Store(url, create=False)
            assert sorted(record.name for record in store.studies()) == ["run0", "run1", "run2", "run3"]
            store.close()

    def test_processes_remember_the_same_losses_at_the_same_time(self, store: Store) -> None:
        """The first entry stays, and no process fails, whatever the order in which each writes."""
        run_together(LEARNER, [[str(store), "first", "1"], [str(store), "second", "-1"]])
        keys = [f"{number}-{n}" for number in range(20) for n in range(200)]
        assert len(store.lookup("context", keys)) == len(keys)
        assert {result["by"] for result in store.trainings(keys).values()} <= {"first", "second"}
        assert {record.generations for record in store.studies()} == {20}

    def test_reader_sees_only_whole_generations(self, store: Store) -> None:
        """While one process writes, another reads each generation with all its outcomes or not at all."""
        store.create_study("run", {}, {})
        with subprocess.Popen([sys.executable, "-c", WRITER, str(store)]) as writer:
            seen = {len(record.outcomes) for record in store.generations("run")}
            while writer.poll() is None:
                seen |= {len(record.outcomes) for record in store.generations("run")}
        assert writer.returncode == 0
        assert len(store.generations("run")) == 300
        assert seen == {5}

    def test_error_does_not_leave_the_store_locked(self, open_store: OpenStore, store: Store, study: str) -> None:
        """The failed transaction is rolled back."""
        with pytest.raises(StoreError):
            store.create_study(study, {}, {})
        open_store().create_study("second", {}, {})
        assert [record.name for record in store.studies()] == ["first", "second"]

    def test_lock_of_another_process(self, store: Store, study: str) -> None:
        with locked_by_another_process(store, study) as holder:
            with pytest.raises(StudyError, match="study 'first' is in use"), store.lock(study):
                pass
            with store.lock("second"):  # another study is free
                pass
            assert store.study(study).generations == 0  # reading needs no lock
            holder.kill()
            holder.wait()
            with store.lock(study):  # the lock of a killed process is released
                store.record(study, generation(0, []))
        assert store.study(study).generations == 1

    def test_lock_is_released_after_use(self, open_store: OpenStore, store: Store, study: str) -> None:
        for opened in (store, open_store(), store):
            with opened.lock(study), pytest.raises(StudyError, match="in use"), open_store().lock(study):
                pass

    def test_exception_under_a_lock_is_raised_unchanged(self, store: Store, study: str) -> None:
        with pytest.raises(ZeroDivisionError), store.lock(study):
            _ = 1 / 0
        with store.lock(study):
            pass


def run_together(script: str, arguments: list[list[str]]) -> None:
    """Run several processes of a script that prints "ready" and waits for a line; each must succeed."""
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


@contextmanager
def locked_by_another_process(store: Store, name: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process that holds the lock of a study."""
    command = [sys.executable, "-c", HOLDER, str(store), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "locked\n"
            yield holder
        finally:
            holder.kill()
