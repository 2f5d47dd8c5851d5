"""The loss as a module, for any PyTorch training loop."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from glo.catalog import resolve
from glo.errors import ConfigError
from glo.expr import Dual, Expr, evaluate_dual
from glo.expr.dual import uses_log_not_y
from glo.loss.links import LINKS, LINKS_WITH_LOG_NOT_Y
from glo.records import Link

Reduction = Literal["mean", "sum", "none"]


class ExpressionLoss(nn.Module):
    """Minus the sum over classes of f(x, y), with the calling convention of `nn.CrossEntropyLoss`.

    `ExpressionLoss("x*log(y)")` equals `nn.CrossEntropyLoss()`.  It is computed in float32 (float64 for float64 input), also
    under autocast.  log(y), where y is the leaf itself, comes from log-softmax; elsewhere y is clamped to [eps, 1 - eps].

    Args:
        expr: an expression, its text, or the name of a loss.
        reduction: over samples: "mean" (for class indices weighted by the target's weight, as in PyTorch), "sum" or "none".
        class_reduction: over classes: "sum" reproduces the paper's accuracies; "mean" divides by the number of classes.
        weight: shape (C,); multiplies the term of each class.
        ignore_index: samples with this class index do not count.
        label_smoothing: in [0, 1), mixes the label with the uniform distribution (softmax) or with 1/2 (sigmoid).
        eps: bound of the clamp.
        link: "softmax"; "sigmoid" for binary and multilabel tasks; "identity" for regression.  With the last two, targets
            have the input's shape, as for `nn.BCEWithLogitsLoss` and `nn.MSELoss`, and ignore_index has no effect.

    Raises:
        ExpressionError: for a bad expression.
        ConfigError: for a bad option.

    Shape:
        softmax: input (C) or (N, C, d1, ...); target: class indices () or (N, d1, ...), or probabilities of the input's
        shape.  Other links: input (N) or (N, C, ...), target of the same shape.
        Output: scalar, or (N, d1, ...) for reduction "none".
    """

    weight: Tensor | None

    def __init__(
        self,
        expr: str | Expr,
        reduction: Reduction = "mean",
        class_reduction: Literal["sum", "mean"] = "sum",
        weight: Tensor | None = None,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        eps: float = 1e-7,
        link: Link | str = Link.SOFTMAX,
    ) -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ConfigError(f"reduction is 'mean', 'sum' or 'none', not {reduction!r}")
        if class_reduction not in ("sum", "mean"):
            raise ConfigError(f"class_reduction is 'sum' or 'mean', not {class_reduction!r}")
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"label_smoothing is at least 0 and below 1, not {label_smoothing}")
        if not 0 < eps < 0.5:
            raise ConfigError(f"eps is between 0 and 0.5, not {eps}")
        if link not in list(Link):
            raise ConfigError(f"link is one of {', '.join(Link)}, not {link!r}")
        self.expr = resolve(expr)
        self.reduction = reduction
        self.class_reduction = class_reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.eps = eps
        self.link = Link(link)
        self._functions = (LINKS_WITH_LOG_NOT_Y if uses_log_not_y(self.expr) else LINKS)[self.link]
        self.register_buffer("weight", weight)

    def extra_repr(self) -> str:
        return f"{str(self.expr)!r}, link={self.link.value!r}, reduction={self.reduction!r}"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - the name nn.CrossEntropyLoss uses
        """The loss of `input` (logits, or predictions for the identity link) against `target`."""
        dim = 1 if input.dim() > 1 else 0
        z = input if input.dtype == torch.float64 else input.float()
        by_index = self.link is Link.SOFTMAX and not target.is_floating_point()
        expected = input.shape[:dim] + input.shape[dim + 1 :] if by_index else input.shape
        if target.shape != expected:
            raise ConfigError(
                f"a target of shape {tuple(target.shape)} does not fit an input of shape {tuple(input.shape)}: "
                "give class indices, or a target of the input's shape"
            )
        ignored = target == self.ignore_index if by_index else None
        if ignored is not None:
            target = target.masked_fill(ignored, 0)
        x = self._labels(z, target, dim, by_index)
        terms = -self._values(x, z, dim)
        if self.weight is not None and z.dim() > 0:
            terms = terms * self.weight.reshape([-1 if axis == dim else 1 for axis in range(z.dim())])
        classwise = self.link is Link.SOFTMAX or z.dim() > 1
        losses = terms
        if classwise:
            losses = terms.sum(dim) if self.class_reduction == "sum" else terms.mean(dim)
        return self._reduce(losses, target, ignored)

    def _labels(self, z: Tensor, target: Tensor, dim: int, by_index: bool) -> Tensor:
        """x, of the shape of z: one-hot or soft labels, smoothed by `label_smoothing`."""
        x = torch.zeros_like(z).scatter(dim, target.unsqueeze(dim), 1.0) if by_index else target.to(z.dtype)
        if self.label_smoothing:
            uniform = 1 / z.shape[dim] if self.link is Link.SOFTMAX else 0.5
            x = x * (1 - self.label_smoothing) + self.label_smoothing * uniform
        return x

    def _values(self, x: Tensor, z: Tensor, dim: int) -> Tensor:
        """f(x, y) for each class."""
        y, *logs = self._functions.differentiable(z, self.eps, dim)
        duals = [None if log is None else Dual(log) for log in logs]
        value = evaluate_dual(self.expr, torch, x, Dual(y), lambda number: z.new_tensor(number), *duals).value
        return value.expand_as(z)

    def _reduce(self, losses: Tensor, target: Tensor, ignored: Tensor | None) -> Tensor:
        if ignored is None:
            return _REDUCTIONS[self.reduction](losses)
        losses = losses.masked_fill(ignored, 0.0)
        if self.reduction != "mean":
            return _REDUCTIONS[self.reduction](losses)
        counted = torch.ones_like(losses) if self.weight is None else self.weight.to(losses.dtype)[target]
        return losses.sum() / counted.masked_fill(ignored, 0.0).sum()


_REDUCTIONS = {"mean": torch.mean, "sum": torch.sum, "none": lambda losses: losses}
