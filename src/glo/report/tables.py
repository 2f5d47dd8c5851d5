"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

# The condition to pass each stage of the funnel.
STAGE_TEXT = {
    "structure": "x and y are both used",
    "constraint": "has the required properties",
    "cache": "not known already",
    "derivative": "derivative finite, not zero",
    "descent": "minimising it helps",
    "early stop": "above chance after a while",
    "training": "trained to the end",
}

FROM_STORE = "all taken from the store"
BY_MEDIAN = {"early stop": "not in the worse half of its step"}  # of an objective, whose trials report


def all_from_store(funnel: Mapping[str, Mapping[str, float]], found: bool) -> bool:
    """Whether the outcomes of all trainings of a study were taken from its store, where earlier studies left them.

    Args:
        found: whether some candidate of the study has a fitness.
    """
    return found and "training" in funnel and not funnel["training"]["candidates"]


def funnel_counts_table(funnel: Mapping[str, Mapping[str, float]], objective: bool = False, *, found: bool = False) -> Table:
    """The stages of the funnel: candidates, rejected candidates, seconds spent, seconds of training saved.

    Args:
        found: whether some candidate has a fitness.
    """
    texts = STAGE_TEXT | BY_MEDIAN if objective else STAGE_TEXT
    table = Table(title="The funnel: cheap checks before a training")
    table.add_column("stage")
    table.add_column("passes if")
    for column in ("candidates", "rejected", "seconds", "seconds saved"):
        table.add_column(column, justify="right")
    for stage, row in funnel.items():
        saved = f"{row['saved']:,.1f}" if row["saved"] else ""
        counts = [f"{row['candidates']:,.0f}", f"{row['rejected']:,.0f}", f"{row['seconds']:,.1f}"]
        if stage == "training" and all_from_store(funnel, found):
            table.add_row(stage, FROM_STORE)
        else:
            table.add_row(stage, texts[stage], *counts, saved)
    return table


def tuning_table(tuning: Mapping[str, Any]) -> Table:
    """The result of tuning: the start, the best sample and the mean of the distribution, on fresh seeds."""
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


def pareto_table(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Table:
    """The finalists that no other beats in all of several metrics."""
    table = Table(title=f"The finalists that no other beats in all of {', '.join(metrics)} (means on validation)")
    table.add_column("expression")
    for column in ("learning rate", *metrics):
        table.add_column(column, justify="right")
    for row in rows:
        rate = "" if row["learning_rate"] is None else f"{row['learning_rate']:g}"
        table.add_row(row["expression"], rate, *(f"{row['metrics'][metric]:.4f}" for metric in metrics))
    return table


def atlas_table(rows: Sequence[Mapping[str, Any]], count: int) -> Table:
    """The best losses of an enumeration."""
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
