"""Objectives in the calling conventions of LightGBM, XGBoost and CatBoost.  Imports none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glo.loss.curvature import call_arguments

if TYPE_CHECKING:
    from glo.loss.boosting import BoostingObjective


@dataclass(frozen=True)
class TrainingObjective:
    """Calling convention of LightGBM and XGBoost: `objective(labels, scores)` gives gradient and Hessian.

    Both take the same forms: (y_true, y_pred, sample_weight) from their scikit-learn estimators, and (scores, data set) from
    their `train`, the data set having labels and weights.  With more than one score a sample, all arrays are (n, scores).

    Attributes:
        objective: the loss.
    """

    objective: BoostingObjective

    def __call__(
        self, y_true: ArrayLike, y_pred: Any, sample_weight: ArrayLike | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Gradient and Hessian, of the shape of the scores.

        Raises:
            ConfigError: as `BoostingObjective.for_trees` does.
        """
        return self.objective.for_trees(*call_arguments(y_true, y_pred, sample_weight))


@dataclass  # not frozen: CatBoost writes an attribute of its own into it
class CatBoostObjective:
    """Calling convention of CatBoost.  It maximises: the derivatives are minus those of the loss.

    Attributes:
        objective: the loss.
    """

    objective: BoostingObjective

    def calc_ders_range(self, approxes: Any, targets: Any, weights: Any) -> NDArray[np.float64]:
        """One score a sample: `approxes` has n scores.  Returns (n, 2): first and second derivative."""
        gradient, hessian = self.objective.for_trees(targets, approxes, weights)
        return np.column_stack([-gradient, -hessian])

    def calc_ders_multi(self, approxes: Any, target: Any, weight: float) -> tuple[list[float], list[list[float]]]:
        """One sample of several classes.  Returns the first derivatives, and the second ones as a diagonal matrix."""
        gradient, hessian = self.objective.for_trees([target], [approxes], [weight])
        return (-gradient[0]).tolist(), np.diag(-hessian[0]).tolist()
