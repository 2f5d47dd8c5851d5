"""A task of your own: find a loss for it, and compare that loss with cross-entropy."""

from sklearn.datasets import load_wine
from sklearn.preprocessing import scale
from sklearn.utils import shuffle
from torch import nn

import glo

X, y = shuffle(*load_wine(return_X_y=True), random_state=0)
X = scale(X)
task = glo.Task(
    "wine",
    model=lambda: nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3)),
    train=(X[:80], y[:80]),
    validation=(X[80:130], y[80:130]),
    test=(X[130:], y[130:]),
)

study = glo.Study(task)  # recorded in glo.db in this folder; run the file again and it goes on from there
study.search(generations=3, steps=100)
print("best loss:", study.best.expression, "validation accuracy:", study.best.fitness)
print(study.compare(config=glo.ComparisonConfig(learning_rates=(0.1, 1, 10), smoothings=(0.1,), repeats=5)))
