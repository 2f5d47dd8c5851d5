"""Comparisons of made-up numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glo.catalog import mse
from glo.compare import Comparison, ComparisonConfig, ComparisonRow
from glo.compare.horizons import Horizon, agreement
from glo.compare.rows import Contender, rows_of
from glo.compare.statistics import Sample
from glo.records import TrainingConfig


def rows_with(values: Mapping[str, Sequence[float]]) -> list[ComparisonRow]:
    """Losses with these values on test."""
    contenders = {name: Contender(mse, "", 0.1, 0.5) for name in values}
    return rows_of(contenders, [Sample(tuple(sample)) for sample in values.values()])


def comparison_of(*horizons: Horizon, warnings: Sequence[str] = (), **options: Any) -> Comparison:
    """A comparison on digits.

    Args:
        options: of `ComparisonConfig`.
    """
    return Comparison(
        config=ComparisonConfig(**options),
        task="digits",
        metric="accuracy",
        baseline=horizons[0].rows[0].name,
        horizons=list(horizons),
        agreement=agreement(horizons),
        warnings=list(warnings),
        training=TrainingConfig(steps=horizons[-1].steps),
        device="cpu",
    )
