"""A search for a loss of gradient boosting: LightGBM on a table, a third of whose training labels are wrong."""

import lightgbm
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.utils import shuffle

import glo

rows, labels = shuffle(*load_breast_cancer(return_X_y=True), random_state=0)
noisy = np.where(np.random.default_rng(0).random(250) < 0.33, 1 - labels[:250], labels[:250])


def objective(trial: glo.Trial) -> dict[str, float]:
    loss = glo.objective(trial.expression, "sigmoid")
    model = lightgbm.LGBMClassifier(
        objective=loss.for_lightgbm(), n_estimators=60, num_leaves=8, learning_rate=0.1, n_jobs=1, verbose=-1,
        bagging_fraction=0.7, bagging_freq=1, random_state=trial.seed % 2**31,
    ).fit(rows[:250], noisy)  # fmt: skip
    right = (model.predict(rows[250:], raw_score=True) > 0) == labels[250:]
    return {"validation": right[:150].mean(), "test": right[150:].mean()}


study = glo.Study(objective, name="boosting", link="sigmoid", direction="maximize")
study.search(trials=60)
print(study.best.loss())
print(study.compare(config=glo.ComparisonConfig(repeats=10)))
