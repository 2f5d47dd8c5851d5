"""The losses of a whole population, value and gradient, without a Python loop over its members.

f is applied to each class separately, so one forward pass with dual numbers gives its derivative, and the product with the
softmax's Jacobian is explicit (`links`): there is no autograd through the loss.  For hard labels f is specialised to x = 0
and x = 1 before anything is computed; many terms of these two functions of y vanish.

Losses with log(1 - y) need other derivatives of the link, so they are computed apart: the results of all others do not
depend on whether there are any.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from glo.errors import ConfigError
from glo.expr import Dual, Expr, evaluate_dual
from glo.expr.dual import uses_log_not_y
from glo.loss import program
from glo.loss.graph import Graph, Symbol, SymbolFunctions
from glo.loss.links import LINKS, LINKS_WITH_LOG_NOT_Y, LinkFunctions, Predictions
from glo.loss.prior import check_prior
from glo.loss.program import Program
from glo.loss.repeated import SoftmaxGradient, rows_of
from glo.records import Link

INPUTS = ("y", "dy", "log_y", "dlog_y", "log_not_y", "dlog_not_y")  # of a program, by the names of `Predictions`
# The values of `prior` and `progress`, each of shape (1, C*N), by the number of classes, of samples, and the dtype.
Context = Callable[[int, int, torch.dtype], dict[str, Tensor]]


class PopulationLoss:
    """One loss for each of P networks, which share their batches.

    For each network, it agrees with `ExpressionLoss` (reduction "mean").

    Args:
        expressions: P expressions.
        link: how outputs become predictions.
        class_reduction: "sum" or "mean" over classes.
        eps: bound of the clamp of y.
        device: the device of the outputs.
        weight: a factor of the term of each class, C numbers.
        prior: the share of each class in the training labels, C numbers; for expressions that use it.

    Attributes:
        progress: the share of the training that is done, a tensor with one element; whoever trains sets it before a step.

    Raises:
        ConfigError: if an expression uses `prior`, and there is none.
    """

    def __init__(
        self,
        expressions: Sequence[Expr],
        link: Link = Link.SOFTMAX,
        class_reduction: Literal["sum", "mean"] = "sum",
        eps: float = 1e-7,
        device: torch.device | str = "cpu",
        weight: Sequence[float] | None = None,
        prior: Sequence[float] = (),
    ) -> None:
        using = [expression for expression in expressions if expression.uses("prior")]
        for expression in using:
            check_prior(expression, link, prior)
        self.progress = torch.zeros(1, device=device)
        context = partial(_context, self.progress, torch.tensor(prior if using else (), device=device))
        self._class_reduction = class_reduction
        self._weight = None if weight is None else torch.tensor(weight, device=device).reshape(-1, 1)
        networks = range(len(expressions))
        apart = [row for row in networks if link is not Link.IDENTITY and uses_log_not_y(expressions[row])]
        others = [row for row in networks if row not in apart]
        self._parts: list[tuple[Tensor | None, _Part]] = []  # the networks, or None for all of them, and their losses
        for rows, functions in ((others, LINKS[link]), (apart, LINKS_WITH_LOG_NOT_Y[link])):
            if rows:
                part = _Part([expressions[row] for row in rows], link, functions, eps, device, context)
                self._parts.append((None if len(rows) == len(networks) else torch.tensor(rows, device=device), part))
        self._places = torch.tensor(others + apart, device=device).argsort()  # of the networks in the parts' results

    def gradient(self, z: Tensor, target: Tensor, weights: Tensor | float = 1.0, shares: Tensor | None = None) -> Tensor:
        """Derivative of each network's loss by its outputs.

        Args:
            z: outputs, shape (P, N, C).
            target: class indices (N) for softmax, or labels (N, C); the same for all networks.
            weights: factor of the derivative; a tensor of shape (P, 1, 1) has one for each network.
            shares: of each sample in the loss, shape (N); by default 1/N.  A sample of share 0 has no derivative.

        Returns:
            Tensor of shape (P, N, C).

        Raises:
            ConfigError: for a target of another shape.
        """
        scale = self._scale(z, shares)

        def gradient(part: _Part, rows: Tensor | None) -> Tensor:
            factor = -scale * (_rows(weights, rows) if isinstance(weights, Tensor) else weights)
            found = part.gradient(_rows(z, rows), target, factor)
            return found if shares is None else found.masked_fill_((shares == 0).reshape(1, -1, 1), 0.0)

        return self._joined(gradient)

    def value(self, z: Tensor, target: Tensor, shares: Tensor | None = None) -> Tensor:
        """Each network's loss, shape (P); arguments as for `gradient`."""
        scale = self._scale(z, shares)

        def value(part: _Part, rows: Tensor | None) -> Tensor:
            terms = part.value(_rows(z, rows), target) * scale
            terms = terms if shares is None else terms.masked_fill_(shares == 0, 0.0)
            return -terms.sum((1, 2))

        return self._joined(value)

    def _scale(self, z: Tensor, shares: Tensor | None) -> Tensor | float:
        """What f is multiplied by, of a shape that fits (P, C, N)."""
        _, samples, classes = z.shape
        divisor = classes if self._class_reduction == "mean" else 1
        scale = 1 / (samples * divisor) if shares is None else shares / divisor
        return scale if self._weight is None else self._weight * scale

    def _joined(self, compute: Callable[[_Part, Tensor | None], Tensor]) -> Tensor:
        """The results of all parts, in the order of the networks."""
        results = [compute(part, rows) for rows, part in self._parts]
        return results[0] if len(results) == 1 else torch.cat(results).index_select(0, self._places)


