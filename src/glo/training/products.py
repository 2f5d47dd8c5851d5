"""Matrix products with inputs that all networks share, the largest of a chain, as fast as the CPU allows.

`torch.mm` calls MKL, which does not use all that AMD's processors can do; oneDNN, the other library inside PyTorch, takes
half the time there (docs/decisions/0032-products-by-onednn.md).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch
from torch import Tensor

LEAST = 2**17  # multiplications for each network; for fewer, a call of oneDNN costs more than it saves


def biased_product(bias: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """bias + left @ right for each of P networks.

    Args:
        bias: shape (P, a, 1).
        left: shape (P, a, b).
        right: shape (b, c), the same for all.

    Returns:
        Tensor of shape (P, a, c).
    """
    if _suits_onednn(left, right):
        return product(left, right).add_(bias)
    return torch.addmm(bias.flatten(0, 1), left.flatten(0, 1), right).unflatten(0, left.shape[:2])


def product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right, shape (P, a, c) or (P * a, c), for each of P networks.

    Args:
        left: shape (P, a, b) or (P * a, b).
        right: shape (b, c), the same for all.
    """
    if not _suits_onednn(left, right):
        return left @ right if left.dim() == 2 else torch.mm(left.flatten(0, 1), right).unflatten(0, left.shape[:2])
    return torch.ops.mkldnn._linear_pointwise(left, right.T, None, "none", [], "")


def add_product(target: Tensor, left: Tensor, right: Tensor, beta: float, alpha: float) -> None:
    """Set target = beta * target + alpha * left @ right for each of P networks.

    Args:
        target: shape (P, a, c).
        left: shape (P, a, b), or (P * a, b) and perhaps sparse.
        right: shape (b, c), the same for all.
        beta: of what is there.
        alpha: of the product.
    """
    if _suits_onednn(left, right):
        target = target if beta == 1 else target.mul_(beta)
        target.add_(product(left, right), alpha=alpha)
    else:
        target.flatten(0, 1).addmm_(left if left.dim() == 2 else left.flatten(0, 1), right, beta=beta, alpha=alpha)


def _suits_onednn(left: Tensor, right: Tensor) -> bool:
    """Whether oneDNN is faster; the sizes of one network decide, so that its result does not depend on the others."""
    if left.dim() != 3 or left.dtype != torch.float32 or left.device.type != "cpu":
        return False
    return left.shape[1] * right.numel() >= LEAST and onednn_is_faster()


@cache
def onednn_is_faster() -> bool:
    """Whether this is a CPU by AMD with AVX-512, and PyTorch has oneDNN."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return False
    try:
        processor = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:  # not Linux
        return False
    return "AuthenticAMD" in processor and torch.backends.cpu.get_cpu_capability() == "AVX512"
