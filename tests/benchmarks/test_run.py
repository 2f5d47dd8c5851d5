"""The benchmarks: what is measured in turn, what a row says, and that each row is written as soon as it is known."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from benchmarks import measuring
from benchmarks.measuring import Run, cpu_seconds, peak_mb, row, spent
from benchmarks.peers import plain, stacked
from benchmarks.results import read_rows, shown, with_row
from benchmarks.run import WORKS, main
from glo.tasks import load_task


def test_everything_is_measured_in_turn_after_a_warm_up() -> None:
    order: list[str] = []
    lines: list[str] = []
    measured = Run(lines.append).interleaved({name: lambda name=name: order.append(name) for name in "AB"}, pairs=3)
    assert "".join(order) == "AB" * 4
    assert [len(measured.spent[name]) for name in "AB"] == [3, 3]
    assert lines[:3] == ["warm-up: A", "warm-up: B", "round 1 of 3: A"]
    a, b = ([each.wall for each in measured.spent[name]] for name in "AB")
    assert measured.ratios("A", "B") == [x / y for x, y in zip(a, b, strict=True)]


def test_the_time_of_a_call_is_that_of_its_processes_too() -> None:
    task = load_task("digits")
    work = [plain.Work("x*log(y)", 0.1, 30, 100, seed) for seed in range(2)]
    before = cpu_seconds()
    with plain.workers(task, 1) as train_all:
        took = spent(lambda: train_all(work))
    assert 0.01 < took.cpu <= cpu_seconds() - before


def test_peak_memory_is_what_a_call_has_beyond_before(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, look = threading.Semaphore(0), measuring._memory

    def counted() -> float:
        found = look()
        looks.release()
        return found

    def call() -> None:
        held = b"x" * (64 * 2**20)
        while looks.acquire(blocking=False):
            pass
        for _ in range(2):  # the first one may have begun before
            assert looks.acquire(timeout=60)
        assert held

    monkeypatch.setattr(measuring, "_memory", counted)
    assert 60 < peak_mb(call) < 100


def test_a_row_is_the_median_beside_its_goal() -> None:
    made = row("name", "what", [3.0, 1.0, 2.0, 8.0, 4.0], ">= 4", wall_s=1)
    assert (made["value"], made["met"], made["wall_s"]) == (3.0, False, 1)
    assert made["spread"] == {"n": 5, "least": 1.0, "q1": 2.0, "q3": 4.0, "most": 8.0}
    assert row("name", "what", [0.1], "< 0.3", "s")["met"]
    assert "met" not in row("name", "what", [0.1])


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(7.389, "x", "7.39x"), (0.211, "%", "21.1 %"), (0.0712, "s", "0.0712 s"), (1234.4, "x", "1,230x"), (0.66, "", "0.66")],
)
def test_numbers_for_a_reader(value: float, unit: str, text: str) -> None:
    assert shown(value, unit) == text


def test_a_row_replaces_the_one_with_its_name() -> None:
    rows = [{"name": "a", "value": 1}, {"name": "b", "value": 2}]
    assert with_row(rows, {"name": "a", "value": 3}) == [{"name": "a", "value": 3}, rows[1]]
    assert [each["name"] for each in with_row(rows, {"name": "c"})] == ["a", "b", "c"]


def test_each_row_is_printed_and_written_and_others_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    out.write_text(json.dumps({"rows": [{"name": "floor-real", "value": 7}, {"name": "other", "value": 1}]}))
    assert main(["step", "--small", "--pairs", "1", "--out", str(out)]) == 0
    rows = {each["name"]: each for each in read_rows(out)}
    assert list(rows) == ["floor-real", "other", "losses-share"]
    assert rows["other"] == {"name": "other", "value": 1}
    assert 0 < rows["losses-share"]["value"] < 1
    assert {"commit", "date", "load", "hardware", "versions"} <= set(rows["floor-real"]["provenance"])
    shown_lines = capsys.readouterr().out.splitlines()
    assert shown_lines[0].endswith("[1/1] step: begins")
    assert any("=> share of the losses" in line for line in shown_lines)


def test_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text("[]")
    assert main(["step", "--small", "--out", str(tmp_path / "other.json")]) == 1
    assert "is no file of the benchmarks" in capsys.readouterr().err
    assert main(["--small", "--publish"]) == 1
    assert "leave out --small or --publish" in capsys.readouterr().err


def test_the_list_has_every_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(WORKS)


def test_stacked_networks_train_as_the_plain_loop_does() -> None:
    task = load_task("digits")
    networks = stacked.Networks("gce", (0.7, 0.3), 1.0, 100, 100, seed=3)
    alone = [plain.train(task, plain.Work(f"x*(y**{q} - 1)/{q}", 1.0, 100, 100, 3)) for q in networks.parameters]
    assert stacked.train(task, networks) == pytest.approx(alone, abs=0.01)
    assert min(alone) > 0.5
