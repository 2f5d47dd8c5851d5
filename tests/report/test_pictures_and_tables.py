"""Pictures are whole files; tables hold the numbers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import pytest
from rich.console import Console
from rich.table import Table

from glo.expr import parse
from glo.losses import NAMED
from glo.records import Outcome, Phase, Stage, StageCount, Status
from glo.report import comparison_table, funnel_counts_table, loss_figure, progress_figure, save
from glo.store import GenerationRecord


def text(table: Table) -> str:
    """A table as it is printed."""
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    printed: Any = console.file
    return printed.getvalue()


def history(*fitnesses: list[float]) -> list[GenerationRecord]:
    """Generations of trained candidates with these fitnesses."""
    return [
        GenerationRecord(
            number,
            Phase.GENETIC,
            "",
            [Outcome("x*y", "f", Status.TRAINED, Stage.TRAINING, "", fitness, 0.1) for fitness in values],
            {stage: StageCount(5 + number, 2) for stage in Stage},
            1.0,
        )
        for number, values in enumerate(fitnesses)
    ]


@pytest.mark.parametrize("name", sorted(NAMED))
def test_picture_of_a_loss(name: str, tmp_path: Path) -> None:
    save(loss_figure({name: NAMED[name]}), tmp_path / "loss.png")
    assert min(matplotlib.image.imread(tmp_path / "loss.png").shape[:2]) > 300
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


def test_picture_as_svg(tmp_path: Path) -> None:
    save(loss_figure({"one": NAMED["baikal"], "two": parse("1/x")}), tmp_path / "loss.svg")
    assert ElementTree.parse(tmp_path / "loss.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own file


@pytest.mark.parametrize("fitnesses", [[[0.5, 0.7], [0.6], [0.9, 0.1]], [[0.5]], [[], []], [[0.2], []]])
def test_picture_of_a_search(fitnesses: list[list[float]], tmp_path: Path) -> None:
    """Generations in which nothing trained, and a search of one generation, can be drawn too."""
    save(progress_figure(history(*fitnesses), "validation accuracy"), tmp_path / "progress.png")
    assert min(matplotlib.image.imread(tmp_path / "progress.png").shape[:2]) > 300


def test_progress_shows_the_best_so_far() -> None:
    left = progress_figure(history([0.5, 0.7], [0.6, 0.4], [0.9])).axes[0]
    curves = {str(line.get_label()): [float(y) for y in line.get_ydata()] for line in left.lines}  # pyright: ignore[reportGeneralTypeIssues]
    assert curves["best so far"] == [0.7, 0.7, 0.9]
    assert curves["mean of the trained"] == pytest.approx([0.6, 0.5, 0.9])


def test_picture_replaces_an_old_one_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "loss.nonsense"
    path.write_text("old")
    with pytest.raises(ValueError, match="nonsense"):
        save(loss_figure({"one": NAMED["baikal"]}), path)
    assert path.read_text() == "old"


def test_funnel_table() -> None:
    rows = {
        str(stage): {"candidates": 1000 + n, "rejected": 200 + n, "seconds": 30.5 + n, "saved": 4000.5 + n}
        for n, stage in enumerate(Stage)
    }
    rows[str(Stage.TRAINING)]["saved"] = 0.0
    lines = text(funnel_counts_table(rows)).splitlines()
    for n, stage in enumerate(Stage):
        (line,) = [line for line in lines if f" {stage} " in line and f"1,{n:03d}" in line]
        assert f"{200 + n}" in line
        assert f"{30.5 + n:.1f}" in line
        assert (f"{4000.5 + n:,.1f}" in line) == (stage is not Stage.TRAINING)


def test_comparison_table() -> None:
    row = {"expression": "x*y", "learning_rate": 0.3, "mean": 0.91234, "sd": 0.01239, "n": 7, "difference": None}
    compared = {"difference": -0.11234, "interval": [-0.2, -0.05], "p_value": 0.00123, "p_holm": None, "hedges_g": -1.5}
    other = {**row, "expression": "log(y)*x", "mean": 0.8, **compared}
    printed = text(comparison_table({"discovered": row, "cross_entropy": other}, "accuracy"))
    assert "accuracy" in printed
    first = next(line for line in printed.splitlines() if "│ discovered" in line)
    second = next(line for line in printed.splitlines() if "cross_entropy" in line)
    assert all(part in first for part in ("x*y", "0.3", "0.9123", "0.0124", "7"))
    assert all(part in second for part in ("log(y)*x", "0.8000", "-0.1123", "-0.2000 to -0.0500", "1.2e-03", "-1.50"))
