"""The precision of a training's arithmetic (`TrainingConfig.precision`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from glo.records import TrainingConfig


@contextmanager
def matmul_precision(config: TrainingConfig) -> Iterator[None]:
    """Compute matrix products and convolutions on a GPU in TF32 if the configuration says so, else in full float32.

    PyTorch's own settings come back on leaving.
    """
    matmul, cudnn, tf32 = torch.backends.cuda.matmul, torch.backends.cudnn, config.precision == "tf32"
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = tf32, tf32  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before  # pyright: ignore[reportAttributeAccessIssue]


def autocast(config: TrainingConfig, device: torch.device | str) -> AbstractContextManager[Any]:
    """Run a forward pass in bfloat16 if the configuration says so."""
    if config.precision == "bfloat16":
        return torch.autocast(torch.device(device).type, torch.bfloat16)
    return nullcontext()
