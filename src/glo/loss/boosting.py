"""A loss for gradient boosting: gradient and Hessian by the raw score, as custom objectives of three libraries.

Imports neither torch nor any of the libraries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glo.catalog import maximised
from glo.errors import ConfigError
from glo.expr import REAL, Expr, Jet, evaluate_dual, second_order
from glo.expr.dual import Dual
from glo.loss.boosters import CatBoostObjective, TrainingObjective
from glo.loss.curvature import (
    LOWEST_SCORE,
    checked_labels,
    checked_scores,
    checked_weights,
    derivatives_for_trees,
    exact_derivatives,
    log_probabilities,
)
from glo.records import Link

Curvature = Literal["absolute", "floor", "constant"]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class BoostingObjective:
    """A loss with its derivatives by the raw scores z; `glo.objective` makes one, and checks the options.

    The loss of a sample is that of `ExpressionLoss` (reduction "none").  Instances are immutable and can be pickled.

    Attributes:
        expr: f(x, y); the loss is minus its sum over classes.
        link: how scores become predictions.
        classes: number of classes under softmax; None if the scores may have any.
        class_reduction: "sum" or "mean" over classes, or over the outputs of a sample.
        eps: bound of the clamp of y.
        hessian: how the Hessian that a library gets is made positive.
        floor: its smallest value, before weights.
        factor: multiplies it.
    """

    expr: Expr
    link: Link
    classes: int | None = None
    class_reduction: Literal["sum", "mean"] = "sum"
    eps: float = 1e-7
    hessian: Curvature = "absolute"
    floor: float = 1e-6
    factor: float = 1.0

    def predict(self, scores: ArrayLike) -> Array:
        """Predictions y of raw scores, of their shape: a library predicts only scores with a loss that is not its own."""
        z = checked_scores(scores, self.link, self.classes)
        if self.link is Link.IDENTITY:
            return z
        return np.exp(log_probabilities(self._clipped(z), self.link)[0])

    def loss(self, labels: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The mean of the loss over samples, weighted by `sample_weight`; arguments as for `derivatives`."""
        z = checked_scores(scores, self.link, self.classes)
        x = checked_labels(labels, z, self.link)
        weights = checked_weights(sample_weight, z)
        with np.errstate(all="ignore"):
            if self.link is Link.IDENTITY:
                y, logs = z, ()
            else:
                logs = log_probabilities(self._clipped(z), self.link)
                y = np.clip(np.exp(logs[0]), self.eps, 1 - self.eps)
            f = evaluate_dual(self.expr, np, x, Dual(y), lambda number: np.full(z.shape, number), *map(Dual, logs)).value
            losses = -f.reshape(len(z), -1).sum(axis=1)
        if self.class_reduction == "mean" and z.ndim == 2:
            losses = losses / z.shape[1]
        return float(np.average(losses, weights=None if weights is None else weights.reshape(-1)))

    def derivatives(self, labels: ArrayLike, scores: ArrayLike) -> tuple[Array, Array]:
        """Gradient and diagonal of the Hessian of each sample's loss, exact: not floored, and without `factor`.

        Args:
            labels: class indices (n), or the scores' shape: probabilities, or values for the identity link.
            scores: raw scores z: (n, classes) for softmax; (n) or (n, outputs) for the other links.

        Returns:
            Two float64 arrays of the scores' shape.

        Raises:
            ConfigError: for labels or scores of another shape, or out of range.
        """
        z = checked_scores(scores, self.link, self.classes)
        gradient, hessian = exact_derivatives(self._terms, checked_labels(labels, z, self.link), z, self.link, self.eps)
        share = 1 / z.shape[1] if self.class_reduction == "mean" and z.ndim == 2 else 1.0
        return gradient * share, hessian * share

    def for_trees(self, labels: ArrayLike, scores: ArrayLike, sample_weight: ArrayLike | None = None) -> tuple[Array, Array]:
        """Gradient and positive Hessian, times the weights: what a library for boosting needs.

        Args:
            labels: as for `derivatives`.
            scores: as for `derivatives`.
            sample_weight: shape (n).

        Raises:
            ConfigError: as `derivatives` does, and if a gradient is not finite.
        """
        return derivatives_for_trees(self._terms, labels, scores, sample_weight, **self.options())

    def options(self) -> dict[str, Any]:
        """All but the expression, as plain values: the keywords of `derivatives_for_trees`."""
        return {
            "link": self.link.value, "classes": self.classes, "class_reduction": self.class_reduction, "eps": self.eps,
            "hessian_rule": self.hessian, "floor": self.floor, "factor": self.factor,
        }  # fmt: skip

    def for_lightgbm(self) -> TrainingObjective:
        """For `objective=` of LightGBM's estimators, and `params["objective"]` of `lightgbm.train`; LightGBM 4 or newer.

        LightGBM starts a custom objective from the score 0 (it has no `boost_from_average`), and predicts raw scores.
        """
        return TrainingObjective(self)

    def for_xgboost(self) -> TrainingObjective:
        """For `objective=` of XGBoost's estimators, and `obj=` of `xgboost.train`; XGBoost 2 or newer.

        Set `base_score` to a number: it is the score at which the training starts.
        """
        return TrainingObjective(self)

    def for_catboost(self) -> CatBoostObjective:
        """For `loss_function=` of CatBoost, which maximises: the signs of both derivatives are turned."""
        return CatBoostObjective(self)

    def source(self, library: Literal["lightgbm", "xgboost", "catboost"]) -> str:
        """The source of a module that needs only NumPy, with the objective for a library.

        Raises:
            ConfigError: for another library.
        """
        from glo.loss.boosting_source import USAGE, boosting_source

        if library not in USAGE:
            raise ConfigError(f"library is {', '.join(USAGE)}, not {library!r}")
        return boosting_source(self, library)

    def _clipped(self, z: Array) -> Array:
        return np.clip(z, LOWEST_SCORE, -LOWEST_SCORE if self.link is Link.SIGMOID else None)

    def _terms(self, x: Array, y: Array, *others: Array | float | None) -> tuple[Array, Array]:
        """First and second derivative of f by u, of the shape of y."""
        jet = differentiated(self.expr, np, lambda number: np.full(y.shape, number), x, y, *others)
        first, second = (np.broadcast_to(0.0 if part is None else part, y.shape) for part in (jet.first, jet.second))
        return first, second


