"""`ExpressionLoss` as the criterion of a skorch net, and in scikit-learn's searches."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from torch import Tensor, nn

from glo.errors import ExpressionError
from glo.loss import ExpressionLoss

skorch = pytest.importorskip("skorch", reason="pip install 'glo-torch[integrations]'")
RAW, LABELS = (np.asarray(part) for part in load_iris(return_X_y=True))
INPUTS = ((RAW - RAW.mean(0)) / RAW.std(0)).astype(np.float32)


class Linear(nn.Module):
    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(4, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.layer(inputs)


def net(kind: str = "NeuralNetClassifier", **options: Any) -> Any:
    torch.manual_seed(0)
    options = {"lr": 0.1, "max_epochs": 5, "train_split": None, "verbose": 0, **options}
    return getattr(skorch, kind)(Linear, **options)


def logits(fitted: Any) -> Tensor:
    return fitted.forward(INPUTS)


@pytest.fixture(autouse=True)
def same_global_generator() -> Any:
    with torch.random.fork_rng():
        yield


CRITERIA: dict[str, dict[str, Any]] = {
    "class and parameter": {"criterion": ExpressionLoss, "criterion__expr": "baikal"},
    "object": {"criterion": ExpressionLoss("baikal")},
    "object and parameter": {"criterion": ExpressionLoss("mae"), "criterion__expr": "baikal"},
}


@pytest.mark.parametrize("options", CRITERIA.values(), ids=CRITERIA)
def test_predict_proba_is_the_softmax(options: dict[str, Any]) -> None:
    fitted = net(**options).fit(INPUTS, LABELS)
    assert str(fitted.criterion_.expr) == "log(y) - x/y"
    np.testing.assert_allclose(fitted.predict_proba(INPUTS), logits(fitted).softmax(1), rtol=1e-5)
    assert not np.allclose(logits(fitted).sum(1), 1)
    assert fitted.score(INPUTS, LABELS) > 0.6


def test_trains_as_cross_entropy() -> None:
    ours = net(criterion=ExpressionLoss, criterion__expr="x*log(y)").fit(INPUTS, LABELS)
    theirs = net(criterion=nn.CrossEntropyLoss).fit(INPUTS, LABELS)
    np.testing.assert_allclose(ours.predict_proba(INPUTS), theirs.predict_proba(INPUTS), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(ours.history[:, "train_loss"], theirs.history[:, "train_loss"], rtol=1e-5)


def test_predict_proba_of_a_yes_no_question_is_the_sigmoid() -> None:
    labels = (LABELS == 0).astype(np.float32)
    options = {"criterion": ExpressionLoss, "criterion__expr": "binary_cross_entropy", "criterion__link": "sigmoid"}
    fitted = net("NeuralNetBinaryClassifier", module__outputs=1, **options).fit(INPUTS, labels)
    yes = logits(fitted).sigmoid()
    np.testing.assert_allclose(fitted.predict_proba(INPUTS), torch.stack([1 - yes, yes], 1), rtol=1e-4)
    assert fitted.score(INPUTS, labels) > 0.9


class Doubled(ExpressionLoss):
    """A user's own class."""

    def forward(self, *arguments: Any, **options: Any) -> Tensor:
        return 2 * super().forward(*arguments, **options)


def test_a_subclass_needs_one_more_parameter() -> None:
    criterion = Doubled("baikal")
    fitted = net(criterion=criterion, predict_nonlinearity=criterion.activation).fit(INPUTS, LABELS)
    np.testing.assert_allclose(fitted.predict_proba(INPUTS), logits(fitted).softmax(1), rtol=1e-5)


def test_a_regression_predicts_its_outputs() -> None:
    options = {"criterion": ExpressionLoss, "criterion__expr": "mse", "criterion__link": "identity"}
    fitted = net("NeuralNetRegressor", module__outputs=1, **options).fit(INPUTS, INPUTS[:, :1])
    np.testing.assert_array_equal(fitted.predict(INPUTS), logits(fitted))


def test_grid_search_over_named_losses() -> None:
    """As many losses as values, and the score of each is that of a net with this loss."""
    names = ["cross_entropy", "mae", "sqrt_likelihood"]
    classifier = net(criterion=ExpressionLoss, criterion__expr="baikal", max_epochs=30)
    search = GridSearchCV(classifier, {"criterion__expr": names}, cv=3, scoring="neg_log_loss")
    torch.manual_seed(0)
    search.fit(INPUTS, LABELS)
    assert search.cv_results_["param_criterion__expr"].tolist() == names
    assert len(set(search.cv_results_["mean_test_score"])) == len(names)
    assert search.best_estimator_.criterion_.expr == ExpressionLoss(search.best_params_["criterion__expr"]).expr
    # A log-loss of logits, taken as probabilities, would be far from that of uninformed predictions.
    assert (search.cv_results_["mean_test_score"] > -np.log(3)).all()


def test_another_loss_by_set_params() -> None:
    changed = net(criterion=ExpressionLoss("mae")).initialize().set_params(criterion__expr="brier")
    assert str(changed.criterion_.expr) == str(ExpressionLoss("brier").expr)
    with pytest.raises(ExpressionError, match="named losses are"):
        changed.set_params(criterion__expr="brayer")


def test_a_fitted_net_pickles_and_a_net_clones(tmp_path: Path) -> None:
    fitted = net(criterion=ExpressionLoss("baikal", weight=[1.0, 2.0, 1.0])).fit(INPUTS, LABELS)
    loaded = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    np.testing.assert_array_equal(loaded.predict_proba(INPUTS), fitted.predict_proba(INPUTS))
    loaded.partial_fit(INPUTS, LABELS)
    assert loaded.history[-1, "train_loss"] < fitted.history[-1, "train_loss"]
    unfitted: Any = clone(fitted)
    assert unfitted.criterion.weight.tolist() == [1, 2, 1]
    fitted.save_params(tmp_path / "net.pt", f_criterion=tmp_path / "criterion.pt")
    again = net(criterion=ExpressionLoss("baikal", weight=[1.0, 1.0, 1.0])).initialize()
    again.load_params(tmp_path / "net.pt", f_criterion=tmp_path / "criterion.pt")
    np.testing.assert_array_equal(again.predict_proba(INPUTS), fitted.predict_proba(INPUTS))
    assert again.criterion_.weight.tolist() == [1, 2, 1]
