"""The code that uses a loss, for each library: the lines of docs/integrations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glo.records import Link
from glo.report.content import ShownLoss

DEFAULTS: dict[str, Any] = {"class_reduction": "sum", "eps": 1e-7, "link": "softmax", "label_smoothing": 0.0}


@dataclass(frozen=True)
class Usage:
    """How to use a loss in one library.

    Attributes:
        library: its name.
        code: a few lines; empty if it cannot be used there.
        note: what else there is to know, or why it cannot be used.
    """

    library: str
    code: str
    note: str = ""


def usages(loss: ShownLoss, classes: int) -> list[Usage]:
    """How to use a loss in PyTorch, Lightning, transformers and LightGBM.

    Args:
        classes: outputs of the network.
    """
    made = f"glo.ExpressionLoss({_arguments(str(loss.expression), loss.options)})"
    return [
        Usage(
            "PyTorch",
            f"import glo\n\ncriterion = {made}\nloss = criterion(outputs, labels)",
            "In place of nn.CrossEntropyLoss, nn.BCEWithLogitsLoss or nn.MSELoss. The outputs are raw: without softmax or "
            "sigmoid.",
        ),
        Usage(
            "Lightning",
            f"import glo\n\nself.loss = {made}  # in __init__\nreturn self.loss(self(inputs), labels)  # in training_step",
        ),
        Usage(
            "transformers",
            f"import glo\n\nloss = {made}\ntrainer = Trainer(model, arguments, train_dataset=texts, compute_loss_func=loss)",
        ),
        _boosting(loss, classes),
    ]


def _boosting(loss: ShownLoss, classes: int) -> Usage:
    if loss.boosting:
        return Usage("LightGBM", "", f"This loss is no objective for gradient boosting: {loss.boosting}.")
    link = Link.named(loss.options.get("link", Link.SOFTMAX))
    many = {"classes": classes} if link is Link.SOFTMAX else {}
    kept = {key: value for key, value in loss.options.items() if key in ("class_reduction", "eps")}
    given = {**kept, "link": link.value, **many, "hessian": loss.hessian}
    arguments = _arguments(str(loss.expression), given, {**DEFAULTS, "link": None, "hessian": "absolute"})
    model = "LGBMRegressor" if link is Link.IDENTITY else "LGBMClassifier"
    return Usage(
        "LightGBM",
        f"import glo\n\nobjective = glo.objective({arguments})\n"
        f"model = lightgbm.{model}(objective=objective.for_lightgbm())",
        "XGBoost and CatBoost: for_xgboost(), for_catboost(). Its predictions are raw scores; objective.predict(scores) "
        "turns them into predictions.",
    )


def _arguments(expression: str, options: Mapping[str, Any], defaults: Mapping[str, Any] = DEFAULTS) -> str:
    """The arguments of a call, those with their default left out."""
    given = {key: value for key, value in options.items() if key not in defaults or value != defaults[key]}
    return ", ".join([f'"{expression}"', *(f"{key}={_literal(value)}" for key, value in given.items())])


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(list(value) if isinstance(value, tuple) else value)
