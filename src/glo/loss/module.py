"""The loss as a module, for any PyTorch training loop."""

from __future__ import annotations

from collections.abc import Sequence
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
NOT_A_CLASS = -100  # PyTorch's default of ignore_index


class ExpressionLoss(nn.Module):
    """Minus the sum over classes of f(x, y), with the calling convention of `nn.CrossEntropyLoss`.

    `ExpressionLoss("x*log(y)")` equals `nn.CrossEntropyLoss()`.  It is computed in float32 (float64 for float64 input), also
    under autocast.  log(y) and log(1 - y), of the leaf y itself, come from log-softmax or log-sigmoid; elsewhere y is
    clamped to [eps, 1 - eps].  A logit below -1e9 counts as -1e9: a class that is masked with -inf adds 0*log(y) = 0, and a
    loss that is infinite in PyTorch, because the true class is masked, is about 1e9.

    Args:
        expr: an expression, its text, or the name of a loss.
        reduction: over samples: "mean" (for class indices weighted by the target's weight, as in PyTorch), "sum" or "none".
        class_reduction: over classes: "sum" reproduces the paper's accuracies; "mean" divides by the number of classes.
        weight: shape (C,); multiplies the term of each class.
        ignore_index: samples with this class index do not count; only for class indices.
        label_smoothing: in [0, 1), mixes the label with the uniform distribution (softmax) or with 1/2 (sigmoid).
        eps: bound of the clamp.
        link: "softmax"; "sigmoid" for binary and multilabel tasks; "identity" for regression.  With the last two, targets
            have the input's shape, as for `nn.BCEWithLogitsLoss` and `nn.MSELoss`.
        pos_weight: shape (C,), only for sigmoid: how often a positive label counts, as for `nn.BCEWithLogitsLoss`.  It adds
            (pos_weight - 1)*x*f(1, y) to the term of each class, which makes f(1, y) of x = 1 pos_weight*f(1, y).

    Raises:
        ExpressionError: for a bad expression.
        ConfigError: for a bad option.

    Shape:
        softmax: input (C) or (N, C, d1, ...); target: class indices () or (N, d1, ...), or probabilities of the input's
        shape.  Other links: input (N) or (N, C, ...), target of the same shape.
        Output: scalar, or (N, d1, ...) for reduction "none".
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        expr: str | Expr,
        reduction: Reduction = "mean",
        class_reduction: Literal["sum", "mean"] = "sum",
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = NOT_A_CLASS,
        label_smoothing: float = 0.0,
        eps: float = 1e-7,
        link: Link | str = Link.SOFTMAX,
        pos_weight: Tensor | Sequence[float] | None = None,
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
        if label_smoothing and link == Link.IDENTITY:
            raise ConfigError("label_smoothing is for probabilities: the identity link has none")
        if ignore_index != NOT_A_CLASS and link != Link.SOFTMAX:
            raise ConfigError(f"ignore_index is for class indices: the {Link(link)} link has none")
        if pos_weight is not None and link != Link.SIGMOID:
            raise ConfigError(f"pos_weight is for the sigmoid link, not for {Link(link)}")
        self.expr = resolve(expr)
        self.reduction = reduction
        self.class_reduction = class_reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.eps = eps
        self.link = Link(link)
        self._uses_log_not_y = uses_log_not_y(self.expr)
        self.register_buffer("weight", _of_classes("weight", weight))
        self.register_buffer("pos_weight", _of_classes("pos_weight", pos_weight))

    def extra_repr(self) -> str:
        return f"{str(self.expr)!r}, link={self.link.value!r}, reduction={self.reduction!r}"

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - the name nn.CrossEntropyLoss uses
        """The loss of `input` (logits, or predictions for the identity link) against `target`."""
        dim = 1 if input.dim() > 1 else 0
        z = input if input.dtype == torch.float64 else input.float()
        by_index = self.link is Link.SOFTMAX and not target.is_floating_point()
        classwise = self.link is Link.SOFTMAX or z.dim() > 1
        self._check(z, target, dim, by_index, classwise)
        ignored = None
        if by_index:
            target = target.long()
            ignored = target == self.ignore_index
            target = target.masked_fill(ignored, 0)
        terms = -self._values(self._labels(z, target, dim, by_index), z, dim)
        if self.weight is not None:
            terms = terms * _along(self.weight, z, dim)
        losses = terms
        if classwise:
            losses = terms.sum(dim) if self.class_reduction == "sum" else terms.mean(dim)
        return self._reduce(losses, target, ignored)

    def _check(self, z: Tensor, target: Tensor, dim: int, by_index: bool, classwise: bool) -> None:
        """Refuse what would be broadcast, or ignored, without a word."""
        expected = z.shape[:dim] + z.shape[dim + 1 :] if by_index else z.shape
        if target.shape != expected:
            raise ConfigError(
                f"a target of shape {tuple(target.shape)} does not fit an input of shape {tuple(z.shape)}: "
                "give class indices, or a target of the input's shape"
            )
        if self.link is Link.SOFTMAX and not by_index and self.ignore_index != NOT_A_CLASS:
            raise ConfigError("ignore_index is for class indices, and this target has probabilities")
        classes = z.shape[dim] if classwise else 1
        for name, factors in (("weight", self.weight), ("pos_weight", self.pos_weight)):
            if factors is not None and len(factors) != classes:
                raise ConfigError(f"{name} has {len(factors)} numbers for {classes} classes: give one for each class")

    def _labels(self, z: Tensor, target: Tensor, dim: int, by_index: bool) -> Tensor:
        """x, of the shape of z: one-hot or soft labels, smoothed by `label_smoothing`."""
        x = _one_hot(z, target, dim) if by_index else target.to(z.dtype)
        if self.label_smoothing:
            uniform = 1 / z.shape[dim] if self.link is Link.SOFTMAX else 0.5
            x = x * (1 - self.label_smoothing) + self.label_smoothing * uniform
        return x

    def _values(self, x: Tensor, z: Tensor, dim: int) -> Tensor:
        """f(x, y) for each class."""
        functions = (LINKS_WITH_LOG_NOT_Y if self._uses_log_not_y else LINKS)[self.link]
        y, *logs = functions.differentiable(z, self.eps, dim)
        duals = [None if log is None else Dual(log) for log in logs]

        def f(label: Tensor) -> Tensor:
            return evaluate_dual(
                self.expr, torch, label, Dual(y), lambda number: z.new_tensor(number), *duals
            ).value.expand_as(z)

        if self.pos_weight is None:
            return f(x)
        return f(x) + (_along(self.pos_weight, z, dim) - 1) * x * f(torch.ones_like(x))

    def _reduce(self, losses: Tensor, target: Tensor, ignored: Tensor | None) -> Tensor:
        if ignored is None:
            return _REDUCTIONS[self.reduction](losses)
        losses = losses.masked_fill(ignored, 0.0)
        if self.reduction != "mean":
            return _REDUCTIONS[self.reduction](losses)
        counted = torch.ones_like(losses) if self.weight is None else self.weight.to(losses.dtype)[target]
        return losses.sum() / counted.masked_fill(ignored, 0.0).sum()


_REDUCTIONS = {"mean": torch.mean, "sum": torch.sum, "none": lambda losses: losses}


def _of_classes(name: str, factors: Tensor | Sequence[float] | None) -> Tensor | None:
    """A factor for each class, as a tensor of shape (C,)."""
    if factors is None:
        return None
    try:
        tensor = torch.as_tensor(factors)
    except (TypeError, ValueError, RuntimeError):
        raise ConfigError(f"{name} is a tensor with a number for each class, not {factors!r}") from None
    if tensor.dim() != 1:
        raise ConfigError(f"{name} has the shape (C,), a number for each class, not {tuple(tensor.shape)}")
    return tensor if tensor.is_floating_point() else tensor.float()


def _along(factors: Tensor, z: Tensor, dim: int) -> Tensor:
    """Factors of shape (C,) in a shape that broadcasts with z."""
    return factors.to(z.dtype).reshape([-1 if axis == dim else 1 for axis in range(z.dim())])


def _one_hot(z: Tensor, target: Tensor, dim: int) -> Tensor:
    """Labels of the shape of z for class indices."""
    try:
        return torch.zeros_like(z).scatter(dim, target.unsqueeze(dim), 1.0)
    except RuntimeError:  # on a GPU, a bad index is an error of the device, as for PyTorch's own losses
        classes = z.shape[dim]
        outside = target[(target < 0) | (target >= classes)]
        if outside.numel() == 0:
            raise
        raise ConfigError(f"class {int(outside[0])} of a target is not among the {classes} classes of the input") from None
