"""Single training agrees with a plain PyTorch loop; seeds decide batches and initial weights; images are channels-last."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from glo.expr import parse
from glo.records import Training, TrainingConfig
from glo.tasks import fresh_model
from glo.training import train_single
from glo.training.model import use_channels_last
from glo.training.schedule import batches
from training_tasks import TASKS, classification, mlp


@pytest.mark.parametrize("name", ["mlp", "batch norm, running", "group norm"])
@pytest.mark.parametrize("seed", range(3))
def test_single_is_a_plain_training_loop(name: str, seed: int) -> None:
    """Cross-entropy written by hand, with PyTorch's own loss, optimiser and schedule."""
    task = TASKS[name]()
    config = TrainingConfig(steps=30, batch_size=20, momentum=0.9, weight_decay=0.01, schedule=((10, 0.5), (20, 0.1)))
    train, validation, test = (task.split(split) for split in ("train", "validation", "test"))
    model = fresh_model(task, seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [10], gamma=0.5)
    model.train()
    for step, batch in enumerate(batches(len(train), config, seed)):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(train.inputs[batch]), train.targets[batch]).backward()
        optimizer.step()
        schedule.step()
        if step == 19:
            optimizer.param_groups[0]["lr"] *= 0.1
    model.eval()
    with torch.no_grad():
        expected = [(model(split.inputs).argmax(1) == split.targets).double().mean().item() for split in (validation, test)]
    result = train_single(task, Training(parse("x*log(y)"), 0.2), config, seed, test=True)
    assert [result.validation, result.test] == expected
    assert result.validation > task.chance()


def test_batches_are_shuffled_epochs_of_the_seed() -> None:
    config = TrainingConfig(steps=7, batch_size=20)
    first, again, other = (list(batches(70, config, seed)) for seed in (5, 5, 6))
    assert len(first) == 7
    assert all(torch.equal(one, same) for one, same in zip(first, again, strict=True))
    assert not any(torch.equal(one, another) for one, another in zip(first, other, strict=True))
    for epoch in (first[:3], first[3:6]):  # 70 samples are 3 full batches; the other 10 are left out
        assert torch.cat(epoch).unique().numel() == 60
    assert not torch.equal(first[0], first[3])
    assert [len(batch) for batch in batches(8, config, 0)] == [8] * 7  # a batch is never larger than the data


def test_initial_weights_depend_on_the_seed_alone() -> None:
    task = classification(mlp)
    one, same, another = (nn.utils.parameters_to_vector(fresh_model(task, seed).parameters()) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, another)


class Viewing(nn.Module):
    """A model that relies on the order of numbers in memory, if `view` is set."""

    def __init__(self, view: bool) -> None:
        super().__init__()
        self.convolution, self.linear, self.view = nn.Conv2d(2, 3, 2), nn.Linear(12, 4), view

    def forward(self, inputs: Tensor) -> Tensor:
        values = self.convolution(inputs)
        return self.linear(values.view(len(values), -1) if self.view else values.flatten(1))


@pytest.mark.parametrize("view", [False, True])
def test_images_are_channels_last_if_the_model_works_with_it(view: bool) -> None:
    plain = Viewing(view)
    inputs = torch.randn(5, 2, 3, 3)
    model = use_channels_last(copy.deepcopy(plain), inputs)
    assert model.training
    assert next(model.parameters()).is_contiguous(memory_format=torch.channels_last) is not view
    torch.testing.assert_close(model(inputs), plain(inputs))
