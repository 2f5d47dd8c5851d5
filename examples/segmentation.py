"""Segmentation: some pixels have no label, and the score is the mean intersection over union (IoU) of the classes."""

import torch
from torch import nn

import glo

torch.manual_seed(0)
rows, columns = torch.arange(16.0).reshape(16, 1), torch.arange(16.0)
centres, radii = 3 + 10 * torch.rand(2, 2, 300, 1, 1), torch.tensor([4.0, 2.0]).reshape(2, 1, 1, 1)
edges = (rows - centres[0]).hypot(columns - centres[1]) - radii  # of a large and a small disc; below 0 inside
truth = torch.where(edges[1] < 0, 2, (edges[0] < 0).long())  # (N, H, W)
images = truth.unsqueeze(1) + 0.7 * torch.randn(300, 1, 16, 16)
labels = truth.masked_fill((edges.abs() < 0.5).any(0), 255)  # no label at an edge


def objective(trial: glo.Trial) -> dict[str, torch.Tensor]:
    torch.manual_seed(trial.seed)
    model = nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 3, 5, padding=2))  # (N, C, H, W)
    optimizer, loss = torch.optim.AdamW(model.parameters(), lr=0.01), trial.loss(ignore_index=255)
    for batch in torch.randint(100, (60, 20)):
        optimizer.zero_grad()
        loss(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    found, true = (nn.functional.one_hot(k, 3).reshape(3, -1, 3).bool() for k in (model(images).argmax(1), truth))
    _, validation, test = ((found & true).sum(1) / (found | true).sum(1)).mean(1)
    return {"validation": validation, "test": test}


study = glo.Study(objective, name="segmentation", classes=3)
study.search(trials=20)
print(study.compare(config=glo.ComparisonConfig(repeats=3, tuning_seeds=1, smoothings=(0.1,))))
