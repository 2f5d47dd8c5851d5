"""Outputs and targets of several dimensions as rows: one for each pixel or token of each sample."""

from __future__ import annotations

from torch import Tensor


def as_matrix(outputs: Tensor) -> Tensor:
    """Outputs as a matrix with a row for each prediction: (N) becomes (N, 1), and (N, C, d1, ...) (N*d1*..., C)."""
    if outputs.dim() == 1:
        return outputs.unsqueeze(-1)
    return outputs if outputs.dim() <= 2 else outputs.movedim(1, -1).flatten(0, -2)


def as_rows(targets: Tensor) -> Tensor:
    """Targets that fit the rows of `as_matrix`: indices (N, d1, ...) become (N*d1*...), labels (N, C, d1, ...) a matrix."""
    return as_matrix(targets) if targets.is_floating_point() else targets.flatten()


def counted(targets: Tensor, ignore_index: int | None) -> Tensor:
    """The class indices that count."""
    return targets if ignore_index is None else targets[targets != ignore_index]


def unflattened(predictions: Tensor, targets: Tensor) -> Tensor:
    """Rows of predictions in the shape that the model's outputs have: (N, C, d1, ...)."""
    places = targets.shape[2:] if targets.is_floating_point() else targets.shape[1:]
    if not places:
        return predictions
    return predictions.reshape(targets.shape[0], *places, predictions.shape[1]).movedim(-1, 1)
