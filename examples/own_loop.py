"""Your own training loop is the judge: glo proposes losses, and you return how good your network became."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import glo

images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = images.float() / 16
torch.manual_seed(0)
noisy = torch.where(torch.rand(1000) < 0.4, torch.randint(10, (1000,)), labels[:1000])  # 40 % of the labels are random


def objective(trial: glo.Trial) -> dict[str, float]:
    torch.manual_seed(trial.seed)
    model, loss = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), trial.loss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(100):
        batch = torch.randint(1000, (100,))
        optimizer.zero_grad()
        loss(model(images[batch]), noisy[batch]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    right = (model(images[1000:]).argmax(1) == labels[1000:]).double()
    return {"validation": right[:400].mean().item(), "test": right[400:].mean().item()}


study = glo.Study(objective, name="own-loop", link="softmax", classes=10, direction="maximize")
study.search(trials=40)
print(study.best.loss())
print(study.compare(config=glo.ComparisonConfig(repeats=5)))
