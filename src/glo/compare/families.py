"""The contenders of a comparison: the losses to compare, and the baselines that they have to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from glo.catalog import mse, resolve
from glo.catalog.shelf import SMOOTHINGS, shelf
from glo.compare.config import DISCOVERED, ComparisonConfig
from glo.errors import ConfigError
from glo.evaluation import probe_points, structure_for
from glo.expr import Expr, probed_slopes
from glo.records import Link
from glo.tasks import Problem

FLAT = 1e-9  # slopes below it at all probe points are rounding errors
Family = Mapping[str, Expr]  # the variants of one contender, by name; the best on validation is measured on test


def contenders(
    task: Problem, losses: Sequence[str | Expr], config: ComparisonConfig, discovered: Sequence[Expr] = ()
) -> dict[str, Family]:
    """The families to compare, by name; the first is the baseline.

    Args:
        discovered: losses that a search has found, which come first, the best one as `DISCOVERED`.

    Raises:
        ConfigError: if there is only one, or one is constant in the outputs of a network.
    """
    given: dict[str, Family] = {str(loss).strip(): {"": resolve(loss)} for loss in losses}
    for name, family in given.items():
        if (reason := why_constant(family[""], task)) is not None:
            raise ConfigError(f"'{name}' cannot train a network: it {reason}")
    standard = BASELINES[config.baselines](task, config.smoothings)
    found = {f"{DISCOVERED} {n}" if n > 1 else DISCOVERED: {"": loss} for n, loss in enumerate(discovered, 1)}
    known = {**found, **standard}
    families = {**known, **{name: family for name, family in given.items() if same_as(family[""], known) is None}}
    if len(families) < 2:
        same = "".join(f" ({name} is {same_as(given[name][''], known)})" for name in given if name not in families)
        raise ConfigError(f"there is only one loss{same}: give another to compare it with, or leave the baselines in")
    return families


def same_as(loss: Expr, families: Mapping[str, Family]) -> str | None:
    """The name of the first family that is this one loss; None if none is."""
    return next((name for name, family in families.items() if family.get("") == loss), None)


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
