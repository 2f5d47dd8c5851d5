"""An imbalanced table, about 4 % of whose rows are positive.  The score is the average precision."""

import torch
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import scale
from torch import nn

import glo

X, y = make_classification(9000, n_features=20, n_informative=6, weights=[0.97], flip_y=0.02, random_state=0)
X, y = torch.tensor(scale(X)).float(), torch.tensor(y).float()


def objective(trial: glo.Trial) -> dict[str, float]:
    torch.manual_seed(trial.seed)
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 1), nn.Flatten(0))
    optimizer, loss = torch.optim.AdamW(model.parameters(), lr=0.01), trial.loss(pos_weight=[5.0])
    for _ in range(100):
        batch = torch.randint(3000, (100,))
        optimizer.zero_grad()
        loss(model(X[batch]), y[batch]).backward()
        optimizer.step()
    scores = model(X).detach()
    rows = {"validation": slice(3000, 6000), "test": slice(6000, 9000)}
    return {name: average_precision_score(y[part], scores[part]) for name, part in rows.items()}


study = glo.Study(objective, name="imbalanced", link="sigmoid")
study.search(trials=20)
print(study.compare(config=glo.ComparisonConfig(repeats=3, tuning_seeds=1, smoothings=(0.1,))))
