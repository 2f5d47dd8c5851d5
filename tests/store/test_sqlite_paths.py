"""Which file a text names, and stores that can only be read."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from glo.errors import StoreError
from glo.store import Store

# Runs a command that sees one folder as a read-only mount, whoever runs it: to root, permissions mean nothing.
MOUNT = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
UNSHARE = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh"]
# Dies with its last generation in the -wal file, as a store does that is being written on another machine.
WRITER = """
import os, sys
from glo.store import Store
store = Store(sys.argv[1])
store.create_study("second", {}, {})
os._exit(0)
"""
STUDIES = """
import json, sys
from glo.errors import StoreError
from glo.store import Store
try:
    print(json.dumps([study.name for study in Store(sys.argv[1], create=False).studies()]))
    Store(sys.argv[1]).create_study("another", {}, {})
except StoreError as error:
    print(error)
"""


def create(storage: str | Path) -> None:
    """A closed store with one study."""
    with closing(Store(storage)) as store:
        store.create_study("first", {}, {})


@pytest.mark.parametrize("name", ["a?mode=ro", "50%20", "a b#c.db", "50%", "a&b;c.db", "ä'\".db", ":memory", "file:glo.db"])
def test_a_path_is_a_path(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    create(name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    for same in (tmp_path / name, str(tmp_path / name)):
        with closing(Store(same, create=False)) as store:
            assert store.study("first").name == "first"


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("~/a.db", Path("~/b.db"), "sqlite:///~/c.db"):
        create(given)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.db", "b.db", "c.db"]


def test_messages_name_the_store_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ("a?b.db", "sqlite:///a.db", tmp_path / "a.db", os.fsdecode(b"\xff.db")):
        with pytest.raises(StoreError) as caught:
            Store(given, create=False)
        assert f"no store {given}:" in str(caught.value)


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ("folder", "folder is a folder: a store is a file, e.g. folder/glo.db"),
        (".", "is a folder"),
        ("", "'' is not supported: a store is an SQLite file"),
        ("nowhere/glo.db", "the folder nowhere of the store does not exist: create it"),
        ("file/glo.db", "the folder file of the store does not exist"),
        ("~nobody-of-this-name/glo.db", "the folder ~nobody-of-this-name of the store does not exist"),
        ("x" * 300, r"cannot be opened \(File name too long\)"),
        ("x" * 300 + "/glo.db", r"cannot be opened \(File name too long\)"),
    ],
)
@pytest.mark.parametrize("create", [True, False])
def test_a_path_that_cannot_be_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str, message: str, create: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=message if create or "does not exist" not in message else "no store"):
        Store(storage, create=create)
    assert {path.name for path in tmp_path.iterdir()} == {"folder", "file"}


@pytest.fixture
def read_only(tmp_path: Path) -> Callable[..., str]:
    """Runs Python code in a process to which `tmp_path` is a read-only mount."""
    if shutil.which("unshare") is None or subprocess.run([*UNSHARE, tmp_path, "true"], check=False).returncode:
        pytest.skip("this system lets no process mount a folder of its own")

    def run(code: str, *arguments: str | Path) -> str:
        command = [*UNSHARE, tmp_path, sys.executable, "-c", code, *arguments]
        child = subprocess.run(command, capture_output=True, text=True, check=False)
        assert child.returncode == 0, child.stderr
        return child.stdout

    return run


def test_a_store_on_a_read_only_mount_can_be_read(tmp_path: Path, read_only: Callable[..., str]) -> None:
    path = tmp_path / "a?%20.db"
    create(path)
    studies, refusal = read_only(STUDIES, path).splitlines()
    assert json.loads(studies) == ["first"]
    assert "read-only: make the file and its folder writable" in refusal


def test_a_read_only_store_that_is_being_written_is_read_to_its_end(tmp_path: Path, read_only: Callable[..., str]) -> None:
    path = tmp_path / "glo.db"
    create(path)
    subprocess.run([sys.executable, "-c", WRITER, path], check=True)
    assert (tmp_path / "glo.db-wal").stat().st_size > 0
    assert json.loads(read_only(STUDIES, path).splitlines()[0]) == ["first", "second"]
    (tmp_path / "glo.db-shm").unlink()
    assert "read-only, and glo.db-wal has a part of it: copy both to a folder" in read_only(STUDIES, path)


def test_a_new_store_on_a_read_only_mount_is_refused(tmp_path: Path, read_only: Callable[..., str]) -> None:
    code = STUDIES.replace(", create=False", "")
    assert "its folder can be written" in read_only(code, tmp_path / "glo.db")


def test_the_lock_of_a_study_on_a_read_only_mount(tmp_path: Path, read_only: Callable[..., str]) -> None:
    Store(tmp_path / "glo.db").close()
    code = STUDIES.replace('.create_study("another", {}, {})', '.lock("first").__enter__()')
    assert "glo.db.first.lock cannot be written (Read-only file system)" in read_only(code, tmp_path / "glo.db")
