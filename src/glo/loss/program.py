"""Many different expressions as one short program of array operations.

Evaluating 80 expressions one by one costs hundreds of tiny kernel calls.  In the graph of all of them, nodes of the same
operation at the same level, from whatever expression, are computed by one call on all their rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glo.loss.graph import PRIMITIVES, Graph, Symbol


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
