"""Objectives in LightGBM, XGBoost and CatBoost: with the same loss, the same trees as the library's own objective."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from glo.errors import ConfigError
from glo.loss import BoostingObjective, objective

ROUNDS = 15
Array = NDArray[np.float64]
NEEDS_LIGHTGBM, NEEDS_XGBOOST, NEEDS_CATBOOST = (
    f"needs {library}: pip install 'glo-torch[boosting]'" for library in ("LightGBM", "XGBoost", "CatBoost")
)
LIGHTGBM = {"num_leaves": 7, "verbose": -1, "num_threads": 1, "boost_from_average": False}
XGBOOST = {"max_depth": 3, "nthread": 1}
CATBOOST: dict[str, Any] = {
    "iterations": ROUNDS, "depth": 3, "learning_rate": 0.3, "random_strength": 0, "bootstrap_type": "No", "verbose": False,
    "thread_count": 1, "allow_writing_files": False, "leaf_estimation_iterations": 1, "boost_from_average": False,
}  # fmt: skip

# CatBoost says that it would compile an objective with numba, if there were numba; glo's could not be compiled.
pytestmark = pytest.mark.filterwarnings("ignore:.*(numba|optimize).*:UserWarning")


def binary() -> Any:
    return load_breast_cancer(return_X_y=True)


def digits() -> tuple[Array, Array]:
    loaded: Any = load_digits(return_X_y=True)
    x, y = loaded
    return x[:600], y[:600]


def regression() -> Any:
    return load_diabetes(return_X_y=True)


def weights(y: Array) -> Array:
    return np.random.default_rng(0).uniform(0.5, 2, len(y))


def restored(function: Any) -> Any:
    return pickle.loads(pickle.dumps(function))  # noqa: S301


# Regression with the libraries' own factor 1/2.
BINARY = objective("binary_cross_entropy", "sigmoid")
HALF_SQUARE = objective(loss="0.5*square(x - y)", link="regression")
OF_LIGHTGBM = pytest.mark.parametrize(
    ("own", "loss", "data", "extra"),
    [
        ("binary", BINARY, binary, {}),
        ("multiclass", objective("x*log(y)", factor=10 / 9), digits, {"num_class": 10}),
        ("regression", HALF_SQUARE, regression, {}),
        ("cross_entropy", BINARY, binary, {}),
    ],
    ids=["binary", "multiclass", "L2", "soft binary"],
)


@OF_LIGHTGBM
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_same_trees_as_lightgbm(own: str, loss: BoostingObjective, data: Any, extra: dict[str, Any], weighted: bool) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason=NEEDS_LIGHTGBM)
    x, y = data()
    weight = weights(y) if weighted else None
    found = [
        lightgbm.train(LIGHTGBM | extra | {"objective": form}, lightgbm.Dataset(x, y, weight=weight), ROUNDS).predict(
            x, raw_score=True
        )
        for form in (own, restored(loss.for_lightgbm()))
    ]
    assert np.std(found[0]) > 0.1
    np.testing.assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_same_trees_as_lightgbm_in_its_estimators(weighted: bool) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason=NEEDS_LIGHTGBM)
    options = {"n_estimators": ROUNDS, "num_leaves": 7, "verbose": -1, "n_jobs": 1, "boost_from_average": False}
    for kind, (x, y), own, loss in (
        (lightgbm.LGBMClassifier, binary(), "binary", BINARY),
        (lightgbm.LGBMClassifier, digits(), "multiclass", objective("x*log(y)", factor=10 / 9)),
        (lightgbm.LGBMRegressor, regression(), "regression", HALF_SQUARE),
    ):
        weight = weights(y) if weighted else None
        found = [
            kind(**options, objective=form).fit(x, y, sample_weight=weight).predict(x, raw_score=True)
            for form in (own, loss.for_lightgbm())
        ]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-6, atol=1e-6)


def test_lightgbm_starts_a_custom_objective_from_zero() -> None:
    """As the documentation says: of one tree that cannot split, the score is 0 and not the average."""
    lightgbm = pytest.importorskip("lightgbm", reason=NEEDS_LIGHTGBM)
    x, y = regression()
    parameters = {"verbose": -1, "min_gain_to_split": 1e30, "num_threads": 1}
    found = {
        name: lightgbm.train(parameters | {"objective": form}, lightgbm.Dataset(x, y), 1).predict(x[:1])[0]
        for name, form in (("own", "regression"), ("glo", HALF_SQUARE.for_lightgbm()))
    }
    assert found["own"] == pytest.approx(y.mean())
    assert found["glo"] == 0


# `start` is base_score of the library's own objective, a probability for "binary", and that of glo's, always a score.
@pytest.mark.parametrize(
    ("own", "loss", "data", "extra", "start"),
    [
        ("binary:logistic", BINARY, binary, {}, (0.5, 0.0)),
        ("multi:softprob", objective("x*log(y)", factor=2.0), digits, {"num_class": 10}, (0.5, 0.5)),
        ("reg:squarederror", HALF_SQUARE, regression, {}, (100.0, 100.0)),
    ],
    ids=["binary", "multiclass", "L2"],
)
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_same_trees_as_xgboost(
    own: str, loss: BoostingObjective, data: Any, extra: dict[str, Any], start: tuple[float, float], weighted: bool
) -> None:
    xgboost = pytest.importorskip("xgboost", reason=NEEDS_XGBOOST)
    x, y = data()
    matrix = xgboost.DMatrix(x, y, weight=weights(y) if weighted else None)
    parameters = XGBOOST | extra
    expected = xgboost.train(parameters | {"objective": own, "base_score": start[0]}, matrix, ROUNDS)
    found = xgboost.train(parameters | {"base_score": start[1]}, matrix, ROUNDS, obj=restored(loss.for_xgboost()))
    scores = [model.predict(matrix, output_margin=True) for model in (expected, found)]
    assert np.std(scores[0]) > 0.1
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-5, atol=1e-4)  # the library computes in float32


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_same_trees_as_xgboost_in_its_estimators(weighted: bool) -> None:
    xgboost = pytest.importorskip("xgboost", reason=NEEDS_XGBOOST)
    for kind, (x, y), loss, start in (
        (xgboost.XGBClassifier, binary(), BINARY, 0.5),
        (xgboost.XGBClassifier, digits(), objective("x*log(y)", factor=2.0), 0.5),
        (xgboost.XGBRegressor, regression(), HALF_SQUARE, 100.0),
    ):
        weight = weights(y) if weighted else None
        options = {"n_estimators": ROUNDS, "max_depth": 3, "n_jobs": 1, "base_score": start}
        models = [kind(**options, **given) for given in ({}, {"objective": loss.for_xgboost()})]
        found = [model.fit(x, y, sample_weight=weight).predict(x, output_margin=True) for model in models]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("method", ["Newton", "Gradient"])
def test_same_trees_as_catboost(method: str, weighted: bool) -> None:
    catboost = pytest.importorskip("catboost", reason=NEEDS_CATBOOST)
    for kind, (x, y), own, loss in (
        (catboost.CatBoostClassifier, binary(), "Logloss", BINARY),
        (catboost.CatBoostRegressor, regression(), "RMSE", HALF_SQUARE),
    ):
        weight = weights(y) if weighted else None
        options = CATBOOST | {"leaf_estimation_method": method, "eval_metric": own}
        found = [
            kind(**options, loss_function=form).fit(x, y, sample_weight=weight).predict(x, prediction_type="RawFormulaVal")
            for form in (own, restored(loss.for_catboost()))
        ]
        np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_catboost_learns_several_classes() -> None:
    """Its own objective uses the whole Hessian of a leaf, not only the diagonal, so the trees differ."""
    catboost = pytest.importorskip("catboost", reason=NEEDS_CATBOOST)
    x, y = digits()
    options = CATBOOST | {"iterations": 8, "eval_metric": "MultiClass"}
    found = catboost.CatBoostClassifier(**options, loss_function=objective("x*log(y)").for_catboost()).fit(x, y)
    assert np.mean(found.predict(x).ravel() == y) > 0.85


@pytest.mark.parametrize("loss", ["baikal", "linear", "sqrt_likelihood"])
def test_losses_that_are_not_convex_learn(loss: str) -> None:
    """With their negative second derivatives at the floor instead of positive, LightGBM leaves most digits unlearned."""
    lightgbm = pytest.importorskip("lightgbm", reason=NEEDS_LIGHTGBM)
    x, y = digits()
    found = lightgbm.train(
        LIGHTGBM | {"num_class": 10, "objective": objective(loss).for_lightgbm()}, lightgbm.Dataset(x, y), 30
    )
    assert np.mean(found.predict(x).argmax(axis=1) == y) > 0.9


def test_a_library_shows_the_error_of_an_objective() -> None:
    lightgbm = pytest.importorskip("lightgbm", reason=NEEDS_LIGHTGBM)
    xgboost = pytest.importorskip("xgboost", reason=NEEDS_XGBOOST)
    x, y = binary()
    softmax = objective("x*log(y)")
    with pytest.raises(ConfigError, match="num_class"):
        lightgbm.train(LIGHTGBM | {"objective": softmax.for_lightgbm()}, lightgbm.Dataset(x, y), 1)
    with pytest.raises(ConfigError, match="num_class"):
        xgboost.train(XGBOOST | {"base_score": 0}, xgboost.DMatrix(x, y), 1, obj=softmax.for_xgboost())
    with pytest.raises(ConfigError, match="0 and 1"):
        lightgbm.train(LIGHTGBM | {"objective": BINARY.for_lightgbm()}, lightgbm.Dataset(x, 2 * y - 1), 1)
    catboost = pytest.importorskip("catboost", reason=NEEDS_CATBOOST)
    with pytest.raises(catboost.CatBoostError, match="num_class"):
        catboost.CatBoostClassifier(**CATBOOST, eval_metric="Logloss", loss_function=softmax.for_catboost()).fit(x, y)


def test_several_outputs_have_the_trees_of_xgboost() -> None:
    """Labels and scores of shape (n, outputs)."""
    xgboost = pytest.importorskip("xgboost", reason=NEEDS_XGBOOST)
    x, y = binary()
    matrix = xgboost.DMatrix(x, np.stack([y, x[:, 0] > np.median(x[:, 0])], axis=1))
    expected = xgboost.train(XGBOOST | {"objective": "binary:logistic", "base_score": 0.5}, matrix, ROUNDS)
    found = xgboost.train(XGBOOST | {"base_score": 0}, matrix, ROUNDS, obj=BINARY.for_xgboost())
    scores = [model.predict(matrix, output_margin=True) for model in (expected, found)]
    assert scores[0].shape == (len(y), 2)
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-5, atol=1e-4)
