"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

STAGE_TEXT = {
    "structure": "x and y are both used",
    "cache": "not known already",
    "derivative": "derivative finite, not zero",
    "descent": "minimising it helps",
    "early stop": "above chance after a while",
    "training": "trained to the end",
}


def funnel_counts_table(funnel: Mapping[str, Mapping[str, float]]) -> Table:
    """The stages of the funnel: candidates, rejected, seconds spent, seconds of training saved."""
    table = Table(title="The funnel: cheap checks before a training")
    table.add_column("stage")
    table.add_column("passes if")
    for column in ("candidates", "rejected", "seconds", "seconds saved"):
        table.add_column(column, justify="right")
    for stage, row in funnel.items():
        saved = f"{row['saved']:,.1f}" if row["saved"] else ""
        counts = [f"{row['candidates']:,.0f}", f"{row['rejected']:,.0f}", f"{row['seconds']:,.1f}"]
        table.add_row(stage, STAGE_TEXT[stage], *counts, saved)
    return table


def tuning_table(tuning: Mapping[str, Any]) -> Table:
    """What tuning came to: the start, the best sample and the mean of the distribution, on fresh seeds."""
    count = f"{tuning['coefficients']} coefficient{'s' if tuning['coefficients'] != 1 else ''} ({tuning['which']})"
    if tuning["scale_only"]:
        count = "only the overall scale"
    title = f"Tuning {count} of {tuning['start']}: fitness on validation, {tuning['seeds']} fresh seeds"
    table = Table(title=title)
    for column in ("candidate", "expression"):
        table.add_column(column)
    for column in ("learning rate", "mean fitness"):
        table.add_column(column, justify="right")
    for row in tuning["confirmation"]:
        trained = row["learning_rate"] is not None and row["status"] == "trained"
        numbers = [f"{row['learning_rate']:g}", f"{row['fitness']:.4f}"] if trained else ["", row["status"]]
        table.add_row(row["candidate"], row["expression"], *numbers)
    return table


def atlas_table(rows: Sequence[Mapping[str, Any]], count: int) -> Table:
    """The best of an enumeration."""
    table = Table(title=f"The best {min(count, len(rows))} of {len(rows)} losses")
    table.add_column("rank", justify="right")
    for column in ("expression", "known as"):
        table.add_column(column)
    for column in ("learning rate", "fitness"):
        table.add_column(column, justify="right")
    for row in rows[:count]:
        rate = "" if row["learning_rate"] is None else f"{row['learning_rate']:g}"
        fitness = f"{row['fitness']:.4f}" if row["status"] == "trained" else row["status"]
        table.add_row(str(row["rank"]), row["expression"], ", ".join(row["known_as"]), rate, fitness)
    return table


def comparison_table(
    losses: Mapping[str, Mapping[str, Any]], metric: str, steps: int | None = None, fixed: bool = False
) -> Table:
    """Losses on test, and the difference of each to the first, the baseline."""
    rate = "all at one learning rate" if fixed else "each loss at its own best learning rate"
    trained = f" after {steps:,} steps" if steps else ""
    table = Table(title=f"Test {metric}{trained}, {rate}; differences to {next(iter(losses))}")
    for column in ("loss", "expression"):
        table.add_column(column)
    several = len(losses) > 2
    for column in ("rate", "mean", "sd", "n", "difference", "95 % interval", "p", *["p (Holm)"] * several, "g"):
        table.add_column(column, justify="right")
    for name, row in losses.items():
        numbers = [f"{row['learning_rate']:g}", f"{row['mean']:.4f}", f"{row['sd']:.4f}", str(row["n"])]
        table.add_row(name, row["expression"] if row["expression"] != name else "", *numbers, *_difference(row, several))
    table.caption = "p: Welch's two-tailed t-test" + ", corrected for several losses by Holm" * several + "; g: Hedges' g"
    return table


def _difference(row: Mapping[str, Any], several: bool) -> list[str]:
    if row["difference"] is None:
        return []
    low, high = row["interval"]
    p_values = [f"{row['p_value']:.1e}", *([f"{row['p_holm']:.1e}"] if several else [])]
    effect = "" if row["hedges_g"] is None else f"{row['hedges_g']:+.2f}"
    return [f"{row['difference']:+.4f}", f"{low:+.4f} to {high:+.4f}", *p_values, effect]
