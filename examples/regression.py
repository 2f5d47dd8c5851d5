"""Regression: with the identity link, predictions are the outputs themselves, and the metric is R2."""

from sklearn.datasets import load_diabetes
from sklearn.preprocessing import scale
from sklearn.utils import shuffle
from torch import nn

import glo

X, y = shuffle(*load_diabetes(return_X_y=True), random_state=0)
X, y = scale(X), scale(y).reshape(-1, 1)
task = glo.Task(
    "diabetes-small",
    model=lambda: nn.Sequential(nn.Linear(10, 8), nn.Tanh(), nn.Linear(8, 1)),
    train=(X[:250], y[:250]),
    validation=(X[250:350], y[250:350]),
    link="identity",
)

study = glo.Study(task, seed=1)
study.search(generations=3, steps=100)
for trial in study.pareto():  # a larger loss is listed only if it is better than all smaller ones
    print(f"{trial.nodes:2d} nodes  R2 {trial.fitness:.3f}  {trial.expression}")
