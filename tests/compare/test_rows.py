"""The rows of a comparison, of made-up values."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.scripted import some
from glo.compare import ComparisonRow
from glo.compare.rows import Contender, rows_of
from glo.compare.statistics import Sample, difference_interval, hedges_g, holm, welch
from glo.expr import parse

VALUES = {"base": (0.8, 0.82, 0.81, 0.79), "better": (0.9, 0.91, 0.88, 0.92), "alike": (0.81, 0.8, 0.83, 0.78)}


def table_of(values: Mapping[str, Sequence[float]]) -> dict[str, ComparisonRow]:
    contenders = {name: Contender(parse("x*log(y)"), "v", 0.5, 0.7, at_edge=True) for name in values}
    return {row.name: row for row in rows_of(contenders, [Sample(tuple(sample)) for sample in values.values()])}


def test_rows_hold_the_difference_to_the_first() -> None:
    table = table_of(VALUES)
    assert list(table) == list(VALUES)
    base = VALUES["base"]
    for name in ("better", "alike"):
        row, values = table[name], VALUES[name]
        assert row.difference == pytest.approx(statistics.mean(values) - statistics.mean(base))
        assert row.interval == difference_interval(values, base)
        assert row.p_value == welch(values, base)
        assert row.hedges_g == hedges_g(values, base)
    assert [table["better"].p_holm, table["alike"].p_holm] == holm([welch(VALUES[n], base) for n in ("better", "alike")])
    assert (some(table["better"].difference) > 0, some(table["better"].hedges_g) > 0) == (True, True)
    assert some(table["better"].interval)[0] > 0 > some(table["alike"].interval)[0]
    for key in ("difference", "interval", "p_value", "p_holm", "hedges_g"):
        assert getattr(table["base"], key) is None


def test_rows_hold_what_was_chosen_and_measured() -> None:
    row = table_of(VALUES)["better"]
    assert (row.expression, row.variant, row.learning_rate, row.at_edge, row.validation) == (
        "x*log(y)", "v", 0.5, True, 0.7,
    )  # fmt: skip
    assert (row.n, row.values) == (4, VALUES["better"])
    assert (row.mean, row.sd) == pytest.approx((statistics.mean(row.values), statistics.stdev(row.values)))
    assert "log" in row.latex


def test_two_losses_need_no_correction() -> None:
    table = table_of({name: VALUES[name] for name in ("base", "better")})
    assert [row.p_holm for row in table.values()] == [None, None]
    assert table["better"].p_value == welch(VALUES["better"], VALUES["base"])


@given(st.data())
def test_rows_are_json(data: st.DataObject) -> None:
    """Without NaN or infinity, whatever was measured; samples without spread among them."""
    length = data.draw(st.integers(2, 5))
    accuracy = st.integers(0, 64).map(lambda hits: hits / 64)
    sample = st.lists(accuracy, min_size=length, max_size=length) | accuracy.map(lambda value: [value] * length)
    table = table_of({str(n): values for n, values in enumerate(data.draw(st.lists(sample, min_size=1, max_size=4)))})
    plain = {name: row.to_dict() for name, row in table.items()}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
