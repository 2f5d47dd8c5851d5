"""Figures can be saved, and tables show their numbers."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import pytest
from rich.console import Console
from rich.table import Table

from glo.catalog import NAMED
from glo.expr import parse
from glo.records import Outcome, PhaseKind, Stage, StageCount, Status
from glo.report import (
    atlas_csv,
    atlas_rows,
    atlas_table,
    funnel_counts_table,
    loss_figure,
    progress_figure,
    save,
    tuning_table,
)
from glo.store import GenerationRecord


def text(table: Table) -> str:
    """The printed text of a table."""
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    printed: Any = console.file
    return printed.getvalue()


def history(*fitnesses: list[float]) -> list[GenerationRecord]:
    """Generations of trained candidates with these fitnesses."""
    return [
        GenerationRecord(
            number,
            PhaseKind.GENETIC,
            "",
            [Outcome("x*y", "f", Status.TRAINED, Stage.TRAINING, "", fitness, 0.1) for fitness in values],
            {stage: StageCount(5 + number, 2) for stage in Stage},
            1.0,
        )
        for number, values in enumerate(fitnesses)
    ]


@pytest.mark.parametrize("name", sorted(NAMED))
def test_figure_of_a_loss(name: str, tmp_path: Path) -> None:
    save(loss_figure({name: NAMED[name]}), tmp_path / "loss.png")
    assert min(matplotlib.image.imread(tmp_path / "loss.png").shape[:2]) > 300
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


def test_figure_as_svg(tmp_path: Path) -> None:
    save(loss_figure({"one": NAMED["baikal"], "two": parse("1/x")}), tmp_path / "loss.svg")
    assert ElementTree.parse(tmp_path / "loss.svg").getroot().tag.endswith("svg")  # noqa: S314 - our own file


@pytest.mark.parametrize("fitnesses", [[[0.5, 0.7], [0.6], [0.9, 0.1]], [[0.5]], [[], []], [[0.2], []]])
def test_figure_of_a_search(fitnesses: list[list[float]], tmp_path: Path) -> None:
    """Including generations without a trained candidate, and a search of one generation."""
    save(progress_figure(history(*fitnesses), "validation accuracy"), tmp_path / "progress.png")
    assert min(matplotlib.image.imread(tmp_path / "progress.png").shape[:2]) > 300


def test_progress_shows_the_best_so_far() -> None:
    left = progress_figure(history([0.5, 0.7], [0.6, 0.4], [0.9])).axes[0]
    curves = {str(line.get_label()): [float(y) for y in line.get_ydata()] for line in left.lines}  # pyright: ignore[reportGeneralTypeIssues]
    assert curves["best so far"] == [0.7, 0.7, 0.9]
    assert curves["mean of the trained"] == pytest.approx([0.6, 0.5, 0.9])


def test_unknown_format_leaves_the_file_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "loss.nonsense"
    path.write_text("old")
    with pytest.raises(ValueError, match="nonsense"):
        save(loss_figure({"one": NAMED["baikal"]}), path)
    assert path.read_text() == "old"


# Prints which of the heavy packages are imported, before and after a figure is made.
FIGURE = """
import sys
import glo.report
from glo.catalog import NAMED
heavy = lambda: [name for name in ("torch", "matplotlib", "sqlalchemy") if name in sys.modules]
print(heavy())
glo.report.loss_figure({"baikal": NAMED["baikal"]})
print(heavy())
"""


def test_reports_import_matplotlib_only_for_figures_and_never_torch() -> None:
    child = subprocess.run([sys.executable, "-c", FIGURE], capture_output=True, text=True, check=True)
    assert child.stdout.splitlines() == ["[]", "['matplotlib']"]


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
    assert "above chance" in text(funnel_counts_table(rows))
    assert "above chance" not in text(funnel_counts_table(rows, objective=True))


def test_trainings_that_all_come_from_the_store_are_said_to(tmp_path: Path) -> None:
    """They are not counted as none; where nothing could be trained, none is right."""
    rows = {"structure": {"candidates": 9, "rejected": 2, "seconds": 0.5, "saved": 4.5}}
    rows["training"] = {"candidates": 0, "rejected": 0, "seconds": 0.0, "saved": 0.0}
    *_, told, _ = text(funnel_counts_table(rows, found=True)).splitlines()
    assert [cell.strip() for cell in told.split("│")[1:4]] == ["training", "all taken from the store", ""]
    *_, none, _ = text(funnel_counts_table(rows)).splitlines()
    assert [cell.strip() for cell in none.split("│")[1:4]] == ["training", "trained to the end", "0"]


def confirmation(candidate: str, **changes: Any) -> dict[str, Any]:
    return {
        "candidate": candidate, "expression": f"{candidate}*x*y", "learning_rate": 0.3, "fitness": 0.91234,
        "status": "trained", **changes,
    }  # fmt: skip


def test_tuning_table() -> None:
    rows = [
        confirmation("2"),
        confirmation("3", fitness=0.95, learning_rate=0.01),
        confirmation("4", fitness=0.0, learning_rate=None, status="diverged"),
    ]
    tuning: dict[str, Any] = {"start": "2*x*y", "which": "effective", "coefficients": 6, "seeds": 5, "scale_only": False}
    tuning["confirmation"] = rows
    printed = text(tuning_table(tuning))
    for part in ("6 coefficients (effective) of 2*x*y", "5 fresh seeds", "validation"):
        assert part in " ".join(printed.split())
    first, second, third = [line for line in printed.splitlines() if "*x*y" in line and "│" in line]
    assert all(part in first for part in ("2*x*y", "0.3", "0.9123"))
    assert all(part in second for part in ("3*x*y", "0.01", "0.9500"))
    assert all(part in third for part in ("4*x*y", "diverged"))
    assert "0.0000" not in third
    one = " ".join(text(tuning_table({**tuning, "coefficients": 1})).split())
    assert "Tuning 1 coefficient (effective)" in one
    scale = " ".join(text(tuning_table({**tuning, "coefficients": 1, "scale_only": True})).split())
    assert "Tuning only the overall scale of 2*x*y" in scale


def outcome(expression: str, fitness: float, status: Status = Status.TRAINED, reason: str = "") -> Outcome:
    trained = status is Status.TRAINED
    stage = Stage.TRAINING if trained else Stage.DERIVATIVE
    return Outcome(expression, f"mark of {expression}", status, stage, reason, fitness, 0.3 if trained else None)


RANKED = [
    outcome("log(y)*x", 0.91234),
    outcome("2*x*log(y)", 0.9),
    outcome("x*y*sqrt(y)", 0.5),
    outcome("x + 0*y", 0.0, Status.REJECTED, 'zero everywhere, not "here" alone'),
]


def test_atlas_rows() -> None:
    """Named losses are recognised, however they are written and scaled."""
    rows = atlas_rows(RANKED)
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert [row["expression"] for row in rows] == [outcome.expression for outcome in RANKED]
    assert ["cross_entropy" in row["known_as"] for row in rows] == [True, True, False, False]
    assert rows[2]["known_as"] == []
    assert [row["nodes"] for row in rows] == [4, 6, 6, 5]
    assert [row["status"] for row in rows] == ["trained"] * 3 + ["rejected"]
    assert (rows[0]["fitness"], rows[0]["learning_rate"], rows[0]["fingerprint"]) == (0.91234, 0.3, "mark of log(y)*x")
    assert (rows[3]["learning_rate"], rows[3]["reason"]) == (None, 'zero everywhere, not "here" alone')
    assert atlas_rows([]) == []


def test_atlas_as_csv() -> None:
    """Every row and every column can be read back."""
    rows = atlas_rows(RANKED)
    read = list(csv.DictReader(io.StringIO(atlas_csv(rows))))
    assert [row.keys() for row in read] == [row.keys() for row in rows]
    for found, row in zip(read, rows, strict=True):
        assert found["known_as"].split() == row["known_as"]
        assert float(found["fitness"]) == row["fitness"]
        assert found["learning_rate"] == ("" if row["learning_rate"] is None else str(row["learning_rate"]))
        for key in ("expression", "status", "reason", "fingerprint"):
            assert found[key] == row[key]
    assert "\r" not in atlas_csv(rows)
    assert atlas_csv([]) == "rank\n"


def test_atlas_table() -> None:
    """The table has the given number of losses; one that was not trained shows its status in place of a fitness."""
    rows = atlas_rows(RANKED)
    lines = text(atlas_table(rows, 2)).splitlines()
    assert any("The best 2 of 4 losses" in line for line in lines)
    (first,) = [line for line in lines if "log(y)*x" in line]
    assert all(part in first for part in ("1", "cross_entropy", "0.3", "0.9123"))
    assert not any("sqrt" in line for line in lines)
    everything = text(atlas_table(rows, 20))
    assert "The best 4 of 4 losses" in everything
    (last,) = [line for line in everything.splitlines() if "x + 0*y" in line]
    assert "rejected" in last
    assert "0.0000" not in last