def _context(progress: Tensor, prior: Tensor, classes: int, samples: int, dtype: torch.dtype) -> dict[str, Tensor]:
    if len(prior) not in (0, classes):
        raise ConfigError(f"prior has {len(prior)} numbers for {classes} classes: give one for each class")
    found = {"progress": progress.to(dtype).expand(1, classes * samples)}
    if len(prior) > 0:
        found["prior"] = prior.to(dtype).repeat_interleave(samples).unsqueeze(0)
    return found


def _rows(tensor: Tensor, rows: Tensor | None) -> Tensor:
    return tensor if rows is None else tensor[rows]


class _Part:
    """Expressions that use the same functions of the link."""

    def __init__(
        self,
        expressions: Sequence[Expr],
        link: Link,
        functions: LinkFunctions,
        eps: float,
        device: torch.device | str,
        context: Context,
    ) -> None:
        self._expressions = expressions
        self._uses_context = any(expression.context for expression in expressions)
        self._repeatable = functions is LINKS[Link.SOFTMAX] and not self._uses_context  # as a `SoftmaxGradient`
        self._repeated: SoftmaxGradient | None = None
        self._context = context
        self._link = link
        self._functions = functions
        self._eps = eps
        self._device = device
        self._traces: dict[float | None, tuple[Graph, list[Dual]]] = {}
        self._programs: dict[tuple[str, float | None], Program] = {}

    def gradient(self, z: Tensor, target: Tensor, factor: Tensor | float) -> Tensor:
        """The derivative of the sum of f over classes and samples by z, times a factor."""
        self._check_target(z, target)
        if self._repeatable and self._by_index(target) and program.has_arrays(z):
            z = z.transpose(1, 2)
            return self._softmax_gradient(z)(z, target, factor).transpose(1, 2)
        predictions = self._predict(z)
        tangents = self._evaluate("tangent", predictions, target).mul_(factor)
        return predictions.pullback(tangents).transpose(1, 2)

    def _softmax_gradient(self, z: Tensor) -> SoftmaxGradient:
        """For outputs of this shape (P, C, N); it is made again for another one."""
        if self._repeated is None or self._repeated.fits != (z.shape, z.dtype):
            graph, duals = self._trace((0.0, 1.0), frozenset(("y", "dy", "log_y")))
            rows = rows_of(len(self._expressions), z.shape[1])
            self._repeated = SoftmaxGradient(Program(graph, _tangents(graph, duals), "cpu", z.dtype, rows), z, self._eps)
        return self._repeated

    def value(self, z: Tensor, target: Tensor) -> Tensor:
        """f for each class and sample, shape (P, C, N)."""
        self._check_target(z, target)
        return self._evaluate("value", self._predict(z), target)

    def _by_index(self, target: Tensor) -> bool:
        return self._link is Link.SOFTMAX and not target.is_floating_point()

    def _check_target(self, z: Tensor, target: Tensor) -> None:
        if target.shape != (z.shape[1:2] if self._by_index(target) else z.shape[1:]):
            raise ConfigError(
                f"a target of shape {tuple(target.shape)} does not fit {z.shape[1]} outputs of {z.shape[2]} classes: "
                "give class indices, or a target of the outputs' shape"
            )

    def _predict(self, z: Tensor) -> Predictions:
        # Inside, classes come before samples: a log-softmax over a short last dimension is 15 times slower on a CPU.
        return self._functions.duals(z.transpose(1, 2).clone(memory_format=torch.contiguous_format), self._eps, 1)

    def _evaluate(self, part: Literal["value", "tangent"], predictions: Predictions, target: Tensor) -> Tensor:
        """f or its derivative by u, shape (P, C, N)."""
        shape, dtype = predictions.y.shape, predictions.y.dtype
        tensors = {name: getattr(predictions, name) for name in INPUTS}
        inputs = {name: tensor.flatten(1) for name, tensor in tensors.items() if tensor is not None}
        if self._uses_context:
            inputs |= self._context(shape[1], shape[2], dtype)
        if not self._by_index(target):
            inputs["x"] = target.to(dtype).T.expand(shape).flatten(1)
            return self._run(part, None, inputs).reshape(shape)
        # The columns of the right classes, in (C, N).
        right = target.long() * shape[2] + torch.arange(shape[2], device=target.device)
        result = self._run(part, 0.0, inputs)
        return result.index_copy_(1, right, self._run(part, 1.0, inputs, right)).reshape(shape)

    def _run(
        self,
        part: Literal["value", "tangent"],
        label: float | None,
        inputs: dict[str, Tensor],
        columns: Tensor | None = None,
    ) -> Tensor:
        """Compute f or its derivative for inputs of shape (P, columns), or for only some of the columns."""
        key = (part, label)
        if key not in self._programs:
            self._programs[key] = self._compile(part, label, frozenset(inputs), inputs["y"].dtype)
        compiled = self._programs[key]
        used = {name: inputs[name] if columns is None else inputs[name].index_select(1, columns) for name in compiled.inputs}
        return compiled.run(used, len(columns) if columns is not None else inputs["y"].shape[1])

    def _trace(self, labels: Sequence[float | None], inputs: frozenset[str]) -> tuple[Graph, list[Dual]]:
        """Trace all expressions into one graph, for each of some hard labels, or for an input x if a label is None."""
        graph = Graph()
        probability = self._link is not Link.IDENTITY
        duals: list[Dual] = []
        context = {"prior": graph.input("prior", 0, positive=True), "progress": graph.input("progress", 0)}
        for row, (label, expression) in enumerate(itertools.product(labels, self._expressions)):
            x = graph.constant(label) if label is not None else graph.input("x", row)
            y = Dual(graph.input("y", row, positive=probability), graph.input("dy", row))
            logs: list[Dual | None] = []
            for name in ("log_y", "log_not_y"):
                slope = graph.input(f"d{name}", row) if f"d{name}" in inputs else graph.constant(1.0)
                logs.append(Dual(graph.input(name, row), slope) if name in inputs else None)
            duals.append(evaluate_dual(expression, SymbolFunctions(), x, y, graph.constant, *logs, context=context))
        return graph, duals

    def _compile(
        self, part: Literal["value", "tangent"], label: float | None, inputs: frozenset[str], dtype: torch.dtype
    ) -> Program:
        if label not in self._traces:
            self._traces[label] = self._trace((label,), inputs)
        graph, duals = self._traces[label]
        outputs = [dual.value for dual in duals] if part == "value" else _tangents(graph, duals)
        return Program(graph, outputs, self._device, dtype)


def _tangents(graph: Graph, duals: Sequence[Dual]) -> list[Symbol]:
    zero = graph.constant(0.0)
    return [zero if dual.tangent is None else dual.tangent for dual in duals]
