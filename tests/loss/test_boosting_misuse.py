"""Objectives refuse what cannot train or does not fit, and say what to do; losses that are given as they are minimised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import glo
from glo.catalog import NAMED
from glo.errors import ConfigError, ExpressionError
from glo.expr import Expr, parse
from glo.loss import ExpressionLoss, objective


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"expr": "x*log(y)", "link": "probit"}, "link is one of softmax, sigmoid, identity"),
        ({"expr": "x*log(y)", "hessian": "exact"}, "hessian is 'absolute' or 'floor' or 'constant'"),
        ({"expr": "x*log(y)", "class_reduction": "max"}, "class_reduction"),
        ({"expr": "x*log(y)", "eps": 0.5}, "eps"),
        ({"expr": "x*log(y)", "eps": float("nan")}, "eps"),
        ({"expr": "x*log(y)", "floor": 0.0}, "floor is a positive number"),
        ({"expr": "x*log(y)", "factor": -1.0}, "factor is a positive number"),
        ({"expr": "x*log(y)", "classes": 1}, "classes is a whole number of at least 2"),
        ({"expr": "brier", "link": "identity", "classes": 3}, "classes is for the softmax link"),
        ({}, "one of the two"),
        ({"expr": "x*log(y)", "loss": "square(x - y)"}, "one of the two"),
        ({"expr": "x"}, "no gradient"),
        ({"expr": "log(0 - 1)*y"}, "no gradient"),
        ({"expr": "square(x - y)", "link": "identity"}, r"loss='square\(x - y\)'"),
        ({"expr": "-(x*log(y))"}, "f is maximised"),
        ({"loss": "binary_cross_entropy + 0", "link": "sigmoid"}, "unknown word"),
        ({"expr": "mae", "link": "identity"}, "hessian='constant'"),
        ({"expr": "-square(x - y)", "link": "identity", "floor": 3.0}, "nowhere above the floor 3"),
    ],
    ids=str,
)
def test_misuse_is_refused_with_what_to_do(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ConfigError, ExpressionError), match=message):
        objective(**options)


@pytest.mark.parametrize(
    ("link", "labels", "scores", "message"),
    [
        ("softmax", [0, 1], [0.1, 0.2], r"num_class"),
        ("softmax", [0, 1], [[0.1], [0.2]], r"num_class"),
        ("softmax", [0, 3], np.zeros((2, 3)), "label 3.0 is not among the classes 0 to 2"),
        ("softmax", [0, -1], np.zeros((2, 3)), "label -1.0"),
        ("softmax", [0, 0.5], np.zeros((2, 3)), "label 0.5"),
        ("softmax", [0, np.nan], np.zeros((2, 3)), "label nan"),
        ("softmax", [0, 1, 2], np.zeros((2, 3)), "do not fit"),
        ("softmax", ["a", "b"], np.zeros((2, 3)), "labels are numbers"),
        ("sigmoid", [-1, 1], [0.1, 0.2], "encode the two classes as 0 and 1"),
        ("sigmoid", [0, 1, 1], [0.1, 0.2], "do not fit"),
        ("identity", [0, np.inf], [0.1, 0.2], "finite numbers"),
        ("identity", [0.0], 0.1, "shape"),
        ("identity", np.zeros((3, 2)), np.zeros((2, 3)), "do not fit"),
    ],
)
def test_labels_and_scores_that_do_not_fit_are_refused(link: str, labels: Any, scores: Any, message: str) -> None:
    found = objective("binary_cross_entropy" if link == "sigmoid" else "brier", link)
    for method in (found.derivatives, found.for_trees, found.loss, found.for_lightgbm()):
        with pytest.raises(ConfigError, match=message):
            method(labels, np.asarray(scores))


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, np.nan], [[1.0, 1.0]], ["a", "b"]], ids=str)
def test_bad_weights_are_refused(weights: Any) -> None:
    with pytest.raises(ConfigError, match="weight"):
        objective("brier").for_trees([0, 1], np.zeros((2, 3)), weights)


def test_scores_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ConfigError, match="num_class=4"):
        objective("x*log(y)", classes=4).for_trees([0, 1], np.zeros((2, 3)))


def test_gradient_that_is_not_finite_is_an_error_with_its_place() -> None:
    """LightGBM and XGBoost would grow trees from it without a word."""
    found = objective("x*log(y) - square(y)", "identity")
    with pytest.raises(
        ConfigError, match=r"gradient of the loss is .* for the label 1.0 and the score 0.0 \(sample 1; 1 such"
    ):
        found.for_trees([1.0, 1.0], [0.5, 0.0])


@pytest.mark.parametrize(
    ("loss", "f"),
    [
        ("square(x - y)", "-square(x - y)"),
        ("-(x*log(y))", "x*log(y)"),
        ("x - y", "y - x"),
        ("mse", "mse"),  # the name of a loss is that of the loss
        (parse("square(x - y)"), "-square(x - y)"),
    ],
    ids=str,
)
def test_loss_is_minimised(loss: str | Expr, f: str) -> None:
    expected = NAMED[f] if f in NAMED else parse(f)
    assert ExpressionLoss(loss=loss, link="regression").expr == expected
    with pytest.raises(ConfigError, match="one of the two"):
        ExpressionLoss("x*log(y)", loss=loss)
    if f != "y - x":  # which has no second derivative
        assert glo.objective(loss=loss, link="softmax").expr == expected


def test_module_minimises_a_loss() -> None:
    input_, target = torch.tensor([0.5, 2.0]), torch.tensor([1.0, -1.0])
    found = ExpressionLoss(loss="square(x - y)", link="regression")(input_, target)
    torch.testing.assert_close(found, torch.nn.functional.mse_loss(input_, target))
