"""Output that cannot be written: one line on standard error and exit code 2, before anything is trained."""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Glo, assert_misuse
from glo.cli.streams import output_reserved, print_json
from glo.store import Store
from starter import ENVIRONMENT

TASK = ["--task", "digits"]
# Where not even root can write.  The folder /proc exists, and takes no files.
NOWHERE = "/proc/nowhere"

needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command line of a shell, in which `glo` is this program."""
    line = f'glo() {{ "{sys.executable}" -m glo "$@"; }}; {command}'
    command_line = [shutil.which("bash") or "bash", "-c", line]
    return subprocess.run(command_line, capture_output=True, text=True, check=False, env={**os.environ, **environment})


@needs_full_device
@pytest.mark.parametrize("command", ["tasks", "tasks --json", "export x*y", "--help", "--version"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_to_a_full_device(command: str, unbuffered: str) -> None:
    result = shell(f"set -f; glo {command} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert result.stderr == "Error: the output cannot be written: No space left on device\n"
    assert result.returncode == 2


@needs_full_device
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_errors_to_a_full_device(unbuffered: str) -> None:
    command = "glo show 'x*' 2> /dev/full; echo $?; glo show --nonsense 2> /dev/full; echo $?"
    result = shell(command, PYTHONUNBUFFERED=unbuffered)
    assert (result.stdout, result.stderr) == ("2\n2\n", "")


@pytest.mark.parametrize("command", ["tasks", "tasks --json", "search --task digits", "--help"])
def test_closed_output(command: str) -> None:
    """A search does not start whose result nobody would see, and whose store would have the number of standard output."""
    result = shell(f"glo {command} >&-")
    assert result.stderr == "Error: standard output is closed: send it to a file or to /dev/null\n"
    assert result.returncode == 2


def test_closed_error_output(tmp_path: Path) -> None:
    result = shell("glo show x --json 2>&-; echo $?; glo show 'x*' 2>&-; echo $?")
    assert result.stdout.startswith("{")
    assert result.stdout.endswith("}\n0\n2\n")


@pytest.mark.parametrize("command", ["tasks", "tasks --json"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_is_no_error(command: str, unbuffered: str) -> None:
    assert shell(f"glo {command} | head -0", PYTHONUNBUFFERED=unbuffered).stderr == ""


@pytest.mark.parametrize("name", ["\u00e4.db", os.fsdecode(b"\xff.db")])
def test_what_the_encoding_of_the_output_lacks_is_escaped(tmp_path: Path, name: str) -> None:
    Store(tmp_path / name).close()
    result = shell(f"glo runs --storage {shlex.quote(str(tmp_path / name))}", PYTHONIOENCODING="ascii", COLUMNS="200")
    assert result.stderr == ""
    assert "\\xe4.db" in result.stdout or "\\udcff.db" in result.stdout


@needs_proc
@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "x*y", "--plot", f"{NOWHERE}.png"],
        ["export", "x*y", "-o", f"{NOWHERE}.py"],
        ["enumerate", *TASK, "--csv", f"{NOWHERE}.csv"],
        ["enumerate", *TASK, "--csv", "/proc"],
        ["compare", "x*y", *TASK, "--out", NOWHERE],
        ["compare", "x*y", *TASK, "--out", "/proc"],
        ["demo", "--out", NOWHERE],
        ["demo", "--out", "/proc"],
        ["experiment", "run", "noise", "--out", "/proc"],
        ["cluster", "certs", "--out", NOWHERE],
    ],
)
def test_files_are_written_where_that_is_possible(glo: Glo, tmp_path: Path, arguments: list[str]) -> None:
    if arguments[0] == "experiment":
        arguments = [
            *arguments[:2],
            glo("experiment", "list", "--json").out.split('"name": "')[1].split('"')[0],
            *arguments[3:],
        ]
    assert_misuse(glo(*arguments), "/proc.* cannot be written")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("plot", ["", ".", "file/loss.png", "nowhere/loss.png", "x" * 300 + ".png"])
def test_a_picture_whose_path_cannot_be_one(glo: Glo, tmp_path: Path, plot: str) -> None:
    (tmp_path / "file").touch()
    assert_misuse(glo("show", "x*y", "--plot", plot), "cannot be written|a picture's format is one of png, svg, pdf, not ''")


@pytest.mark.parametrize(
    "arguments",
    [
        ["search", *TASK],
        ["tune", "x*y", *TASK],
        ["enumerate", *TASK],
        ["evaluate", "x*y", *TASK],
        ["compare", "x*y", *TASK],
        ["resume", "first"],
        ["cluster", "check", "local:1"],
        ["search", *TASK, "--cluster", "local:1"],
    ],
)
def test_a_device_that_is_none_is_refused_before_anything_is_made(glo: Glo, tmp_path: Path, arguments: list[str]) -> None:
    assert_misuse(glo(*arguments, "--device", "gpu"), "device 'gpu' cannot be used: give cpu, cuda, cuda:N or auto$")
    assert list(tmp_path.iterdir()) == []


def test_what_a_task_prints_does_not_spoil_json(tmp_path: Path) -> None:
    (tmp_path / "talking.py").write_text(
        "from glo.tasks import load_task\nprint('importing')\n\n"
        "def task():\n    print('making')\n    return load_task('digits')\n"
    )
    arguments = ["evaluate", "x*log(y)", "--task", "talking:task", "--steps", "2", "--json"]
    run = subprocess.run(
        [sys.executable, "-m", "glo", *arguments], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert json.loads(run.stdout)["steps"] == 2
    assert "importing\nmaking\n" in run.stderr


def test_reserved_output_is_given_back(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A second command in the same process prints where that process prints then."""
    with monkeypatch.context() as first:
        first.setattr(sys, "stdout", io.StringIO())
        with output_reserved(True):
            print_json({"number": 1})
        sys.stdout.close()
    print_json({"number": 2})
    assert json.loads(capsys.readouterr().out) == {"number": 2}
