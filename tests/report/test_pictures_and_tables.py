"""Pictures are whole files; tables hold the numbers."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from rich.console import Console
from rich.table import Table

from glo.catalog import NAMED
from glo.expr import parse
from glo.records import Outcome, Phase, Stage, StageCount, Status
from glo.report import (
    atlas_csv,
    atlas_rows,
    atlas_table,
    comparison_figure,
    comparison_table,
    funnel_counts_table,
    loss_figure,
    progress_figure,
    save,
    tuning_table,
)
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


Values = Mapping[str, Sequence[float]]
SHORT: Values = {"cross_entropy": [0.80, 0.82, 0.81], "baikal": [0.70, 0.75, 0.71], "x*y": [0.90, 0.60, 0.65]}
LONG: Values = {"cross_entropy": [0.90, 0.92, 0.91], "baikal": [0.93, 0.95, 0.97], "x*y": [0.85, 0.88, 0.20]}


def comparison(*horizons: tuple[int, Values], confounded: bool = False) -> dict[str, Any]:
    """What the picture needs of a comparison."""
    return {
        "task": "digits",
        "metric": "accuracy",
        "baseline": next(iter(horizons[0][1])),
        "repeats": len(next(iter(horizons[0][1].values()))),
        "confounded": confounded,
        "horizons": [
            {"steps": steps, "losses": {name: {"values": list(seeds)} for name, seeds in values.items()}}
            for steps, values in horizons
        ],
    }


def places(axes: Axes) -> dict[str, float]:
    """The ticks of the vertical axis by name; the first panel's names are those of all."""
    first = axes.get_figure().axes[0]  # pyright: ignore[reportOptionalMemberAccess]
    assert axes.get_yticks().tolist() == first.get_yticks().tolist()
    return dict(zip([label.get_text() for label in first.get_yticklabels()], axes.get_yticks().tolist(), strict=True))


def from_the_top(axes: Axes) -> list[str]:
    """The names at the ticks of the vertical axis, as they are seen."""
    heights = {name: axes.transData.transform((0, tick))[1] for name, tick in places(axes).items()}
    return sorted(heights, key=lambda name: -heights[name])


