"""Your own metric: a missed tumour costs ten times as much as a false alarm."""

from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale
from sklearn.utils import shuffle
from torch import Tensor, nn

import glo

X, y = shuffle(*load_breast_cancer(return_X_y=True), random_state=0)
X, malignant = scale(X), (y == 0).astype(int)


def worth(predictions: Tensor, targets: Tensor) -> Tensor:
    """1 if no decision is wrong; 0 if the decisions are worth no more than an alarm for everybody."""
    alarm, ill = predictions.argmax(1) == 1, targets == 1
    cost = 10 * (ill & ~alarm).sum() + (alarm & ~ill).sum()
    return 1 - cost / (~ill).sum()


task = glo.Task(
    "tumours",
    model=lambda: nn.Sequential(nn.Linear(30, 8), nn.ReLU(), nn.Linear(8, 2)),
    train=(X[:200], malignant[:200]),
    validation=(X[200:400], malignant[200:400]),
    metric=worth,
)
study = glo.Study(task)
study.search(generations=3, steps=100)
print("best loss:", study.best.expression, "worth:", round(study.best.fitness, 3))
