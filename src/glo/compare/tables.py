"""A comparison as tables and text."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from glo.compare.config import AS_THE_OBJECTIVE, EACH_AT_ITS_OWN
from glo.compare.rows import ComparisonRow

if TYPE_CHECKING:
    from glo.compare.comparison import Comparison

SEEDS_ONLY = "intervals and p count the seeds only"
WIDTH = 140  # of the text, at least; wide enough for any table


def comparison_table(
    rows: Sequence[ComparisonRow], metric: str, steps: int | None = None, trained_how: str = EACH_AT_ITS_OWN
) -> Table:
    """The losses on test, and the difference of each to the first, the baseline.

    Args:
        trained_how: one of the constants of `glo.compare.config`.
    """
    own_rates = trained_how == AS_THE_OBJECTIVE
    trained = f" after {steps:,} steps" if steps else ""
    table = Table(title=f"Test {metric}{trained}, {trained_how}; differences to {rows[0].name}")
    for column in ("loss", "expression"):
        table.add_column(column, overflow="fold")  # in a narrow terminal nothing is cut off
    several = len(rows) > 2
    rate = [] if own_rates else ["rate"]
    for column in (*rate, "mean", "sd", "n", "difference", "95 % interval", "p", *["p (Holm)"] * several, "g"):
        table.add_column(column, justify="right")
    for row in rows:
        measured = ["failed", ""] if row.failed else [f"{row.mean:.4f}", f"{row.sd:.4f}"]
        compared = [] if row.failed or rows[0].failed else _difference(row, several)
        expression = row.expression if row.expression != row.name else ""
        table.add_row(
            row.name, expression, *([] if own_rates else [f"{row.learning_rate:g}"]), *measured, str(row.n), *compared
        )
    corrected = ", corrected for several losses by Holm" * several
    table.caption = f"p: Welch's two-tailed t-test{corrected}; g: Hedges' g; {SEEDS_ONLY}"
    return table


def _difference(row: ComparisonRow, several: bool) -> list[str]:
    if row.difference is None:
        return []
    interval = "" if row.interval is None else "{:+.4f} to {:+.4f}".format(*row.interval)
    p_values = [_p_value(row.p_value), *([_p_value(row.p_holm)] if several else [])]
    effect = "" if row.hedges_g is None else f"{row.hedges_g:+.2f}"
    return [f"{row.difference:+.4f}", interval, *p_values, effect]


def _p_value(p_value: float | None) -> str:
    return "" if p_value is None else f"{p_value:.1e}"


def notes(comparison: Comparison) -> list[str]:
    """How far the order of the losses agrees between lengths of training, and the warnings; a line for each."""
    taus = [
        (*between.steps, "undefined" if between.kendall_tau is None else f"{between.kendall_tau:.2f}")
        for between in comparison.agreement
    ]
    orders = [f"Order of the losses at {short} and at {long} steps: Kendall's tau {tau}." for short, long, tau in taus]
    return orders + [f"Warning: {warning}" for warning in comparison.warnings]


def as_text(comparison: Comparison) -> str:
    """The tables of all lengths of training and the notes; never so narrow that a number is cut off."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=max(WIDTH, shutil.get_terminal_size().columns), color_system=None, markup=False)
    for horizon in comparison.horizons:
        console.print(comparison.table(horizon.steps))
    return "\n".join([buffer.getvalue().rstrip(), *notes(comparison)])
