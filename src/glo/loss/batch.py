"""The losses of a whole population, value and gradient, without a Python loop over its members.

f is applied to each class separately, so one forward pass with dual numbers gives its derivative, and the product with the
softmax's Jacobian is explicit (`links`): there is no autograd through the loss.  For hard labels f is specialised to x = 0
and x = 1 before anything is computed; many terms of these two functions of y vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from glo.expr import Dual, Expr, evaluate_dual
from glo.loss.graph import Graph, SymbolFunctions
from glo.loss.links import LINKS, Predictions
from glo.loss.program import Program
from glo.records import Link


class PopulationLoss:
    """One loss for each of P networks, which share their batches.

    For each network, it agrees with `ExpressionLoss` (reduction "mean").

    Args:
        expressions: P expressions.
        link: how outputs become predictions.
        class_reduction: "sum" or "mean" over classes.
        eps: bound of the clamp of y.
        device: the device of the outputs.
    """

    def __init__(
        self,
        expressions: Sequence[Expr],
        link: Link = Link.SOFTMAX,
        class_reduction: Literal["sum", "mean"] = "sum",
        eps: float = 1e-7,
        device: torch.device | str = "cpu",
    ) -> None:
        self._expressions = list(expressions)
        self._link = link
        self._class_reduction = class_reduction
        self._eps = eps
        self._device = device
        self._traces: dict[float | None, tuple[Graph, list[Dual]]] = {}
        self._programs: dict[tuple[str, float | None], Program] = {}

    def gradient(self, z: Tensor, target: Tensor, weights: Tensor | float = 1.0) -> Tensor:
        """Derivative of each network's loss by its outputs.

        Args:
            z: outputs, shape (P, N, C).
            target: class indices (N), or labels (N, C); the same for all networks.
            weights: factor of the derivative; a tensor of shape (P, 1, 1) has one for each network.

        Returns:
            Tensor of shape (P, N, C).
        """
        # Inside, classes come before samples: a log-softmax over a short last dimension is 15 times slower on a CPU.
        duals = LINKS[self._link].duals(z.transpose(1, 2).contiguous(), self._eps, 1)
        tangents = self._evaluate("tangent", duals, target).mul_(-self._scale(z) * weights)
        return LINKS[self._link].pullback(tangents, duals.raw, 1).transpose(1, 2)

    def value(self, z: Tensor, target: Tensor) -> Tensor:
        """Each network's loss, shape (P); arguments as for `gradient`."""
        duals = LINKS[self._link].duals(z.transpose(1, 2).contiguous(), self._eps, 1)
        return self._evaluate("value", duals, target).sum((1, 2)).mul_(-self._scale(z))

    def _scale(self, z: Tensor) -> float:
        _, samples, classes = z.shape
        return 1 / (samples * (classes if self._class_reduction == "mean" else 1))

    def _evaluate(self, part: Literal["value", "tangent"], duals: Predictions, target: Tensor) -> Tensor:
        """f or its derivative by u, shape (P, C, N)."""
        shape = duals.y.shape
        tensors = {"y": duals.y, "dy": duals.dy, "log_y": duals.log_y, "dlog_y": duals.dlog_y}
        inputs = {name: tensor.flatten(1) for name, tensor in tensors.items() if tensor is not None}
        if target.is_floating_point():
            inputs["x"] = target.T.expand(shape).flatten(1)
            return self._run(part, None, inputs).reshape(shape)
        right = target * shape[2] + torch.arange(shape[2], device=target.device)  # columns of the right classes, in (C, N)
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
        program = self._programs[key]
        used = {name: inputs[name] if columns is None else inputs[name].index_select(1, columns) for name in program.inputs}
        return program.run(used, len(columns) if columns is not None else inputs["y"].shape[1])

    def _trace(self, label: float | None, inputs: frozenset[str]) -> tuple[Graph, list[Dual]]:
        """Trace all expressions into one graph, for a given hard label, or for an input x if `label` is None."""
        graph = Graph()
        probability = self._link is not Link.IDENTITY
        duals: list[Dual] = []
        for row, expression in enumerate(self._expressions):
            x = graph.constant(label) if label is not None else graph.input("x", row)
            y = Dual(graph.input("y", row, positive=probability), graph.input("dy", row))
            log_y = None
            if "log_y" in inputs:
                slope = graph.input("dlog_y", row) if "dlog_y" in inputs else graph.constant(1.0)
                log_y = Dual(graph.input("log_y", row), slope)
            duals.append(evaluate_dual(expression, SymbolFunctions(), x, y, graph.constant, log_y))
        return graph, duals

    def _compile(
        self, part: Literal["value", "tangent"], label: float | None, inputs: frozenset[str], dtype: torch.dtype
    ) -> Program:
        if label not in self._traces:
            self._traces[label] = self._trace(label, inputs)
        graph, duals = self._traces[label]
        zero = graph.constant(0.0)
        outputs = [dual.value if part == "value" else zero if dual.tangent is None else dual.tangent for dual in duals]
        return Program(graph, outputs, self._device, dtype)
