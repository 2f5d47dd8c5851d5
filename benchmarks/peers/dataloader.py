"""The plain loop with a DataLoader, as in most published code for loss searches."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.peers.plain import Work, loss_of, validation
from glo.tasks import Task


def train(task: Task, work: Work) -> float:
    """Train one network and return its validation metric, 0 if it diverged."""
    torch.manual_seed(work.seed)
    model, split = task.model(), task.split("train")
    loader = DataLoader(TensorDataset(split.inputs, split.targets), batch_size=work.batch_size, shuffle=True, drop_last=True)
    loss = loss_of(work.loss, task.classes)
    optimizer = torch.optim.SGD(model.parameters(), work.learning_rate)
    step = 0
    while step < work.steps:
        for inputs, targets in loader:
            optimizer.zero_grad()
            loss(model(inputs), targets).backward()
            optimizer.step()
            step += 1
            if step == work.steps:
                break
    return validation(task, model)
