"""What the progress of a long call shows: lines in a log, bars on a real terminal and in a real kernel."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable

import pytest

from glo.progress import LINE_SECONDS, Lines, Progress, Silent


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def texts(progress: Progress) -> list[str]:
    return [str(part) for part in progress.parts]


def test_parts_and_their_time_left() -> None:
    clock = Clock()
    with Progress(Silent(), clock) as progress:
        progress.show("choosing", 2, 10)
        clock.now += 10
        progress.show("choosing", 6, 20, "rates")
        assert texts(progress) == ["choosing rates, about 35 s left"]  # 4 in 10 s, 14 to come
        progress.show("search", 5, None, "5 candidates", 130.0)
        assert texts(progress) == ["choosing rates", "search 5 candidates, about 3 min left"]
    assert texts(progress) == ["choosing rates", "search 5 candidates"]


def test_calls_within_one_another_share_it_and_another_call_begins_anew() -> None:
    with Progress(Silent()) as progress:
        progress.show("search", 1, 2)
        with progress:
            progress.show("survey", 1, 2)
        assert len(progress.parts) == 2
    with progress:
        assert progress.parts == []


def test_a_log_has_a_line_for_each_milestone_and_now_and_then_one_of_other_work() -> None:
    clock, written = Clock(), list[str]()
    with Progress(Lines(written.append, clock), clock) as progress:
        progress.show("search", 1, 3, "generation 1 of 3", 20.0, milestone=True)
        for done in range(1, 100):
            clock.now += LINE_SECONDS / 50
            progress.show("training", done, 100)
        progress.show("search", 2, 3, "generation 2 of 3", milestone=True)
    assert written == [
        "search generation 1 of 3, about 20 s left", "training 50 of 100, about 11 s left",
        "search generation 2 of 3, about 20 s left",
    ]  # fmt: skip


def test_a_text_cannot_command_a_terminal() -> None:
    with Progress(Silent()) as progress:
        progress.show("measuring \x1b[2J", 1, 2)
    assert texts(progress) == ["measuring \\x1b[2J"]


BARS = """
import sys
from glo.progress import Bars, Progress, chosen_display
assert isinstance(chosen_display(), Bars)
with Progress() as outer:
    outer.show("search", 1, 2, "[red]generation 1 of 2[/red]")
    print("a line")
    with Progress() as inner:  # the caller's own bars are there already
        inner.show("other", 1, 2)
    outer.show("search", 2, 2, "[red]generation 2 of 2[/red]")
"""


def on_a_terminal(script: str) -> str:
    """What a script writes to a terminal."""
    parent, child = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=child, stderr=child, env={**os.environ, "TERM": "xterm"}
    ) as run:
        os.close(child)
        shown = b"".join(iter(reader(parent), b""))
    os.close(parent)
    assert run.returncode == 0, shown.decode()
    return shown.decode()


def reader(terminal: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return os.read(terminal, 4096)
        except OSError:  # Linux: the other end is closed
            return b""

    return read


def test_bars_on_a_terminal() -> None:
    shown = on_a_terminal(BARS)
    assert "search [red]generation 2 of 2[/red]" in shown
    assert "100%" in shown
    assert "a line" in shown


FORKED = """
import multiprocessing
from glo.progress import Progress
def child(): print("from the child", type(__import__("sys").stdout).__name__)
with Progress() as progress:
    progress.show("search", 1, 2)
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start(); process.join()
"""


def test_a_forked_process_prints_past_the_bars() -> None:
    """The lock of the bars may be held by a thread that the forked process does not have."""
    assert "from the child TextIOWrapper" in on_a_terminal(FORKED)


@pytest.mark.filterwarnings("ignore")  # those of Jupyter
def test_bars_in_a_notebook() -> None:
    pytest.importorskip("ipykernel", reason="pip install 'glo-torch[docs]'")
    nbclient = pytest.importorskip("nbclient", reason="pip install 'glo-torch[docs]'")
    nbformat = pytest.importorskip("nbformat", reason="pip install 'glo-torch[docs]'")
    code = (
        "from glo.progress import Progress\nwith Progress() as progress:\n"
        "    for done in range(1, 5):\n        progress.show('<search>', done, 4, f'generation {done} of 4')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    shown = output["data"]["text/html"]
    assert shown == '<div><label><progress value="4" max="4"></progress> &lt;search&gt; generation 4 of 4</label></div>'