def differentiated(
    expr: Expr, m: Any, constant: Any, x: Any, y: Any, slope: Any, bend: Any, log_y: Any, log_not_y: Any, p: Any, not_p: Any
) -> Jet:
    """f and its derivatives by u, from arrays or symbols that `exact_derivatives` names."""
    if p is None:
        return second_order(expr, m, x, Jet(y, slope), constant)
    bend_of_log = -(p * not_p)
    return second_order(
        expr, m, x, Jet(y, slope, bend), constant, Jet(log_y, not_p, bend_of_log), Jet(log_not_y, -p, bend_of_log)
    )


def objective(
    expr: str | Expr | None = None,
    link: Link | str = Link.SOFTMAX,
    *,
    loss: str | Expr | None = None,
    classes: int | None = None,
    class_reduction: Literal["sum", "mean"] = "sum",
    eps: float = 1e-7,
    hessian: Curvature = "absolute",
    floor: float = 1e-6,
    factor: float = 1.0,
) -> BoostingObjective:
    """A loss as an objective of LightGBM, XGBoost and CatBoost.

    `glo.objective("binary_cross_entropy", "sigmoid").for_lightgbm()` trains like LightGBM's own "binary".

    Args:
        expr: f(x, y), which is maximised: an expression, its text, or the name of a loss.
        link: "softmax" for classes; "sigmoid" for yes and no; "identity", or "regression", for numbers.
        loss: instead of `expr`: an expression that is minimised, such as "square(x - y)"; f is its negation.
        classes: number of classes, only for softmax; by default the number of scores.
        class_reduction: "sum" or "mean" over classes.
        eps: bound of the clamp of y.
        hessian: a step of a tree divides by the Hessian, so it has to be positive, and that of a loss that is not convex is
            not.  "absolute" takes its absolute value (Dauphin et al. 2014, saddle-free Newton), which changes nothing for a
            convex loss; "floor" takes `floor` where it is smaller; "constant" takes 1, which makes a step of a tree the mean
            gradient.
        floor: the smallest Hessian.
        factor: multiplies the Hessian.  For cross-entropy of K classes, LightGBM multiplies by K/(K - 1), XGBoost by 2.

    Raises:
        ExpressionError: for a bad expression.
        ConfigError: for a bad option, for a loss without a gradient, for one that moves predictions away from the labels,
            and if no Hessian is above the floor, as for an absolute error.
    """
    link = Link.named(link)
    for name, value, allowed in (
        ("class_reduction", class_reduction, ("sum", "mean")),
        ("hessian", hessian, get_args(Curvature)),
    ):
        if value not in allowed:
            raise ConfigError(f"{name} is {' or '.join(map(repr, allowed))}, not {value!r}")
    if not 0 < eps < 0.5:
        raise ConfigError(f"eps is between 0 and 0.5, not {eps}")
    for name, value in (("floor", floor), ("factor", factor)):
        if not 0 < value < 1e30:
            raise ConfigError(f"{name} is a positive number, not {value}: the Hessian of a sample has to be above 0")
    if classes is not None and link is not Link.SOFTMAX:
        raise ConfigError(f"classes is for the softmax link: the {link} link has one score for each label")
    if classes is not None and (not isinstance(classes, int) or classes < 2):
        raise ConfigError(f"classes is a whole number of at least 2, not {classes!r}")
    f = maximised(expr, loss)
    if f.context:
        raise ConfigError(f"the loss '{f}' uses {f.context[0]}, which an objective for boosting does not know")
    found = BoostingObjective(f, link, classes, class_reduction, float(eps), hessian, float(floor), float(factor))
    _check(found)
    return found


