"""The model of a task as both engines train it: dropout, memory layout and outputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glo.records import derive_seed
from glo.tasks import Inputs, as_matrix
from glo.tasks.inputs import rows
from glo.tasks.randomness import seed_everything

TOLERANCE = 1e-3  # of the largest output, for models that compute in 16 bits


def seed_dropout(seed: int) -> None:
    """Seed the global generators, the only ones that dropout knows; call it inside `random_state_restored`."""
    seed_everything(derive_seed(seed, "dropout"))


def use_channels_last(model: nn.Module, inputs: Inputs) -> nn.Module:
    """Give the weights of a model with 2D convolutions the channels-last layout, and return the model.

    Images then have it too, and a training is a fifth faster on a CPU (docs/decisions/0011-processes.md).  A model that
    relies on the order of numbers in memory, by `view`, keeps its layout.

    Args:
        model: any model.
        inputs: samples to try the layout on.
    """
    if not any(isinstance(module, nn.Conv2d) for module in model.modules()):
        return model
    was_training = model.training
    try:
        model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        with torch.no_grad():
            model.eval()(rows(inputs, slice(2)))
    except RuntimeError:
        model.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    return model.train(was_training)


def as_logits(outputs: Tensor) -> Tensor:
    """Outputs of a network in float32, as a matrix with a row for each prediction (`glo.tasks.as_matrix`)."""
    return as_matrix(outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs)


def agree(found: Tensor, expected: Tensor) -> bool:
    """Whether outputs that were computed in two ways are the same but for rounding."""
    if found.shape != expected.shape:
        return False
    return torch.allclose(found, expected, rtol=0.0, atol=TOLERANCE * float(expected.abs().max()), equal_nan=True)
