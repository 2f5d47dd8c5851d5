"""Many expressions as one graph of primitive array operations.

Tracing calls the operator table's own `value` and `partials` with symbols instead of arrays, so no operator is defined a
second time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch

# The operations that operators may use, each as (function of torch, function of numpy).
PRIMITIVES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "add": (torch.add, np.add),
    "sub": (torch.sub, np.subtract),
    "mul": (torch.mul, np.multiply),
    "div": (torch.div, np.divide),
    "pow": (torch.pow, np.power),
    "neg": (torch.neg, np.negative),
    "log": (torch.log, np.log),
    "sqrt": (torch.sqrt, np.sqrt),
    "exp": (torch.exp, np.exp),
    "tanh": (torch.tanh, np.tanh),
    "abs": (torch.abs, np.abs),
    "sign": (torch.sign, np.sign),
    "minimum": (torch.minimum, np.minimum),
    "maximum": (torch.maximum, np.maximum),
    "le": (torch.le, np.less_equal),
    "lt": (torch.lt, np.less),
    "ge": (torch.ge, np.greater_equal),
    "gt": (torch.gt, np.greater),
}


@dataclass(frozen=True, slots=True)
class Node:
    """A primitive operation on earlier nodes, a row of an input ("y" of network 3), or a constant."""

    op: str
    arguments: tuple[int, ...] = ()
    row: int = -1
    constant: float = 0.0


ZERO, ONE = Node("constant", constant=0.0), Node("constant", constant=1.0)


class Graph:
    """A hash-consed graph: equal operations on the same arguments are one node.

    The graph tracks which nodes are finite, or finite and positive, for all inputs (except for overflow of float32).  It
    simplifies 0 times a finite node, and 0 over a positive one, to 0; so most of a loss vanishes where the label is 0.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._indices: dict[tuple, int] = {}
        self._finite: set[int] = set()
        self._positive: set[int] = set()

    def input(self, name: str, row: int, positive: bool = False) -> Symbol:
        """Row `row` of the input `name`; with `positive`, the caller promises that all its values are above 0."""
        symbol = self._intern(name, row=row)
        self._finite.add(symbol.index)
        if positive:
            self._positive.add(symbol.index)
        return symbol

    def constant(self, value: float) -> Symbol:
        symbol = self._intern("constant", constant=float(value))
        if math.isfinite(value):
            self._finite.add(symbol.index)
            if value > 0:
                self._positive.add(symbol.index)
        return symbol

    def apply(self, op: str, *arguments: Symbol | float) -> Symbol:
        """Add an operation; constant arguments give a constant, and 1*a, a/1, 0*a and 0/a are simplified."""
        symbols = [a if isinstance(a, Symbol) else self.constant(a) for a in arguments]
        operands = [self.nodes[symbol.index] for symbol in symbols]
        if operands[0].op == operands[-1].op == "constant":
            with np.errstate(all="ignore"):
                return self.constant(PRIMITIVES[op][1](*(np.float64(operand.constant) for operand in operands)))
        if op == "mul":
            for one, other in ((0, 1), (1, 0)):
                if operands[one] == ONE:
                    return symbols[other]
                if operands[one] == ZERO and symbols[other].index in self._finite:
                    return symbols[one]
        if op == "div" and (operands[1] == ONE or (operands[0] == ZERO and symbols[1].index in self._positive)):
            return symbols[0]
        arguments_of_node = tuple([symbol.index for symbol in symbols])
        known = len(self.nodes)
        result = self._intern(op, arguments_of_node)
        if result.index == known:
            self._infer(op, known, set(arguments_of_node), symbols[-1].index)
        return result

    def _infer(self, op: str, result: int, arguments: set[int], last: int) -> None:
        finite, positive = arguments <= self._finite, arguments <= self._positive
        if finite and (
            op in ("add", "sub", "mul", "neg", "abs") or (op in ("div", "sqrt", "log") and last in self._positive)
        ):
            self._finite.add(result)
        if positive and op in ("add", "mul", "div", "sqrt", "abs"):
            self._positive.add(result)

    def _intern(self, op: str, arguments: tuple[int, ...] = (), row: int = -1, constant: float = 0.0) -> Symbol:
        # repr distinguishes 0.0 from -0.0, and makes NaN equal to itself.
        key = (op, arguments, row, repr(constant) if op == "constant" else "")
        index = self._indices.get(key)
        if index is None:
            index = self._indices[key] = len(self.nodes)
            self.nodes.append(Node(op, arguments, row, constant))
        return Symbol(self, index)


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """Refers to a node of a graph; arithmetic on symbols adds nodes to the graph."""

    graph: Graph
    index: int

    def __add__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("add", self, other)

    def __radd__(self, other: float) -> Symbol:
        return self.graph.apply("add", other, self)

    def __sub__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("sub", self, other)

    def __rsub__(self, other: float) -> Symbol:
        return self.graph.apply("sub", other, self)

    def __mul__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("mul", self, other)

    def __rmul__(self, other: float) -> Symbol:
        return self.graph.apply("mul", other, self)

    def __truediv__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("div", self, other)

    def __rtruediv__(self, other: float) -> Symbol:
        return self.graph.apply("div", other, self)

    def __pow__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("pow", self, other)

    def __neg__(self) -> Symbol:
        return self.graph.apply("neg", self)

    def __le__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("le", self, other)

    def __lt__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("lt", self, other)

    def __ge__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("ge", self, other)

    def __gt__(self, other: Symbol | float) -> Symbol:
        return self.graph.apply("gt", self, other)


class SymbolFunctions:
    """Stands in for numpy or torch while expressions are traced."""

    names: ClassVar = ("log", "sqrt", "exp", "tanh", "abs", "sign", "minimum", "maximum")

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in self.names:
            raise AttributeError(f"operators may use {', '.join(self.names)}, not {name}")

        def apply(*arguments: Symbol) -> Symbol:
            return arguments[0].graph.apply(name, *arguments)

        return apply
