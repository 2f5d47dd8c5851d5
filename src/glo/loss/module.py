"""The loss as a module, for any PyTorch training loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor, nn

from glo.catalog import maximised
from glo.errors import ConfigError
from glo.expr import Dual, Expr, evaluate_dual
from glo.expr.dual import uses_log_not_y
from glo.loss.links import LINKS, LINKS_WITH_LOG_NOT_Y
from glo.loss.outputs import logits_and_labels
from glo.loss.prior import check_prior
from glo.records import Link

Reduction = Literal["mean", "sum", "none"]
NOT_A_CLASS = -100  # PyTorch's default of ignore_index


class ExpressionLoss(nn.Module):
    """Minus the sum over classes of f(x, y), with the calling convention of `nn.CrossEntropyLoss`.

    `ExpressionLoss("x*log(y)")` equals `nn.CrossEntropyLoss()`.  It is computed in float32 (float64 for float64 input), also
    under autocast.  log(y) and log(1 - y), of the leaf y itself, come from log-softmax or log-sigmoid; elsewhere y is
    clamped to [eps, 1 - eps].  A logit below -1e9 counts as -1e9: a class that is masked with -inf adds 0*log(y) = 0, and a
    loss that is infinite in PyTorch, because the true class is masked, is about 1e9.

    It pickles, and its `state_dict` names the expression and the link: a strict `load_state_dict` refuses a checkpoint that
    was trained with another loss, and takes one that names none.

    Args:
        expr: f(x, y), which is maximised: an expression, its text, or the name of a loss.
        reduction: over samples: "mean" (for class indices weighted by the target's weight, as in PyTorch), "sum" or "none".
        class_reduction: over classes: "sum" reproduces the paper's accuracies; "mean" divides by the number of classes.
        weight: shape (C,); multiplies the term of each class.
        ignore_index: samples with this class index do not count; only for class indices.
        label_smoothing: in [0, 1), mixes the label with the uniform distribution (softmax) or with 1/2 (sigmoid).
        eps: bound of the clamp.
        link: "softmax"; "sigmoid" for binary and multilabel tasks; "identity", or "regression".  With the last two, targets
            have the input's shape, as for `nn.BCEWithLogitsLoss` and `nn.MSELoss`.
        pos_weight: shape (C,), only for sigmoid: how often a positive label counts, as for `nn.BCEWithLogitsLoss`.  It adds
            (pos_weight - 1)*x*f(1, y) to the term of each class, which makes f(1, y) of x = 1 pos_weight*f(1, y).
        prior: shape (C,): the share of each class in the training labels; for a loss that uses `prior`, and only for that.
        loss: instead of `expr`: an expression that is minimised, such as "square(x - y)"; f is its negation.

    Attributes:
        progress: for a loss that uses `progress`: the share of the training that is done, from 0 at the first step to 1 at
            the last.  Set it before each step: `criterion.progress = step / (steps - 1)`.

    Raises:
        ExpressionError: for a bad expression.
        ConfigError: for a bad option.

    Shape:
        softmax: input (C) or (N, C, d1, ...); target: class indices () or (N, d1, ...), or probabilities of the input's
        shape.  Other links: input (N) or (N, C, ...), target of the same shape.
        Output: scalar, or (N, d1, ...) for reduction "none".
        In place of the input, `forward` takes what a model of transformers returns (`glo.loss.outputs`).
    """

    weight: Tensor | None
    pos_weight: Tensor | None
    prior: Tensor | None

    def __init__(
        self,
        expr: str | Expr | None = None,
        reduction: Reduction = "mean",
        class_reduction: Literal["sum", "mean"] = "sum",
        weight: Tensor | Sequence[float] | None = None,
        ignore_index: int = NOT_A_CLASS,
        label_smoothing: float = 0.0,
        eps: float = 1e-7,
        link: Link | str = Link.SOFTMAX,
        pos_weight: Tensor | Sequence[float] | None = None,
        *,
        prior: Tensor | Sequence[float] | None = None,
        loss: str | Expr | None = None,
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
        link = Link.named(link)
        if label_smoothing and link == Link.IDENTITY:
            raise ConfigError("label_smoothing is for probabilities: the identity link has none")
        if ignore_index != NOT_A_CLASS and link != Link.SOFTMAX:
            raise ConfigError(f"ignore_index is for class indices: the {link} link has none")
        if pos_weight is not None and link != Link.SIGMOID:
            raise ConfigError(f"pos_weight is for the sigmoid link, not for {link}")
        self.expr = maximised(expr, loss)
        self.reduction = reduction
        self.class_reduction = class_reduction
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        self.eps = eps
        self.link = link
        self.progress: float | None = None
        self._uses_log_not_y = uses_log_not_y(self.expr)
        self._context = self.expr.context
        check_prior(self.expr, link, prior)
        self.register_buffer("weight", _of_classes("weight", weight))
        self.register_buffer("pos_weight", _of_classes("pos_weight", pos_weight))
        self.register_buffer("prior", _of_classes("prior", prior))
        if type(self) in (ExpressionLoss, *_KINDS.values()):  # and not a class of the user's
            self.__class__ = cast("type[Self]", _KINDS.get(self.link, ExpressionLoss))

    def extra_repr(self) -> str:
        return f"{str(self.expr)!r}, link={self.link.value!r}, reduction={self.reduction!r}"

    def _get_name(self) -> str:
        return "ExpressionLoss"

    def activation(self, z: Tensor, dim: int = -1) -> Tensor:
        """The predictions y of outputs z: their softmax over `dim`, their sigmoid, or themselves.  Has the shape of z."""
        return LINKS[self.link].predict(z, dim)

    def get_extra_state(self) -> Tensor:
        """Link and expression in UTF-8, such as "softmax: log(y) - x/y": a tensor, since safetensors stores only tensors."""
        return torch.tensor(list(f"{self.link.value}: {self.expr}".encode()), dtype=torch.uint8, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing: a loss keeps the expression that it was made with.  `load_state_dict` has compared them."""

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        key, own = f"{prefix}_extra_state", self.get_extra_state()
        # A checkpoint of a model with another loss, such as nn.CrossEntropyLoss, has no such key.
        saved = state_dict.setdefault(key, own)
        if _text(saved) != _text(own):  # an unexpected key is an error unless the caller says strict=False
            unexpected_keys.append(f"{key}: trained with the loss '{_text(saved)}', not '{_text(own)}'")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def forward(
        self,
        input: Tensor | Any,  # noqa: A002 - the name nn.CrossEntropyLoss uses
        target: Tensor,
        num_items_in_batch: Tensor | float | None = None,
    ) -> Tensor:
        """The loss of `input` against `target`.

        Args:
            input: logits, or predictions for the identity link; or the outputs of a model (`glo.loss.outputs`).
            target: labels of the input, as the class describes.
            num_items_in_batch: with reduction "mean", the loss is the sum over samples divided by this number instead of the
                number of samples (or their weights) in this call.  It counts the elements of all targets, except ignored
                ones, of the micro batches whose gradients are added up, as the `Trainer` of transformers counts them: a
                sample whose target has a number for each of C classes counts C times.

        Raises:
            ConfigError: for a target that does not fit the input, for `num_items_in_batch` with another reduction, and for
                a loss with `progress` that was not set.
        """
        if not isinstance(input, Tensor):
            input, target = logits_and_labels(input, target, self.link)  # noqa: A001
        if num_items_in_batch is not None and self.reduction != "mean":
            raise ConfigError(f"num_items_in_batch is for reduction 'mean', which it replaces, not for {self.reduction!r}")
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
        if num_items_in_batch is not None:
            counted = losses if ignored is None else losses.masked_fill(ignored, 0.0)
            of_each = z.shape[dim] if classwise and not by_index else 1
            if isinstance(num_items_in_batch, Tensor):
                num_items_in_batch = num_items_in_batch.to(z.device)
            return counted.sum() * of_each / num_items_in_batch
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
        for name, factors in (("weight", self.weight), ("pos_weight", self.pos_weight), ("prior", self.prior)):
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
        context = self._values_of_context(z, dim)

        def f(label: Tensor) -> Tensor:
            return evaluate_dual(
                self.expr, torch, label, Dual(y), lambda number: z.new_tensor(number), *duals, context=context
            ).value.expand_as(z)

        if self.pos_weight is None:
            return f(x)
        return f(x) + (_along(self.pos_weight, z, dim) - 1) * x * f(torch.ones_like(x))

    def _values_of_context(self, z: Tensor, dim: int) -> dict[str, Tensor]:
        """The values of `prior` and `progress`, as far as the loss uses them, in shapes that broadcast with z."""
        context: dict[str, Tensor] = {}
        if self.prior is not None:
            context["prior"] = _along(self.prior, z, dim)
        if "progress" in self._context:
            if self.progress is None:
                raise ConfigError(
                    f"the loss '{self.expr}' changes with the progress of the training: before each step, set "
                    "criterion.progress = step / (steps - 1), which is 0 at the first step and 1 at the last"
                )
            context["progress"] = z.new_tensor(self.progress)
        return context

    def _reduce(self, losses: Tensor, target: Tensor, ignored: Tensor | None) -> Tensor:
        if ignored is None:
            return _REDUCTIONS[self.reduction](losses)
        losses = losses.masked_fill(ignored, 0.0)
        if self.reduction != "mean":
            return _REDUCTIONS[self.reduction](losses)
        counted = torch.ones_like(losses) if self.weight is None else self.weight.to(losses)[target]
        return losses.sum() / counted.masked_fill(ignored, 0.0).sum()


class SoftmaxExpressionLoss(ExpressionLoss, nn.CrossEntropyLoss):
    """An `ExpressionLoss` with the softmax link; see `_KINDS`."""


class SigmoidExpressionLoss(ExpressionLoss, nn.BCEWithLogitsLoss):
    """An `ExpressionLoss` with the sigmoid link; see `_KINDS`."""


# Libraries such as skorch find out by `isinstance` which function turns outputs into probabilities.  To them, a loss is the
# loss of PyTorch with the same link.
_KINDS: dict[Link, type[ExpressionLoss]] = {Link.SOFTMAX: SoftmaxExpressionLoss, Link.SIGMOID: SigmoidExpressionLoss}
_REDUCTIONS = {"mean": torch.mean, "sum": torch.sum, "none": lambda losses: losses}


def _text(state: Tensor) -> str:
    """What `ExpressionLoss.get_extra_state` has encoded."""
    return bytes(int(code) % 256 for code in state.tolist()).decode(errors="replace")


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
    return factors.to(z).reshape([-1 if axis == dim else 1 for axis in range(z.dim())])


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
