"""The contenders of a comparison: the losses to compare, and the baselines that they have to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from glo.catalog import mse, resolve
from glo.catalog.shelf import SMOOTHINGS, shelf
from glo.compare.config import ComparisonConfig
from glo.errors import ConfigError
from glo.evaluation import probe_points, structure_for
from glo.expr import Expr, probed_slopes
from glo.records import Link
from glo.tasks import Problem

FLAT = 1e-9  # slopes below it at all probe points are rounding errors
Family = Mapping[str, Expr]  # the variants of one contender, by name; the best on validation is measured on test


def contenders(task: Problem, losses: Sequence[str | Expr], config: ComparisonConfig) -> dict[str, Family]:
    """The families to compare, by name; the first is the baseline.

    Raises:
        ConfigError: if there is only one, or one is constant in the outputs of a network.
    """
    given: dict[str, Family] = {str(loss).strip(): {"": resolve(loss)} for loss in losses}
    for name, family in given.items():
        if (reason := why_constant(family[""], task)) is not None:
            raise ConfigError(f"'{name}' cannot train a network: it {reason}")
    standard = BASELINES[config.baselines](task, config.smoothings)
    known = [family[""] for family in standard.values() if "" in family]
    families = {**standard, **{name: family for name, family in given.items() if family[""] not in known}}
    if len(families) < 2:
        same = "".join(f" ({name} is {next(iter(standard))})" for name in given if name not in families)
        raise ConfigError(f"there is only one loss{same}: give another to compare it with, or leave the baselines in")
    return families


def shelf_of(task: Problem, smoothings: Sequence[float] = SMOOTHINGS) -> dict[str, Family]:
    """The published losses for the task's link, cross-entropy or squared error first."""
    return dict(shelf(task.link.value, max(2, task.classes), smoothings, task.prior))


def why_constant(loss: Expr, task: Problem) -> str | None:
    """Why a loss teaches nothing: it lacks the label or the prediction, or is flat in the prediction.  None if it may."""
    (reason,) = structure_for(task)([loss])
    if reason is not None:
        return reason
    slopes = probed_slopes(loss, probe_points(task.link, task.soft))
    return "does not change with the prediction y: its derivative is zero" if np.abs(slopes).max() < FLAT else None


def baselines(task: Problem, smoothings: Sequence[float] = SMOOTHINGS) -> dict[str, Family]:
    """Cross-entropy, without and with label smoothing; for regression, squared error."""
    if task.link is Link.IDENTITY:
        return {"mse": {"": mse}}
    known = shelf_of(task, smoothings)
    standard = next(iter(known))
    return {name: known[name] for name in (standard, "label_smoothing") if name in known}


BASELINES: dict[str, Callable[[Problem, Sequence[float]], dict[str, Family]]] = {
    "standard": baselines,
    "shelf": shelf_of,
    "none": lambda task, smoothings: {},
}
