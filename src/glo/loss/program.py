"""Many different expressions as one short program of array operations.

Evaluating 80 expressions one by one costs hundreds of tiny kernel calls.  Instead every expression is *traced* into one
graph of primitive operations (`Graph`); nodes of the same operation at the same level of the graph, from whatever
expression, are computed by one call on all their rows (`Program`).  Tracing is running the operator table's own `value` and
`partials` on symbols instead of arrays, so there is no second definition of any operator.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

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
    """One primitive operation on earlier nodes; or an input row ("y" of network 3); or a constant."""

    op: str
    arguments: tuple[int, ...] = ()
    row: int = -1
    constant: float = 0.0


class Graph:
    """A hash-consed graph: an operation that is traced twice is one node."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple, int] = {}
        self._finite: set[int] = set()
        self._nonzero: set[int] = set()

    def input(self, name: str, row: int, nonzero: bool = False) -> Symbol:
        """Row `row` of the input `name`; `nonzero` promises that it never holds 0."""
        symbol = self._intern(Node(name, row=row))
        self._finite.add(symbol.index)
        if nonzero:
            self._nonzero.add(symbol.index)
        return symbol

    def constant(self, value: float) -> Symbol:
        return self._intern(Node("constant", constant=float(value)))

    def apply(self, op: str, *arguments: Symbol | float) -> Symbol:
        symbols = [a if isinstance(a, Symbol) else self.constant(a) for a in arguments]
        operands = [self.nodes[symbol.index] for symbol in symbols]
        if all(operand.op == "constant" for operand in operands):
            with np.errstate(all="ignore"):
                return self.constant(PRIMITIVES[op][1](*(np.float64(operand.constant) for operand in operands)))
        simpler = self._simplify(op, symbols, operands)
        if simpler is not None:
            return simpler
        result = self._intern(Node(op, tuple(symbol.index for symbol in symbols)))
        self._infer(op, result.index, [symbol.index for symbol in symbols])
        return result

    def _simplify(self, op: str, symbols: list[Symbol], operands: list[Node]) -> Symbol | None:
        """1*a, a/1, and 0*a, 0/a where a is known to be a number (most of a loss vanishes where the label is 0)."""
        if op == "mul":
            for (a, node), (b, _) in (
                zip(symbols, operands, strict=True),
                zip(symbols[::-1], operands[::-1], strict=True),
            ):
                if node == ONE:
                    return b
                if node == ZERO and b.index in self._finite:
                    return a
        if op == "div":
            (a, b), (over, under) = symbols, operands
            if under == ONE:
                return a
            if over == ZERO and b.index in self._finite and b.index in self._nonzero:
                return a
        return None

    def _infer(self, op: str, result: int, arguments: list[int]) -> None:
        """Which nodes are finite, and not zero, whatever the inputs (overflow of float32 aside)."""
        finite = all(a in self._finite for a in arguments)
        nonzero = all(a in self._nonzero for a in arguments)
        if finite and (op in ("add", "sub", "mul", "neg", "abs") or (op == "div" and arguments[1] in self._nonzero)):
            self._finite.add(result)
        if finite and nonzero and op in ("mul", "div", "neg", "abs"):
            self._nonzero.add(result)

    def _intern(self, node: Node) -> Symbol:
        # repr tells 0.0 from -0.0, and makes NaN equal to itself.
        key = (node.op, node.arguments, node.row, repr(node.constant))
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
            if node.op == "constant" and np.isfinite(node.constant):
                self._finite.add(len(self.nodes) - 1)
                if node.constant != 0:
                    self._nonzero.add(len(self.nodes) - 1)
        return Symbol(self, self._known[key])


