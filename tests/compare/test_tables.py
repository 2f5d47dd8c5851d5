"""The tables of a comparison, and its text."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from compare.made_up import comparison_of, rows_with
from glo.compare import ComparisonRow
from glo.compare.config import ALL_AT_ONE
from glo.compare.horizons import Horizon
from glo.compare.tables import comparison_table
from glo.errors import ConfigError

COMPARED: dict[str, Any] = {
    "difference": 0.05, "interval": (0.01, 0.09), "p_value": 0.0123, "p_holm": 0.0246, "hedges_g": None,
}  # fmt: skip
VALUES = {"cross_entropy": [0.80, 0.82, 0.81], "baikal": [0.70, 0.75, 0.71], "x*y": [0.90, 0.60, 0.65]}


def text(table: Table) -> str:
    """A table as it is printed."""
    console = Console(file=io.StringIO(), width=160)
    console.print(table)
    printed: Any = console.file
    return printed.getvalue()


def row(name: str, **changes: Any) -> ComparisonRow:
    values: dict[str, Any] = {
        "expression": "x*y", "canonical": "x*y", "latex": "x y", "variant": "", "learning_rate": 0.3, "at_edge": False,
        "scale": 1.0,
        "validation": 0.8, "mean": 0.9, "sd": 0.01, "n": 7, "values": (0.9,) * 7, **changes,
    }  # fmt: skip
    return ComparisonRow(name, **values)


def test_comparison_table() -> None:
    first = row("discovered", mean=0.91234, sd=0.01239)
    compared: dict[str, Any] = {"difference": -0.11234, "interval": (-0.2, -0.05), "p_value": 0.00123, "hedges_g": -1.5}
    second = row("cross_entropy", expression="log(y)*x", mean=0.8, sd=0.01239, **compared)
    printed = text(comparison_table([first, second], "accuracy"))
    assert "accuracy" in printed
    above = next(line for line in printed.splitlines() if "│ discovered" in line)
    below = next(line for line in printed.splitlines() if "cross_entropy" in line)
    assert all(part in above for part in ("x*y", "0.3", "0.9123", "0.0124", "7"))
    assert all(part in below for part in ("log(y)*x", "0.8000", "-0.1123", "-0.2000 to -0.0500", "1.2e-03", "-1.50"))


def test_several_losses_are_shown_with_holms_correction() -> None:
    rows = [row("a"), row("b", **COMPARED), row("c", **COMPARED)]
    several, two = text(comparison_table(rows, "accuracy")), text(comparison_table(rows[:2], "accuracy"))
    (line,) = [line for line in several.splitlines() if "│ c " in line]
    assert all(part in line for part in ("+0.0500", "+0.0100 to +0.0900", "1.2e-02", "2.5e-02"))
    assert "p (Holm)" in several
    assert "Holm" not in two
    assert "2.5e-02" not in two


def test_a_table_says_after_how_many_steps_and_at_which_rates() -> None:
    losses = [row("mse"), row("mae", **COMPARED)]
    own = " ".join(text(comparison_table(losses, "r2", 20_000)).split())
    fixed = " ".join(text(comparison_table(losses, "r2", trained_how=ALL_AT_ONE)).split())
    assert "Test r2 after 20,000 steps, each loss at its own best learning rate; differences to mse" in own
    assert "Test r2, all at one learning rate; differences to mse" in fixed


def test_an_expression_that_is_its_own_name_is_printed_once() -> None:
    printed = text(comparison_table([row("x*y"), row("mae", **COMPARED)], "accuracy"))
    first = next(line for line in printed.splitlines() if "│ x*y" in line)
    assert first.count("x*y") == 1


def test_a_comparison_has_a_table_for_each_length_of_training() -> None:
    comparison = comparison_of(Horizon(300, rows_with(VALUES)), Horizon(20_000, rows_with({**VALUES, "x*y": [0.3] * 3})))
    assert "after 300 steps" in text(comparison.table(300))
    assert text(comparison.table()) == text(comparison.table(20_000))
    assert "0.3000" in text(comparison.table())
    with pytest.raises(ConfigError, match="no length of 7 steps here, only 300, 20000"):
        comparison.table(7)


def test_a_printed_comparison_has_all_tables_and_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, also in a narrow terminal."""
    monkeypatch.setenv("COLUMNS", "60")
    flat = rows_with({name: [0.5] * 3 for name in VALUES})
    comparison = comparison_of(
        Horizon(100, flat), Horizon(300, rows_with(VALUES)), Horizon(900, rows_with(VALUES)), warnings=["mind the gap"]
    )
    lines = str(comparison).splitlines()
    assert [line.split()[3] for line in lines if "Test accuracy after" in line] == ["100", "300", "900"]
    assert lines[-4:] == [
        "Order of the losses at 100 and at 300 steps: Kendall's tau undefined.",
        "Order of the losses at 100 and at 900 steps: Kendall's tau undefined.",
        "Order of the losses at 300 and at 900 steps: Kendall's tau 1.00.",
        "Warning: mind the gap",
    ]
    assert str(comparison).count("0.7200") == 2


def test_a_row_is_found_by_its_name() -> None:
    comparison = comparison_of(Horizon(300, rows_with(VALUES)), Horizon(900, rows_with({**VALUES, "x*y": [0.3] * 3})))
    assert comparison.row(" x*y ").values == (0.3, 0.3, 0.3)
    assert comparison.row("baikal") is comparison.rows[1]
    with pytest.raises(ConfigError, match=r"'mae' was not compared; the losses are cross_entropy, baikal, x\*y"):
        comparison.row("mae")
