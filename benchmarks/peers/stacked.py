"""Many networks at once by `torch.func`, as its documentation shows it: one loss, with its parameter for each network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.peers.plain import score
from glo.tasks import Task


def generalised_cross_entropy(y: Tensor, q: Tensor) -> Tensor:
    """(1 - y^q)/q, for the probability y of the right class (Zhang and Sabuncu 2018)."""
    return (1 - y**q) / q


def focal(y: Tensor, gamma: Tensor) -> Tensor:
    """-(1 - y)^gamma log y (Lin et al. 2017)."""
    return -((1 - y) ** gamma) * torch.log(y)


FAMILIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"gce": generalised_cross_entropy, "focal": focal}


@dataclass(frozen=True)
class Networks:
    """Networks to train together: the name of their loss, and its parameter for each."""

    family: str
    parameters: tuple[float, ...]
    learning_rate: float
    steps: int
    batch_size: int
    seed: int


def train(task: Task, work: Networks) -> list[float]:
    """Train the networks, all from the same weights and with the same batches, and return their validation metrics."""
    torch.manual_seed(work.seed)
    model, split = task.model(), task.split("train")
    stacked, buffers = stack_module_state([copy.deepcopy(model) for _ in work.parameters])
    parameters = {name: value.detach() for name, value in stacked.items()}
    skeleton, family = copy.deepcopy(model).to("meta"), FAMILIES[work.family]

    def loss(parameters: dict[str, Tensor], buffers: dict[str, Tensor], q: Tensor, x: Tensor, labels: Tensor) -> Tensor:
        outputs = functional_call(skeleton, (parameters, buffers), (x,))
        y = outputs.softmax(1).gather(1, labels.unsqueeze(1)).clamp(1e-7, 1 - 1e-7)
        return family(y, q).mean()

    gradient = vmap(grad(loss), in_dims=(0, 0, 0, None, None))
    values = torch.tensor(work.parameters)
    per_epoch = len(split) // work.batch_size
    for step in range(work.steps):
        if step % per_epoch == 0:
            order = torch.randperm(len(split))
        batch = order[step % per_epoch * work.batch_size :][: work.batch_size]  # pyright: ignore[reportPossiblyUnboundVariable]
        found = gradient(parameters, buffers, values, split.inputs[batch], split.targets[batch])
        for name, value in parameters.items():
            value.sub_(found[name], alpha=work.learning_rate)
    return _validation(task, skeleton, parameters, buffers)


def _validation(task: Task, skeleton: nn.Module, parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> list[float]:
    split = task.split("validation")
    forward = vmap(lambda parameters, buffers: functional_call(skeleton, (parameters, buffers), (split.inputs,)))
    with torch.no_grad():
        return [score(task, outputs, split.targets) for outputs in forward(parameters, buffers)]
