"""A loss for gradient boosting as source code that needs NumPy only.

The functions of `glo.loss.curvature` are written word for word; the derivatives of f are traced from the operator table.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Literal

from glo.loss import curvature
from glo.loss.boosting import BoostingObjective, differentiated
from glo.loss.statements import Tracer, statements
from glo.records import Link

Library = Literal["lightgbm", "xgboost", "catboost"]

HEADER = '''"""A loss found by glo as an objective of {title}: minus the {class_reduction} over classes of f(x, y) = {text}.

{usage}
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

OPTIONS: dict[str, Any] = {{
{options}
}}
LOWEST_SCORE = {lowest!r}  # a score below it, such as -inf for a class that is masked, counts as this one
LARGEST = {largest!r}  # the libraries keep derivatives in float32


def terms(x, y, slope, bend, log_y, log_not_y, p, not_p):
    """First and second derivative of f by u, where y = {inverse}."""
{body}
'''

TRAINING = '''def objective(y_true, y_pred, sample_weight=None):
    """Gradient and Hessian: called as (y_true, y_pred, sample_weight), or as (y_pred, data set)."""
    return derivatives_for_trees(terms, *call_arguments(y_true, y_pred, sample_weight), **OPTIONS)
'''

CATBOOST = '''class Objective:
    """CatBoost maximises: the derivatives are minus those of the loss."""

    def calc_ders_range(self, approxes, targets, weights):
        gradient, hessian = derivatives_for_trees(terms, targets, approxes, weights, **OPTIONS)
        return np.column_stack([-gradient, -hessian])

    def calc_ders_multi(self, approxes, target, weight):
        gradient, hessian = derivatives_for_trees(terms, [target], [approxes], [weight], **OPTIONS)
        return (-gradient[0]).tolist(), np.diag(-hessian[0]).tolist()
'''

USAGE: dict[Library, tuple[str, str, str]] = {
    "lightgbm": (
        "LightGBM",
        'Use it as objective=objective in LGBMRegressor and LGBMClassifier, or as params["objective"] of lightgbm.train.\n'
        "LightGBM starts a custom objective from the score 0, and predicts raw scores.",
        TRAINING,
    ),
    "xgboost": (
        "XGBoost",
        "Use it as objective=objective in XGBRegressor and XGBClassifier, or as obj=objective of xgboost.train.\n"
        "Set base_score: it is the score at which the training starts.",
        TRAINING,
    ),
    "catboost": (
        "CatBoost",
        "Use it as loss_function=Objective() in CatBoostRegressor and CatBoostClassifier, with an eval_metric.",
        CATBOOST,
    ),
}

FUNCTIONS: tuple[Callable[..., object], ...] = (
    curvature.as_numbers, curvature.checked_scores, curvature.checked_labels, curvature.checked_weights,
    curvature.log_probabilities, curvature.by_scores, curvature.exact_derivatives, curvature.positive,
    curvature.refuse_infinite, curvature.derivatives_for_trees,
)  # fmt: skip


def boosting_source(objective: BoostingObjective, library: Library) -> str:
    """The source of a module with the objective for a library; it computes the same numbers as `objective.for_trees`.

    The module has a function `objective` for LightGBM and XGBoost, or a class `Objective` for CatBoost.
    """
    title, usage, ending = USAGE[library]
    functions = FUNCTIONS if library == "catboost" else (curvature.call_arguments, *FUNCTIONS)
    header = HEADER.format(
        title=title,
        usage=usage,
        class_reduction=objective.class_reduction,
        text=objective.expr,
        options="\n".join(f'    "{name}": {value!r},' for name, value in objective.options().items()),
        lowest=curvature.LOWEST_SCORE,
        largest=curvature.LARGEST,
        inverse="u" if objective.link is Link.IDENTITY else "sigmoid(u)",
        body="\n".join(f"    {line}" for line in _statements(objective)),
    )
    # ConfigError is a ValueError; there is no glo to import it from.
    copied = [
        inspect.getsource(function).rstrip().replace("raise ConfigError(", "raise ValueError(") for function in functions
    ]
    return "\n\n".join([header, *(f"{text}\n" for text in copied), ending])


def _statements(objective: BoostingObjective) -> list[str]:
    """The body of `terms`."""
    tracer = Tracer()
    x, y, slope, bend, log_y, log_not_y, p, not_p = map(
        tracer.input, ("x", "y", "slope", "bend", "log_y", "log_not_y", "p", "not_p")
    )
    link = (slope, bend, log_y, log_not_y, p, not_p)
    if objective.link is Link.IDENTITY:
        link = (tracer.constant(1.0), None, None, None, None, None)
    jet = differentiated(objective.expr, tracer, tracer.constant, x, y, *link)
    derivatives = [tracer.constant(0.0) if part is None else part for part in (jet.first, jet.second)]
    lines, results = statements(derivatives, "y")
    return [*lines, f"return {', '.join(results)}"]
