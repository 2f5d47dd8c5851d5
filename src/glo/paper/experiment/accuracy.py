"""Shared by the accuracy experiments: the losses of the paper, their tables and their figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glo.catalog import baikal, baikal_cma, cross_entropy
from glo.compare.families import Family
from glo.compare.statistics import welch
from glo.paper.experiment.blocks import OWN_RATE, PAPER_RATE
from glo.report import Sheet

Condition = Mapping[str, Any]  # of `measure_conditions`
LOSSES: dict[str, Family] = {"cross_entropy": {"": cross_entropy}, "baikal": {"": baikal}, "baikal_cma": {"": baikal_cma}}
SHORT_LADDER = (0.01, 0.03, 0.1)  # continued where the best rate is at an end
LONG_LADDER = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
BLOCKS = {PAPER_RATE: "all at the paper's learning rate", OWN_RATE: "each at its own best learning rate"}
ACCURACY = {"test": "mean", "validation": "validation"}  # the key of a row's accuracy, by split
COLOURS = {"cross_entropy": "C7", "baikal": "C0", "baikal_cma": "C3"}


def label(name: str) -> str:
    """The name of a loss in tables and figures."""
    return {"cross_entropy": "cross-entropy", "baikal": "Baikal", "baikal_cma": "BaikalCMA"}.get(
        name, name.replace("_", " ")
    )


def accuracy_sheet(title: str, condition: Condition, paper: Mapping[str, float], split: str = "test") -> Sheet:
    """The paper's accuracies, those measured at the paper's rate, and those of each loss at its own rate.

    Args:
        condition: its blocks are shown.
        paper: the paper's accuracies, by loss.
        split: of the accuracies: "test" or "validation".
    """
    fixed, own = condition["blocks"][PAPER_RATE], condition["blocks"][OWN_RATE]
    value = ACCURACY[split]
    rate = next(iter(fixed.values()))["learning_rate"]
    header = [
        "loss", "paper", f"measured, rate {rate:g}", "measured − paper", "over cross-entropy",
        "own best rate", "measured, own rate", "over cross-entropy",
    ]  # fmt: skip
    rows = [
        [
            label(name),
            f"{paper[name]:.4f}" if name in paper else "",
            measured(fixed[name], split),
            f"{fixed[name][value] - paper[name]:+.4f}" if name in paper else "",
            ahead(fixed[name]),
            rate_of(own[name]),
            measured(own[name], split),
            ahead(own[name]),
        ]
        for name in fixed
    ]
    note = "Over cross-entropy: difference of the test accuracies, with the p-value of Welch's two-tailed t-test."
    if split == "validation":
        note = f"Accuracies: on validation, as in the paper. {note}"
    return Sheet(title, header, rows, note)


def measured(row: Mapping[str, Any], split: str = "test") -> str:
    """A mean accuracy with its spread, and the number of networks that failed."""
    spread = f"sd {row['sd']:.4f}, " if split == "test" and row["n"] > 1 else ""
    failed = f", {row['failed']} failed" if row["failed"] else ""
    return f"{row[ACCURACY[split]]:.4f} ({spread}n {row['n']}{failed})"


def ahead(row: Mapping[str, Any]) -> str:
    """The difference of a loss to the first one, with its p-value."""
    if row["difference"] is None:
        return ""
    return f"{row['difference']:+.4f}" + (f" (p {row['p_value']:.1e})" if row["p_value"] is not None else "")


def rate_of(row: Mapping[str, Any]) -> str:
    return f"{row['learning_rate']:g}" + (" (edge)" if row["at_edge"] else "")


def p_sheet(condition: Condition, pairs: Sequence[tuple[str, str, str]]) -> Sheet:
    """Welch's tests between pairs of losses: (loss, loss, the paper's p-value)."""
    blocks = condition["blocks"]

    def p_value(block: str, a: str, b: str) -> str:
        first, second = blocks[block][a]["values"], blocks[block][b]["values"]
        return f"{welch(first, second):.1e}" if len(first) > 1 else "one network"

    rows = [
        [f"{label(a)} vs {label(b)}", paper, p_value(PAPER_RATE, a, b), p_value(OWN_RATE, a, b)] for a, b, paper in pairs
    ]
    return Sheet("Welch's t-test, p-values", ["comparison", "paper", "at the paper's rate", "each at its own rate"], rows)


def condition_rows(condition: Condition, first: str) -> list[list[str]]:
    """A row for each loss of a condition, for a table of many."""
    fixed, own = condition["blocks"][PAPER_RATE], condition["blocks"][OWN_RATE]
    return [
        [
            first,
            label(name),
            measured(fixed[name]),
            ahead(fixed[name]),
            rate_of(own[name]),
            measured(own[name]),
            ahead(own[name]),
        ]
        for name in fixed
    ]


CONDITION_HEADER = (
    "loss", "measured, paper's rate", "over cross-entropy", "own best rate", "measured, own rate", "over cross-entropy",
)  # fmt: skip


def panels(title: str, draw: Callable[[Axes, str], None]) -> Figure:
    """Two panels, one for each block; `draw(axes, block)` fills one."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    for axes, (block, text) in zip(figure.subplots(1, 2, sharey=True), BLOCKS.items(), strict=True):
        draw(axes, block)
        axes.set_title(text, fontsize=10)
    figure.suptitle(title, fontsize=11)
    return figure


def lines(conditions: Sequence[Condition], x: str, title: str, xlabel: str) -> Figure:
    """Test accuracy over the setting that varies between conditions: means as lines, single networks as points.

    Args:
        x: key of that setting in a condition.
    """
    where = [condition[x] for condition in conditions]

    def draw(axes: Axes, block: str) -> None:
        for name in conditions[0]["blocks"][block]:
            rows, colour = [condition["blocks"][block][name] for condition in conditions], COLOURS.get(name)
            axes.plot(where, [row["mean"] for row in rows], "-", color=colour, label=label(name))
            points = [(place, value) for place, row in zip(where, rows, strict=True) for value in row["values"]]
            axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=4, alpha=0.6)
        axes.set(xlabel=xlabel, ylabel="test accuracy", xscale="log")
        axes.set_xticks(where, [f"{place:,g}" for place in where])
        axes.minorticks_off()
        axes.grid(color="0.92")
        axes.legend(fontsize=9)

    return panels(title, draw)


def scale_note(results: Mapping[str, Any], paper: str) -> str:
    """For the title of a table: the scale, and the paper's setting where that is larger."""
    return "" if results["scale"] == "paper" else f" (scale {results['scale']}; the paper: {paper})"