def seeds_drawn(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Dots by the name of the tick that they are next to, as (value, distance from the tick)."""
    ticks = places(axes)
    dots: dict[str, list[tuple[float, float]]] = {name: [] for name in ticks}
    for line in axes.lines:
        if line.get_marker() == "o":
            for x, y in np.asarray(line.get_xydata()).tolist():
                nearest = min(ticks, key=lambda name: abs(ticks[name] - y))
                dots[nearest].append((x, y - ticks[nearest]))
    return dots


@pytest.mark.parametrize("ending", ["png", "svg"])
@pytest.mark.parametrize("horizons", [[(300, SHORT)], [(300, SHORT), (20_000, LONG)]])
def test_picture_of_a_comparison(ending: str, horizons: list[tuple[int, Values]], tmp_path: Path) -> None:
    path = tmp_path / f"comparison.{ending}"
    save(comparison_figure(comparison(*horizons)), path)
    if ending == "png":
        assert min(matplotlib.image.imread(path).shape[:2]) > 300
    else:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")  # noqa: S314 - our own file
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_comparison_has_a_panel_for_each_length_of_training() -> None:
    figure = comparison_figure(comparison((300, SHORT), (20_000, LONG), (50_000, SHORT)))
    assert [axes.get_title() for axes in figure.axes] == ["300 steps", "20,000 steps", "50,000 steps"]
    for axes in figure.axes:
        assert from_the_top(axes) == list(SHORT)
        assert axes.get_xlabel() == "test accuracy, 3 seeds"
    assert len(comparison_figure(comparison((300, SHORT))).axes) == 1


def test_a_comparison_draws_every_seed_beside_its_loss() -> None:
    """All within a box's height of the tick; one seed at one height for all losses, so that it can be followed."""
    horizons = [(300, SHORT), (20_000, LONG)]
    figure = comparison_figure(comparison(*horizons))
    for axes, (_, values) in zip(figure.axes, horizons, strict=True):
        drawn = seeds_drawn(axes)
        assert {name: [x for x, _ in dots] for name, dots in drawn.items()} == {k: list(v) for k, v in values.items()}
        heights = np.array([[height for _, height in dots] for dots in drawn.values()])
        assert np.abs(heights).max() < 0.25
        assert np.ptp(heights, axis=0) == pytest.approx(0)
        assert len(set(heights[0].round(6))) == 3
        low, high = axes.get_xlim()
        assert low < min(itertools.chain(*values.values())) <= max(itertools.chain(*values.values())) < high
        medians = {line.get_xdata()[0] for line in axes.lines if len(set(line.get_xdata())) == 1}  # pyright: ignore[reportArgumentType, reportIndexIssue]
        assert {float(np.median(seeds)) for seeds in values.values()} <= medians


def test_the_baseline_has_a_colour_of_its_own() -> None:
    (axes,) = comparison_figure(comparison((300, SHORT))).axes
    baseline, *others = [to_rgba(line.get_color()) for line in axes.lines if line.get_marker() == "o"]
    assert len(set(others)) == 1
    assert baseline not in others


@pytest.mark.parametrize(
    ("confounded", "told"), [(False, "each loss at its own best learning rate"), (True, "all at one learning rate")]
)
def test_a_comparison_tells_how_rates_were_chosen(confounded: bool, told: str) -> None:
    figure = comparison_figure(comparison((300, SHORT), confounded=confounded))
    assert figure.get_suptitle() == f"digits: {told}"


def test_a_long_expression_is_cut_short_in_the_picture() -> None:
    long = "+".join(["x*log(y)"] * 20)
    (axes,) = comparison_figure(comparison((300, {"cross_entropy": [0.8, 0.9], long: [0.7, 0.6]}))).axes
    name = from_the_top(axes)[1]
    assert len(name) == 40
    assert name.endswith("...")
    assert long.startswith(name[:-3])


ROW = {"expression": "x*y", "learning_rate": 0.3, "mean": 0.9, "sd": 0.01, "n": 7, "difference": None}
COMPARED = {"difference": 0.05, "interval": [0.01, 0.09], "p_value": 0.0123, "p_holm": 0.0246, "hedges_g": None}


def test_several_losses_are_shown_with_holms_correction() -> None:
    several = text(comparison_table({name: {**ROW, **(COMPARED if name != "a" else {})} for name in "abc"}, "accuracy"))
    two = text(comparison_table({name: {**ROW, **(COMPARED if name != "a" else {})} for name in "ab"}, "accuracy"))
    (line,) = [line for line in several.splitlines() if "│ c " in line]
    assert all(part in line for part in ("+0.0500", "+0.0100 to +0.0900", "1.2e-02", "2.5e-02"))
    assert "p (Holm)" in several
    assert "Holm" not in two
    assert "2.5e-02" not in two


def test_a_comparison_says_after_how_many_steps_and_at_which_rates() -> None:
    losses = {"mse": ROW, "mae": {**ROW, **COMPARED}}
    own = " ".join(text(comparison_table(losses, "r2", 20_000)).split())
    fixed = " ".join(text(comparison_table(losses, "r2", fixed=True)).split())
    assert "Test r2 after 20,000 steps, each loss at its own best learning rate; differences to mse" in own
    assert "Test r2, all at one learning rate; differences to mse" in fixed


def test_an_expression_that_is_its_own_name_is_printed_once() -> None:
    printed = text(comparison_table({"x*y": ROW, "mae": {**ROW, **COMPARED}}, "accuracy"))
    first = next(line for line in printed.splitlines() if "0.9000" in line)
    assert first.count("x*y") == 1


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
    """Known losses are known by their name, however they are written and scaled."""
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
    """What is written can be read back: every row, every column."""
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
    """The best, as many as asked for; a loss that was not trained shows why in place of a fitness."""
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
