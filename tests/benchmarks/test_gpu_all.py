"""The script for a GPU: it goes on where it stopped, and its dry run needs no GPU."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.gpu_all import EXPERIMENTS, Part, known_status, main, parts, run_parts, verdicts
from benchmarks.gpu_parts import main as measure
from glo.errors import ConfigError

WRITES = "import pathlib, sys; path = pathlib.Path(sys.argv[1]); path.write_text('[1, 2]'); print('measured')"
# It fails at first, and then no more: the file is there.
FAILS_ONCE = "import pathlib, sys; path = pathlib.Path(sys.argv[1]); code = not path.exists(); path.touch(); sys.exit(code)"


def part(name: str, code: str, *arguments: str, result: str = "", minutes: float = 1.0) -> Part:
    return Part(name, (sys.executable, "-c", code, *arguments), result, minutes)


def test_finished_parts_are_skipped_and_failed_ones_are_tried_again(tmp_path: Path) -> None:
    todo = [
        part("writes", WRITES, "{out}/numbers.json", result="numbers.json"),
        part("fails", FAILS_ONCE, "{out}/was-there"),
        part("last", "print('also')"),
    ]
    lines: list[str] = []
    assert run_parts(todo, tmp_path, 5, lines.append) == {"writes": "done", "fails": "failed", "last": "done"}
    written = json.loads((tmp_path / "writes.json").read_text(encoding="utf-8"))
    assert (written["result"], written["tail"], written["exit"]) == ([1, 2], "measured\n", 0)
    assert written["provenance"]["versions"]["torch"]
    assert "[1/3] writes: begins; 5.0 of 5 minutes left" in lines
    before = (tmp_path / "writes.json").stat().st_mtime_ns
    lines.clear()
    assert run_parts(todo, tmp_path, 5, lines.append) == dict.fromkeys(("writes", "fails", "last"), "done")
    assert (tmp_path / "writes.json").stat().st_mtime_ns == before
    assert [line for line in lines if "begins" in line] == ["[2/3] fails: begins; 5.0 of 5 minutes left"]


def test_a_part_that_hangs_is_killed_and_the_next_one_runs(tmp_path: Path) -> None:
    hangs = part("hangs", "import signal; signal.pause()", minutes=0.01)
    assert run_parts([hangs, part("next", "")], tmp_path, 5, print) == {"hangs": "timed out", "next": "done"}
    lines: list[str] = []
    run_parts([hangs, part("another", "")], tmp_path, 5, lines.append)
    assert [line.split(":")[0] for line in lines if "begins" in line] == ["[1/2] another", "[2/2] hangs"]


def test_without_time_no_part_begins(tmp_path: Path) -> None:
    lines: list[str] = []
    assert run_parts([part("one", "")], tmp_path, 0, lines.append) == {}
    assert lines == ["[1/1] one: no time left; the same command goes on here"]


def test_results_of_another_command_are_refused(tmp_path: Path) -> None:
    run_parts([part("one", "print(1)")], tmp_path, 5, print)
    with pytest.raises(ConfigError, match=r"one\.json is of another command"):
        known_status(part("one", "print(2)"), tmp_path)
    (tmp_path / "one.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a result of a part"):
        known_status(part("one", "print(1)"), tmp_path)


def test_the_dry_run_has_every_part_at_a_tiny_size(capsys: pytest.CaptureFixture[str]) -> None:
    tiny, whole = parts(dry_run=True), parts(dry_run=False)
    assert [each.name for each in tiny] == [each.name for each in whole]
    assert all(a.command != b.command for a, b in zip(tiny, whole, strict=True))
    assert main(["--list"]) == 0
    assert "experiment run discovery --scale paper --seed 2" in capsys.readouterr().out


def test_a_part_of_the_dry_run(tmp_path: Path) -> None:
    assert measure(["convolution", str(tmp_path / "convolution.json"), "--small"]) == 0
    layers = json.loads((tmp_path / "convolution.json").read_text(encoding="utf-8"))["layers"]
    assert {layer["way"] for layer in layers} == {"grouped", "im2col"}
    assert all(layer["ms"] > 0 for layer in layers)
    differences = {layer["precision"]: layer["largest_relative_difference"] for layer in layers}
    assert differences["float32"] < 1e-5
    assert differences["bfloat16"] < 0.05


def test_the_figures_of_the_paper_are_timed_together_with_all_tries(tmp_path: Path) -> None:
    figures = [part(f"experiment-{name}", FAILS_ONCE, f"{{out}}/{name}") for name in EXPERIMENTS]
    run_parts(figures, tmp_path, 5, print)
    assert verdicts(figures, tmp_path) == []
    seconds = [json.loads((tmp_path / f"{each.name}.json").read_text(encoding="utf-8"))["seconds"] for each in figures]
    run_parts(figures, tmp_path, 5, print)
    tries = [json.loads((tmp_path / f"{each.name}.json").read_text(encoding="utf-8")) for each in figures]
    for first, found in zip(seconds, tries, strict=True):
        assert found["seconds_of_all_tries"] == pytest.approx(first + found["seconds"])
    together = sum(found["seconds_of_all_tries"] for found in tries)
    assert verdicts(figures, tmp_path) == [f"the figures of the paper took {together / 60:.1f} minutes (goal: less than 60)"]
    assert verdicts(figures[1:], tmp_path) == []


def test_the_opening_of_a_gpu_is_measured_on_a_cluster_and_without_one(tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="a cluster needs glo-torch[cluster]")
    assert measure(["opening", str(tmp_path / "opening.json"), "--small"]) == 0
    found = json.loads((tmp_path / "opening.json").read_text(encoding="utf-8"))
    assert [len(found[name]) for name in ("without a cluster", "one worker")] == [3, 3]


def test_the_kernel_for_the_losses_is_measured_where_triton_is_installed(tmp_path: Path) -> None:
    assert measure(["losses-kernel", str(tmp_path / "kernel.json"), "--small"]) == 0
    found = json.loads((tmp_path / "kernel.json").read_text(encoding="utf-8"))
    if find_spec("triton") is None:
        assert found["skipped"].startswith("triton is not installed")
        return
    assert [shape["outputs"] for shape in found["calls"]] == ["MNIST", "digits"]
    for shape in found["calls"]:
        way = "kernel, 8 samples, 1 warps"
        assert shape[way]["difference"]["largest"] < 1e-3
        assert min(shape["ms"][f"{name}, eager"] for name in ("present", way)) > 0


def test_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dry-run", "--only", "nonsense", "--out", str(tmp_path)]) == 1
    assert "no part nonsense" in capsys.readouterr().err
