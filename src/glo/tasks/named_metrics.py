"""The metrics that have a name, what each of them is for, and the name that someone may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from glo.errors import TaskError
from glo.records import Direction
from glo.tasks.metrics import (
    Metric,
    accuracy,
    average_precision,
    balanced_accuracy,
    brier,
    cohen_kappa,
    dice,
    ece,
    f1_macro,
    iou,
    log_loss,
    mae,
    mcc,
    r2,
    rmse,
    roc_auc,
)
from glo.tasks.parametrised_metrics import f_beta_metric, pinball_metric

METRICS: dict[str, Metric] = {
    "accuracy": Metric(accuracy),
    "average_precision": Metric(average_precision),
    "balanced_accuracy": Metric(balanced_accuracy),
    "brier": Metric(brier, Direction.MINIMIZE),
    "cohen_kappa": Metric(cohen_kappa),
    "dice": Metric(dice),
    "ece": Metric(ece, Direction.MINIMIZE),
    "f1_macro": Metric(f1_macro),
    "f_beta": f_beta_metric(1),
    "iou": Metric(iou),
    "log_loss": Metric(log_loss, Direction.MINIMIZE),
    "mae": Metric(mae, Direction.MINIMIZE),
    "mcc": Metric(mcc),
    "pinball": pinball_metric(0.5),
    "r2": Metric(r2),
    "rmse": Metric(rmse, Direction.MINIMIZE),
    "roc_auc": Metric(roc_auc),
}
# Their names may end in a number, such as "f_beta:2".
WITH_NUMBER: dict[str, Callable[[float], Metric]] = {"f_beta": f_beta_metric, "pinball": pinball_metric}
OF_REGRESSION = ("mae", "pinball", "r2", "rmse")
OF_ONE_DECISION = ("balanced_accuracy", "cohen_kappa", "mcc")  # a sample
OF_TWO_CLASSES = ("f_beta",)
NAMES = f"{', '.join(METRICS)}, f_beta:2, pinball:0.9"


def named_metric(name: str) -> Metric:
    """The metric of a name in `METRICS`, which may end in a number: "f_beta:2" or "pinball:0.9".

    Raises:
        TaskError: if there is no such metric; the message names those that there are.
    """
    if name in METRICS:
        return METRICS[name]
    kind, colon, number = name.partition(":")
    if kind in WITH_NUMBER:
        try:
            return WITH_NUMBER[kind](float(number))
        except TaskError as error:
            raise TaskError(f"metric '{name}': {error}") from None
        except ValueError:
            raise TaskError(f"metric '{name}': '{number}' is not a number") from None
    if kind in METRICS:
        raise TaskError(f"metric '{name}': only {' and '.join(WITH_NUMBER)} take a number, so '{kind}' is the whole name")
    close = difflib.get_close_matches(kind.lower(), METRICS, n=1)
    meant = f": did you mean '{close[0]}{(colon + number) * (close[0] in WITH_NUMBER)}'?" if close else ""
    raise TaskError(f"metric must be a function or one of {NAMES}, not '{name}'{meant}")
