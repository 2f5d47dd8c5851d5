"""The prior of a loss: the share of each class in the training labels, for expressions that use `prior`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glo.errors import ConfigError
from glo.expr import Expr
from glo.records import Link


def why_no_prior(link: Link, prior: Any) -> str | None:
    """Why a loss that uses `prior` cannot be computed; None if it can.

    Args:
        link: how outputs become predictions.
        prior: the share of each class, C numbers or a tensor; None or empty if it is not known.
    """
    if link is Link.IDENTITY:
        return "in regression there are no classes"
    shares = [] if prior is None else list(prior)
    if not shares:
        return "the share of each class in the training labels is not known"
    missing = [number for number, share in enumerate(shares) if not share > 0]
    return f"that of class {missing[0]} is not above 0: it has no training label" if missing else None


def check_prior(expr: Expr, link: Link, prior: Any) -> None:
    """Refuse a loss without the priors that it uses, and priors that would do nothing; arguments as for `why_no_prior`.

    Raises:
        ConfigError: naming the reason.
    """
    if not expr.uses("prior"):
        if prior is not None and len(prior) > 0:
            raise ConfigError(f"prior does nothing: the loss '{expr}' does not use it")
    elif (reason := why_no_prior(link, prior)) is not None:
        raise ConfigError(f"the loss '{expr}' uses prior, and {reason} (in Python, it is the option prior=...)")


def prior_of_loss(expr: Expr, link: Link, prior: Sequence[float]) -> list[float] | None:
    """The prior of a task's labels as an option of `ExpressionLoss`: None for a loss that does not use it.

    Raises:
        ConfigError: as `check_prior`.
    """
    if not expr.uses("prior"):
        return None
    check_prior(expr, link, prior)
    return list(prior)
