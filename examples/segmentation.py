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


def model():
    return nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 3, 5, padding=2))  # (N, C, H, W)


train, validation, test = ((images[part], labels[part]) for part in (slice(100), slice(100, 200), slice(200, 300)))
training = {"optimizer": "adamw", "learning_rates": [0.003, 0.01], "steps": 60, "batch_size": 20}
task = glo.Task("discs", model, train, validation, test, metric="iou", ignore_index=255, training=training)

study = glo.Study(task)
study.search(generations=2, population=8)
print(study.compare(config=glo.ComparisonConfig(repeats=3, tuning_seeds=1, smoothings=(0.1,), learning_rates=[0.003, 0.01])))
