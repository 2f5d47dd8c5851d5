"""Kill studies of every mode at random moments, in every way, and resume them: nothing is lost, changed or left behind.

After each kill, what is recorded is a whole beginning of the study that was never interrupted, and no process, lock or other
file is left.  When a study ends, its history is that of the uninterrupted one, to the byte.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from glo.errors import MissingStoreError
from glo.store import Store
from glo.study import recorded_result
from starter import PATIENCE, Forked, Starter
from store.postgres import postgres_server

TASK = ["--task", "digits", "--steps", "60", "--device", "cpu"]
SEARCH = ["search", *TASK, "--baselines", "none"]
SMALL = [*SEARCH, "--generations", "5", "--population", "8"]
TUNED = ["iterations=3", "population=4", "confirmations=2"]


@dataclass(frozen=True)
class Mode:
    """A kind of study.

    Attributes:
        command: that starts it.
        threads: number of processes that train at once.
        more: further options of its start and of each resume.
        longest: seconds until a kill, at most.
        postgres: the store is on a PostgreSQL server, else in a file.
    """

    command: list[str]
    threads: int = 1
    more: tuple[str, ...] = ()
    longest: float = 1.6
    postgres: bool = False


MODES = {
    "generations": Mode(SMALL),
    "two processes": Mode(SMALL, threads=2),
    "steady state": Mode([*SMALL, "--steady-state"], more=("--slots", "1")),
    "tuning after a search": Mode(
        [*SEARCH, "--generations", "2", "--population", "8", "--tune"] + [f"--set=coefficients.{text}" for text in TUNED]
    ),
    "tuning": Mode(["tune", "baikal", *TASK, "--iterations", "4", "--population", "6"]),
    "enumeration": Mode(["enumerate", *TASK, "--max-depth", "1", "--repeats", "2"]),
}
POSTGRES = {
    "generations, PostgreSQL": replace(MODES["generations"], postgres=True),
    "steady state, PostgreSQL": replace(MODES["steady state"], postgres=True),
}
CLUSTER = {"cluster": Mode(SMALL, more=("--cluster", "local:2"), longest=12.0)}
# Of the first process of a command, of the child that does its work, and of its whole session, as a terminal does.
WAYS: dict[str, tuple[str, signal.Signals]] = {
    f"{number.name} of {whom}": (whom, number)
    for whom in ("the command", "its child", "all")
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
}


@dataclass
class Record:
    """What a soak has done: kills by mode and way, studies that ended, and faults."""

    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    missed: int = 0
    studies: int = 0
    faults: list[str] = field(default_factory=list)

    def __add__(self, other: Record) -> Record:
        return Record(
            self.kills + other.kills, self.missed + other.missed, self.studies + other.studies, self.faults + other.faults
        )


def soak(modes: dict[str, Mode], kills: int, seed: int, report: Callable[[str], None] = lambda line: None) -> Record:
    """Kill studies of these modes by turns, until there were so many kills."""
    numbers, record = random.Random(seed), Record()  # noqa: S311 - moments, not secrets
    needed = any(each.postgres for each in modes.values())
    with (
        tempfile.TemporaryDirectory(prefix="glo-soak-") as name,
        _starters(Path(name)) as starters,
        postgres_server() if needed else nullcontext() as server,
    ):
        whole = {mode: _uninterrupted(starters[each.threads], each) for mode, each in modes.items()}
        while record.kills.total() < kills:
            for mode, each in modes.items():
                before = len(record.faults)
                storage = server.url(server.new_schema()) if server and each.postgres else "glo.db"
                _study(mode, each, starters[each.threads], storage, whole[mode], numbers, record, kills)
                for fault in record.faults[before:]:
                    report(f"FAULT in {mode}: {fault}")
                if record.kills.total() >= kills:
                    break
            report(f"{record.kills.total()} kills, {record.studies} studies, {len(record.faults)} faults")
    return record


@contextmanager
def _starters(folder: Path) -> Iterator[dict[int, Starter]]:
    starters: dict[int, Starter] = {}
    try:
        for threads in (1, 2):
            own = folder / str(threads)
            (own / "tmp").mkdir(parents=True)
            more = {"OMP_NUM_THREADS": str(threads), "TMPDIR": str(own / "tmp"), "XDG_STATE_HOME": str(own)}
            starters[threads] = Starter(own, **more)
        yield starters
    finally:
        for starter in starters.values():
            starter.close()


def _uninterrupted(starter: Starter, mode: Mode) -> dict[str, Any]:
    starter.run(*mode.command, *mode.more, "--name", "run", "--storage", "whole.db")
    found = _shown(starter, "whole.db")
    _clear(starter, "whole.db")
    return found


def _shown(starter: Starter, storage: str) -> dict[str, Any]:
    """What `glo runs run --json` prints."""
    with closing(_store(starter, storage)) as store:
        result = recorded_result(store, "run")
    return {**result.summary(), "history": result.history_rows()}


def _store(starter: Starter, storage: str) -> Store:
    return Store(storage if "://" in storage else starter.folder / storage, create=False)


def _clear(starter: Starter, storage: str) -> None:
    for path in starter.folder.glob(f"{storage}*"):
        path.unlink()


def _study(
    name: str,
    mode: Mode,
    starter: Starter,
    storage: str,
    whole: dict[str, Any],
    numbers: random.Random,
    record: Record,
    kills: int,
) -> None:
    """One study, killed until it ends."""
    for attempt in range(200):
        begun = _begun(starter, storage)
        before = _files(starter)
        arguments = ["resume", "run", "--baselines", "none"] if begun else [*mode.command, "--name", "run"]
        command = starter.start([*arguments, *mode.more, "--storage", storage])
        way = numbers.choice(list(WAYS))
        if attempt >= 12 or record.kills.total() >= kills:  # let it end
            code, killed = command.wait(PATIENCE), False
        else:
            killed = _killed(command, *WAYS[way], numbers.uniform(0, mode.longest))
            code = command.wait(PATIENCE)
            record.missed += not killed
        if killed:
            record.kills[name, way] += 1
            record.faults += [
                f"after {way} (exit code {code}): {fault}"
                for fault in _faults(starter, storage, command, way, code, whole, before)
            ]
        elif code != 0:
            record.faults.append(f"exit code {code}: {starter.errors.read_text()}")
            break
        else:
            found = _shown(starter, storage)
            same = ("history", "history_digest", "expression", "fitness", "learning_rate", "generations")
            record.faults += [f"{key} is not that of the uninterrupted study" for key in same if found[key] != whole[key]]
            break
    record.studies += 1
    record.faults += [f"{name} is left in the end" for name in sorted(_files(starter) - {*KEPT, "glo.db"})]
    _clear(starter, "glo.db")


KEPT = ("tmp", "glo", "stdout", "stderr")


def _begun(starter: Starter, storage: str) -> bool:
    """Whether a generation is recorded; a study without one is started again."""
    try:
        with closing(_store(starter, storage)) as store:
            return any(study.generations for study in store.studies())
    except MissingStoreError:
        return False


def _killed(command: Forked, whom: str, number: signal.Signals, seconds: float) -> bool:
    """Let a command run for a while, and send the signal; whether it still ran."""
    with suppress(subprocess.TimeoutExpired):
        command.wait(seconds)
        return False
    with suppress(ProcessLookupError, psutil.NoSuchProcess):
        if whom == "all":
            os.killpg(command.pid, number)
            return True
        if whom == "the command":
            os.kill(command.pid, number)
            return True
        for child in psutil.Process(command.pid).children()[:1]:
            child.send_signal(number)
            return True
    return False


def _files(starter: Starter) -> set[str]:
    """The files in the working folder and in the temporary one."""
    paths = (*starter.folder.iterdir(), *(starter.folder / "tmp").iterdir())
    return {path.relative_to(starter.folder).as_posix() for path in paths}


def _faults(
    starter: Starter, storage: str, command: Forked, way: str, code: int, whole: dict[str, Any], before: set[str]
) -> Iterator[str]:
    """What is wrong after a kill; `before` are the files that were there when the command started."""
    if code == 0:
        errors = starter.errors.read_text()
        if "best loss" not in starter.output.read_text():  # else it had ended just before
            yield f"no result and exit code 0: {errors}"
    deadline = time.monotonic() + 30
    while left := _session(command.pid):
        if time.monotonic() > deadline:
            yield f"processes are left: {left}"
            for process in left:
                process.kill()
            break
        time.sleep(0.02)
    if "Traceback" in starter.errors.read_text():
        yield f"a traceback: {starter.errors.read_text()}"
    killed = "SIGKILL" in way  # then the next command that runs deletes what is left
    new = _files(starter) - before - {*KEPT, "glo.db", "glo.db-wal", "glo.db-shm"}
    if not killed:
        yield from (f"{name} is left" for name in sorted(new))
    if _begun(starter, storage):
        shown = _shown(starter, storage)["history"]
        if shown != whole["history"][: len(shown)]:
            yield "the recorded generations are not those of the uninterrupted study"


def _session(leader: int) -> list[psutil.Process]:
    """The processes of a session that still run."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