ZERO, ONE = Node("constant", constant=0.0), Node("constant", constant=1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """A node under construction; arithmetic on it adds nodes to its graph."""

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
    """Takes the place of numpy or torch while tracing."""

    names: ClassVar = ("log", "sqrt", "exp", "tanh", "abs", "sign", "minimum", "maximum")

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in self.names:
            raise AttributeError(f"operators may use {', '.join(self.names)}, not {name}")

        def apply(*arguments: Symbol) -> Symbol:
            return arguments[0].graph.apply(name, *arguments)

        return apply


@dataclass(frozen=True)
class Operand:
    """Where a batch of rows comes from: a column of constants, or rows of an input or of the register."""

    source: str
    rows: Tensor | slice | None = None
    constants: Tensor | None = None

    def load(self, sources: dict[str, Tensor]) -> Tensor:
        if self.constants is not None:
            return self.constants
        if isinstance(self.rows, slice):
            return sources[self.source][self.rows]
        assert self.rows is not None  # noqa: S101 - for the type checker: an operand has rows or constants
        return sources[self.source].index_select(0, self.rows)


@dataclass(frozen=True)
class Instruction:
    function: Callable[..., Any]
    operands: tuple[Operand, ...]
    out: slice


class Program:
    """The graph nodes that some outputs need, level by level, one instruction for all nodes of one kind.

    Args:
        graph: the traced graph.
        outputs: one node for each row of the result.
        device, dtype: of the inputs that it will be run on.
    """

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[Symbol],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._graph = graph
        self._options: dict[str, Any] = {"device": device, "dtype": dtype}
        self._register: dict[int, int] = {}
        self.instructions = [self._instruction(key[1], members) for key, members in self._groups(outputs)]
        self._outputs = [
            (torch.tensor(rows, device=device), self._operand([outputs[row].index for row in rows]))
            for rows in self._output_rows(outputs)
        ]
        self.rows = len(outputs)

    def run(self, inputs: dict[str, Tensor], columns: int) -> Tensor:
        """Compute the outputs, shape (rows, columns), from inputs of shape (networks, columns)."""
        register = torch.empty(len(self._register), columns, **self._options)
        sources = {**inputs, "register": register}
        for instruction in self.instructions:
            operands = [operand.load(sources) for operand in instruction.operands]
            instruction.function(*operands, out=register[instruction.out])
        result = torch.empty(self.rows, columns, **self._options)
        for rows, operand in self._outputs:
            result[rows] = operand.load(sources)
        return result

    def _groups(self, outputs: Sequence[Symbol]) -> list[tuple[tuple, list[int]]]:
        """Needed operations by (level, operation, kinds of operand)."""
        levels: dict[int, int] = {}

        def level(index: int) -> int:
            if index not in levels:
                arguments = self._graph.nodes[index].arguments
                levels[index] = 1 + max(map(level, arguments)) if arguments else 0
            return levels[index]

        for output in outputs:
            level(output.index)
        groups: dict[tuple, list[int]] = defaultdict(list)
        for index in sorted(levels):
            node = self._graph.nodes[index]
            if node.arguments:
                groups[levels[index], node.op, tuple(map(self._source, node.arguments))].append(index)
        return sorted(groups.items())

    def _source(self, index: int) -> str:
        node = self._graph.nodes[index]
        return "register" if node.arguments else node.op

    def _instruction(self, op: str, members: list[int]) -> Instruction:
        """Give the members the next places of the register, ordered so that operands are in order where possible."""
        arguments = {index: self._graph.nodes[index].arguments for index in members}
        members = sorted(members, key=lambda index: [self._place(argument) for argument in arguments[index]])
        operands = [self._operand(list(column)) for column in zip(*(arguments[i] for i in members), strict=True)]
        start = len(self._register)
        self._register.update({index: start + offset for offset, index in enumerate(members)})
        return Instruction(PRIMITIVES[op][0], tuple(operands), slice(start, start + len(members)))

    def _place(self, index: int) -> int:
        node = self._graph.nodes[index]
        return self._register[index] if node.arguments else node.row

    def _operand(self, indices: list[int]) -> Operand:
        source = self._source(indices[0])
        if source == "constant":
            column = [[self._graph.nodes[index].constant] for index in indices]
            return Operand(source, constants=torch.tensor(column, **self._options))
        places = [self._place(index) for index in indices]
        if places == list(range(places[0], places[0] + len(places))):
            return Operand(source, slice(places[0], places[0] + len(places)))
        return Operand(source, torch.tensor(places, device=self._options["device"]))

    def _output_rows(self, outputs: Sequence[Symbol]) -> list[list[int]]:
        """Output rows grouped by where they come from."""
        rows: dict[str, list[int]] = defaultdict(list)
        for row, output in enumerate(outputs):
            rows[self._source(output.index)].append(row)
        return list(rows.values())
