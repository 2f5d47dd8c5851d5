"""The row of each loss in a comparison: its rate, its values on test, and its difference to the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from glo.compare.failures import NO_FAILURES, Failures
from glo.compare.statistics import Sample, difference_interval, hedges_g, holm, welch
from glo.expr import Expr, describe


@dataclass(frozen=True)
class Contender:
    """A loss as it is measured on test: the variant and the rate that were best on validation.

    Attributes:
        variant: name of the variant, e.g. smoothing "0.4".
        validation: mean validation metric over the tuning seeds.
        at_edge: whether the best rate is still the lowest or highest that was tried.
        scale: what it is multiplied by: its factor for the unit gradient, or 1.
        failures: of the trainings that chose.
        spread: standard deviation of the validation metric over the tuning seeds.
    """

    expression: Expr
    variant: str
    learning_rate: float
    validation: float
    at_edge: bool = False
    scale: float = 1.0
    failures: Failures = NO_FAILURES
    spread: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class ComparisonRow:
    """One loss of a comparison.  What compares it with the baseline is None for the baseline itself.

    Attributes:
        name: as it was given, or the name of a baseline.
        expression, canonical, latex: the loss that was measured.
        variant: the best variant on validation, e.g. smoothing "0.4"; empty if there is only one.
        learning_rate: the best rate on validation.
        scale: what the loss was multiplied by: its factor for the unit gradient, or 1.
        at_edge: whether it is the lowest or highest that was tried.
        validation: mean validation metric over the tuning seeds.
        mean, sd, n: of the values.
        values: the test metric of each fresh seed; 0 for a training that failed.
        failures: how many trainings failed, and why the first one did.
        difference: of the mean to that of the baseline.
        interval: its 95 % confidence interval.
        p_value: of Welch's two-tailed t-test.
        p_holm: the same, corrected for the number of losses; None if there is only one to compare.
        hedges_g: the difference in standard deviations; None if nothing varies.
        sample: the values, and what is known of the test set's part in them.
    """

    name: str
    expression: str
    canonical: str
    latex: str
    variant: str
    learning_rate: float
    at_edge: bool
    scale: float
    validation: float
    mean: float
    sd: float
    n: int
    values: tuple[float, ...]
    failures: Failures = NO_FAILURES
    difference: float | None = None
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    p_holm: float | None = None
    hedges_g: float | None = None
    sample: Sample = field(default_factory=lambda: Sample(()), repr=False, compare=False)

    @property
    def test_samples(self) -> int | None:
        """The size of the test set, where its own error is known."""
        return None if self.sample.left_out is None else self.sample.test_samples

    @property
    def failed(self) -> bool:
        """Whether all trainings on test failed: then the numbers say nothing about the loss."""
        return self.failures.on_test == self.n

    def to_dict(self) -> dict[str, Any]:
        """All but the name, as JSON-like data."""
        interval = None if self.interval is None else list(self.interval)
        plain = replace(self, sample=Sample(()))
        values = {**asdict(plain), "values": list(self.values), "interval": interval}
        del values["name"], values["sample"]
        return values


def rows_of(contenders: Mapping[str, Contender], samples: Sequence[Sample]) -> list[ComparisonRow]:
    """A row for each contender; each but the first is compared with the first.

    Args:
        samples: the test metric of each contender, in the same order.
    """
    baseline = samples[0]
    several = min(sample.n for sample in samples) > 1  # one value has no spread to compare by
    p_values = [welch(sample.values, baseline.values) for sample in samples[1:]] if several else []
    corrected = holm(p_values) if len(p_values) > 1 else []
    rows: list[ComparisonRow] = []
    for number, ((name, contender), sample) in enumerate(zip(contenders.items(), samples, strict=True)):
        compared: dict[str, Any] = {}
        if number:
            compared["difference"] = sample.mean - baseline.mean
        if number and several:
            compared["interval"] = difference_interval(sample.values, baseline.values)
            compared["p_value"] = p_values[number - 1]
            compared["p_holm"] = corrected[number - 1] if corrected else None
            compared["hedges_g"] = hedges_g(sample.values, baseline.values)
        rows.append(
            ComparisonRow(
                name,
                **describe(contender.expression),
                variant=contender.variant,
                learning_rate=contender.learning_rate,
                at_edge=contender.at_edge,
                scale=contender.scale,
                validation=contender.validation,
                mean=sample.mean,
                sd=sample.sd,
                n=sample.n,
                values=sample.values,
                failures=contender.failures + sample.failures,
                sample=sample,
                **compared,
            )
        )
    return rows