def _check(objective: BoostingObjective) -> None:
    """Refuse a loss that cannot train, at scores as they occur."""
    x, z = _probes(objective)
    gradient, hessian = objective.derivatives(x, z)
    known = np.isfinite(gradient)
    if not np.any(known & (gradient != 0)):
        raise ConfigError(f"{str(objective.expr)!r} has no gradient at any score: f has to depend on y, and to be defined")
    # Where the prediction is below its label, minimising has to raise it: somewhere, at least.
    y = objective.predict(z)
    target = np.eye(z.shape[1])[x] if objective.link is Link.SOFTMAX else x
    toward = known & (target != y) & (gradient * (y - target) > 0)
    if not np.any(toward):
        raise ConfigError(
            f"{str(objective.expr)!r} moves predictions away from their labels at every score: f is maximised.  If this "
            f"is a loss, which is minimised, give it as loss={str(objective.expr)!r}"
        )
    curved = np.abs(hessian) if objective.hessian == "absolute" else hessian
    with np.errstate(invalid="ignore"):
        if objective.hessian != "constant" and not np.any(curved * objective.factor > objective.floor):
            raise ConfigError(
                f"the second derivative of {str(objective.expr)!r} by the score is nowhere above the floor "
                f"{objective.floor}, so a step of a tree would be the gradient divided by the floor: use hessian='constant'"
            )


def _probes(objective: BoostingObjective) -> tuple[NDArray, Array]:
    """Labels and scores at which a loss is tried out."""
    if objective.link is Link.IDENTITY:
        return REAL.x, REAL.y
    grid = np.linspace(-8.0, 8.0, 33)
    if objective.link is Link.SIGMOID:
        return np.repeat([0.0, 1.0], len(grid)), np.tile(grid, 2)
    z = np.zeros((len(grid), objective.classes or 3))
    z[:, 0], z[:, 1] = grid, np.cos(grid)
    return np.repeat([0, 1], len(grid)), np.tile(z, (2, 1))
