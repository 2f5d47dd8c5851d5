"""The figure of a comparison is a whole file and shows every seed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from compare.made_up import comparison_of, rows_with
from glo.compare import Comparison
from glo.compare.config import LADDER
from glo.compare.horizons import Horizon
from glo.report import save

Values = Mapping[str, Sequence[float]]
SHORT: Values = {"cross_entropy": [0.80, 0.82, 0.81], "baikal": [0.70, 0.75, 0.71], "x*y": [0.90, 0.60, 0.65]}
LONG: Values = {"cross_entropy": [0.90, 0.92, 0.91], "baikal": [0.93, 0.95, 0.97], "x*y": [0.85, 0.88, 0.20]}


def comparison(*horizons: tuple[int, Values], confounded: bool = False) -> Comparison:
    """A comparison with these values on test."""
    return comparison_of(
        *(Horizon(steps, rows_with(values)) for steps, values in horizons),
        learning_rates=(0.1,) if confounded else LADDER,
        repeats=len(next(iter(horizons[0][1].values()))),
    )


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
    save(comparison(*horizons).plot(), path)
    if ending == "png":
        assert min(matplotlib.image.imread(path).shape[:2]) > 300
    else:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")  # noqa: S314 - our own file
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_comparison_has_a_panel_for_each_length_of_training() -> None:
    figure = comparison((300, SHORT), (20_000, LONG), (50_000, SHORT)).plot()
    assert [axes.get_title() for axes in figure.axes] == ["300 steps", "20,000 steps", "50,000 steps"]
    for axes in figure.axes:
        assert from_the_top(axes) == list(SHORT)
        assert axes.get_xlabel() == "test accuracy, 3 seeds"
    assert len(comparison((300, SHORT)).plot().axes) == 1


def test_a_comparison_draws_every_seed_beside_its_loss() -> None:
    """All within a box's height of the tick; one seed at one height for all losses, so that it can be followed."""
    horizons = [(300, SHORT), (20_000, LONG)]
    figure = comparison(*horizons).plot()
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
    (axes,) = comparison((300, SHORT)).plot().axes
    baseline, *others = [to_rgba(line.get_color()) for line in axes.lines if line.get_marker() == "o"]
    assert len(set(others)) == 1
    assert baseline not in others


@pytest.mark.parametrize(
    ("confounded", "told"), [(False, "each loss at its own best learning rate"), (True, "all at one learning rate")]
)
def test_a_comparison_tells_how_rates_were_chosen(confounded: bool, told: str) -> None:
    figure = comparison((300, SHORT), confounded=confounded).plot()
    assert figure.get_suptitle() == f"digits: {told}"


def test_a_long_expression_is_cut_short_in_the_picture() -> None:
    long = "+".join(["x*log(y)"] * 20)
    (axes,) = comparison((300, {"cross_entropy": [0.8, 0.9], long: [0.7, 0.6]})).plot().axes
    name = from_the_top(axes)[1]
    assert len(name) == 40
    assert name.endswith("...")
    assert long.startswith(name[:-3])
