"""Many different expressions as one short program of array operations.

Evaluating 80 expressions one by one costs hundreds of tiny kernel calls.  In the graph of all of them, nodes of the same
operation that are ready at the same time, from whatever expression, are computed by one call on all their rows: about 20
calls where there were 80 levels and kinds (docs/decisions/0009-one-register.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from glo.loss.graph import PRIMITIVES, Graph, Symbol


@dataclass(frozen=True)
class Instruction:
    """One call: for each operand as many rows of the register in, rows in a row out.

    Operands that all lie in a row are slices; else they are gathered by one index, the rows of the first operand first.
    """

    function: Callable[..., Any]
    operands: tuple[slice, ...] | Tensor
    out: slice


class Program:
    """The graph nodes that some outputs need, each in a row of one register while it is needed.

    Inputs and constants have rows as well, so that an operation never asks where its operands come from.

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
        self._rows: dict[int, int] = {}
        self._taken: list[bool] = []  # of the rows of the register, which hold something that is still needed
        needed = self._needed(outputs)
        constants = [index for index in needed if graph.nodes[index].op == "constant"]
        self._constants = self._place(constants), [graph.nodes[index].constant for index in constants]
        self._inputs = self._place_inputs(needed)
        self.instructions = self._instructions(schedule(graph, needed), {output.index for output in outputs})
        self._outputs = self._index([self._rows[output.index] for output in outputs])
        self._columns = -1
        self._steps: list[Callable[[], Any]] = []

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs that it needs."""
        return [name for name, _, _ in self._inputs]

    def run(self, inputs: dict[str, Tensor], columns: int) -> Tensor:
        """Compute the outputs, shape (rows, columns), from inputs of shape (networks, columns)."""
        if columns != self._columns:
            self._allocate(columns)
        for name, rows, place in self._inputs:
            torch.index_select(inputs[name], 0, rows, out=self._register[place])
        for step in self._steps:
            step()
        return self._register.index_select(0, self._outputs)

    def _allocate(self, columns: int) -> None:
        """The register, a place for gathered operands, and each instruction as a call on fixed views of them."""
        self._columns = columns
        self._register = torch.empty(len(self._taken), columns, **self._options)
        place, values = self._constants
        self._register[place] = torch.tensor(values, **self._options).reshape(-1, 1)
        longest = max((len(i.operands) for i in self.instructions if isinstance(i.operands, Tensor)), default=0)
        room = torch.empty(longest, columns, **self._options)
        self._steps = []
        for instruction in self.instructions:
            rows, out = instruction.operands, self._register[instruction.out]
            if isinstance(rows, Tensor):
                gathered = room[: len(rows)]
                self._steps.append(partial(torch.index_select, self._register, 0, rows, out=gathered))
                operands = gathered.split(len(out))
            else:
                operands = tuple(self._register[operand] for operand in rows)
            self._steps.append(partial(instruction.function, *operands, out=out))

    def _needed(self, outputs: Sequence[Symbol]) -> list[int]:
        """The outputs and all that they depend on, arguments before what uses them."""
        needed: set[int] = set()
        left = [output.index for output in outputs]
        while left:
            index = left.pop()
            if index not in needed:
                needed.add(index)
                left += self._graph.nodes[index].arguments
        return sorted(needed)  # a node is traced after its arguments

    def _place(self, indices: Sequence[int]) -> slice:
        """Give nodes the first rows in a row that are free, at the end if there are none."""
        start, free = 0, 0
        while free < len(indices):
            row = start + free
            if row == len(self._taken):
                self._taken.append(False)
            start, free = (row + 1, 0) if self._taken[row] else (start, free + 1)
        for row, index in enumerate(indices, start):
            self._rows[index], self._taken[row] = row, True
        return slice(start, start + len(indices))

    def _place_inputs(self, needed: Sequence[int]) -> list[tuple[str, Tensor, slice]]:
        """For each input its rows that are needed, and where they go."""
        by_name: dict[str, list[int]] = defaultdict(list)
        for index in needed:
            node = self._graph.nodes[index]
            if not node.arguments and node.op != "constant":
                by_name[node.op].append(index)
        return [
            (name, self._index([self._graph.nodes[i].row for i in indices]), self._place(indices))
            for name, indices in by_name.items()
        ]

    def _instructions(self, order: Sequence[tuple[str, list[int]]], outputs: set[int]) -> list[Instruction]:
        """The schedule with rows; a row is free again when the last that needs it is done, which keeps it all in cache."""
        nodes = self._graph.nodes
        last = {
            argument: number for number, (_, group) in enumerate(order) for i in group for argument in nodes[i].arguments
        }
        instructions: list[Instruction] = []
        for number, (op, group) in enumerate(order):
            instructions.append(self._instruction(op, group))
            for argument in {a for index in group for a in nodes[index].arguments}:
                if last[argument] == number and argument not in outputs and nodes[argument].op != "constant":
                    self._taken[self._rows[argument]] = False
        return instructions

    def _instruction(self, op: str, nodes: Sequence[int]) -> Instruction:
        """The nodes get rows in the order of their operands, which then more often lie in a row too."""
        arguments = {index: self._graph.nodes[index].arguments for index in nodes}
        ordered = sorted(nodes, key=lambda index: [self._rows[argument] for argument in arguments[index]])
        columns = [[self._rows[i] for i in column] for column in zip(*(arguments[i] for i in ordered), strict=True)]
        slices = tuple(in_a_row for column in columns if (in_a_row := _as_slice(column)))
        operands = slices if len(slices) == len(columns) else self._index([row for column in columns for row in column])
        return Instruction(PRIMITIVES[op][0], operands, self._place(ordered))

    def _index(self, rows: Sequence[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.int64, device=self._options["device"])


def _as_slice(rows: Sequence[int]) -> slice | None:
    """The rows as a slice, if they are one after the other."""
    in_a_row = slice(rows[0], rows[0] + len(rows))
    return in_a_row if list(rows) == list(range(in_a_row.start, in_a_row.stop)) else None


def schedule(graph: Graph, needed: Sequence[int]) -> list[tuple[str, list[int]]]:
    """Operations in an order that computes many nodes at once: (operation, nodes), none before its arguments.

    Of the nodes that are ready, those with the longest way to go are urgent; the operation with the most urgent nodes is
    next, with all nodes of it that are ready.
    """
    users: dict[int, list[int]] = defaultdict(list)
    missing: dict[int, int] = {}
    ready: dict[str, list[int]] = defaultdict(list)
    for index in needed:
        operands = {a for a in graph.nodes[index].arguments if graph.nodes[a].arguments}
        missing[index] = len(operands)
        for operand in operands:
            users[operand].append(index)
        if graph.nodes[index].arguments and not operands:
            ready[graph.nodes[index].op].append(index)
    height: dict[int, int] = {}
    for index in reversed(needed):
        height[index] = 1 + max((height[user] for user in users[index]), default=0)
    order: list[tuple[str, list[int]]] = []
    while ready:
        top = max(height[index] for nodes in ready.values() for index in nodes)
        op = max(ready, key=lambda op: (sum(height[index] == top for index in ready[op]), len(ready[op]), op))
        nodes = ready.pop(op)
        order.append((op, nodes))
        for index in nodes:
            for user in users[index]:
                missing[user] -= 1
                if not missing[user]:
                    ready[graph.nodes[user].op].append(user)
    return order
