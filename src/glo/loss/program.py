"""Many different expressions as one short program of array operations.

To evaluate 80 expressions one by one takes hundreds of tiny kernel calls.  In the graph of all expressions, nodes with the
same operation whose arguments are ready, from different expressions, are computed by one call on all their rows, which makes
about 20 calls (docs/decisions/0009-one-register.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glo.loss.graph import PRIMITIVES, Graph, Node, Symbol

# IEEE 754 defines the result of these to the bit, so numpy, whose calls cost less, computes them on the register's memory.
# Others, such as log and sqrt, round differently in numpy and PyTorch; so does the sign of NaN.
EXACT = ("add", "sub", "mul", "div", "neg", "abs")
SMALL = 2**15  # elements up to which PyTorch uses one thread for an operation, as numpy does


def has_arrays(tensor: Tensor) -> bool:
    """Whether numpy may compute in the memory of a tensor; not where calls are recorded, as in a CUDA graph."""
    return tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)


def one_row(network: int) -> range:
    """The rows of a network that has one, in the order of the networks."""
    return range(network, network + 1)


@dataclass(frozen=True)
class Instruction:
    """One call of a function on rows of the register.

    Attributes:
        op: one of `PRIMITIVES`.
        operands: a slice for each operand if all are consecutive rows; else one index of the rows to gather, those of the
            first operand first.
        out: the rows of the result, which are consecutive.
    """

    op: str
    operands: tuple[slice, ...] | Tensor
    out: slice


class Program:
    """The operations that compute some nodes of a graph.  All values are rows of one tensor, the register.

    A node has its rows as long as its value is needed.  Inputs and constants have rows too, so that all operands of an
    operation are rows of the register.

    Args:
        graph: the traced graph.
        outputs: one node for each network.
        device, dtype: of the inputs.
        rows_of: the rows of a network in the inputs and in the result; by default one row for each.
    """

    def __init__(
        self,
        graph: Graph,
        outputs: Sequence[Symbol],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        rows_of: Callable[[int], range] = one_row,
    ) -> None:
        self._graph, self._rows_of = graph, rows_of
        self._options: dict[str, Any] = {"device": device, "dtype": dtype}
        self._rows: dict[int, range] = {}  # of each node, in the register
        self._taken: list[bool] = []  # for each row of the register, whether its value is still needed
        needed = self._needed(outputs)
        self._sizes: dict[int, int] = {}  # how many rows each node has
        for index in needed:
            self._sizes[index] = self._size(graph.nodes[index])
        constants = [index for index in needed if graph.nodes[index].op == "constant"]
        self._constants = self._place(constants), [graph.nodes[index].constant for index in constants]
        self._inputs = self._place_inputs(needed)
        self.instructions = self._instructions(schedule(graph, needed), {output.index for output in outputs})
        self._outputs = self._index(
            [row for k, output in enumerate(outputs) for row in self._spread(output.index, len(rows_of(k)))]
        )
        self._columns = -1
        self._steps: list[Callable[[], Any]] = []

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs that the program needs."""
        return [name for name, _, _ in self._inputs]

    def run(self, inputs: dict[str, Tensor], columns: int) -> Tensor:
        """Compute the outputs, shape (rows, columns), from inputs of shape (networks, columns)."""
        if columns != self._columns:
            self._allocate(columns)
        for name, rows, place in self._inputs:
            torch.index_select(inputs[name], 0, rows, out=self._register[place])
        with np.errstate(all="ignore"):
            for step in self._steps:
                step()
        return self._register.index_select(0, self._outputs)

    def calls(self, inputs: dict[str, Tensor], out: Tensor) -> list[Callable[[], Any]]:
        """What `run` does, as calls that are bound to their tensors, in float32 or float64 on a CPU.

        Args:
            inputs: of shape (networks, columns), contiguous; the calls read them.
            out: of shape (rows, columns); the calls write it.
        """
        self._allocate(out.shape[1])
        register = self._register.numpy()
        calls: list[Callable[[], Any]] = [
            partial(inputs[name].numpy().take, rows.numpy(), 0, register[place], "clip")  # "clip" only saves a copy
            for name, rows, place in self._inputs
        ]
        return [*calls, *self._steps, partial(register.take, self._outputs.numpy(), 0, out.numpy(), "clip")]

    def _allocate(self, columns: int) -> None:
        """Allocate the register and a buffer for gathered operands, and bind each instruction to views of them."""
        self._columns = columns
        self._register = torch.empty(len(self._taken), columns, **self._options)
        place, values = self._constants
        self._register[place] = torch.tensor(values, **self._options).reshape(-1, 1)
        longest = max((len(i.operands) for i in self.instructions if isinstance(i.operands, Tensor)), default=0)
        tensors = self._register, torch.empty(longest, columns, **self._options)  # the register and gathered operands
        arrays = (tensors[0].numpy(), tensors[1].numpy()) if has_arrays(self._register) else None
        self._steps = []
        for instruction in self.instructions:
            rows, size = instruction.operands, instruction.out.stop - instruction.out.start
            small = arrays if size * columns <= SMALL else None
            if isinstance(rows, Tensor):
                if small:
                    self._steps.append(partial(small[0].take, rows.numpy(), 0, small[1][: len(rows)], "clip"))
                else:
                    self._steps.append(partial(torch.index_select, tensors[0], 0, rows, out=tensors[1][: len(rows)]))
            exact = small if instruction.op in EXACT else None
            register, gathered = exact or tensors
            if isinstance(rows, Tensor):
                operands = [gathered[start : start + size] for start in range(0, len(rows), size)]
            else:
                operands = [register[operand] for operand in rows]
            function = PRIMITIVES[instruction.op][1 if exact else 0]
            self._steps.append(partial(function, *operands, out=register[instruction.out]))

    def _needed(self, outputs: Sequence[Symbol]) -> list[int]:
        """The outputs and all nodes that they depend on, in topological order."""
        needed: set[int] = set()
        pending = [output.index for output in outputs]
        while pending:
            index = pending.pop()
            if index not in needed:
                needed.add(index)
                pending += self._graph.nodes[index].arguments
        return sorted(needed)  # a node has a higher index than its arguments

    def _size(self, node: Node) -> int:
        if node.arguments:
            return max(self._sizes[argument] for argument in node.arguments)
        return 1 if node.op == "constant" else len(self._rows_of(node.row))

    def _place(self, indices: Sequence[int]) -> slice:
        """Give nodes the first free block of consecutive rows; if there is none, extend the register."""
        start, free, size = 0, 0, sum(self._sizes[index] for index in indices)
        while free < size:
            row = start + free
            if row == len(self._taken):
                self._taken.append(False)
            start, free = (row + 1, 0) if self._taken[row] else (start, free + 1)
        self._taken[start : start + size] = [True] * size
        stop = start
        for index in indices:
            self._rows[index] = range(stop, stop + self._sizes[index])
            stop += self._sizes[index]
        return slice(start, stop)

    def _place_inputs(self, needed: Sequence[int]) -> list[tuple[str, Tensor, slice]]:
        """For each input: its name, the rows of it that are needed, and their rows in the register."""
        by_name: dict[str, list[int]] = defaultdict(list)
        nodes = self._graph.nodes
        for index in needed:
            node = nodes[index]
            if not node.arguments and node.op != "constant":
                by_name[node.op].append(index)
        return [
            (name, self._index([row for i in indices for row in self._rows_of(nodes[i].row)]), self._place(indices))
            for name, indices in by_name.items()
        ]

    def _instructions(self, order: Sequence[tuple[str, list[int]]], outputs: set[int]) -> list[Instruction]:
        """Assign rows to the schedule.  A row is reused after its last use, which keeps the register in the CPU's cache."""
        nodes = self._graph.nodes
        last = {
            argument: number for number, (_, group) in enumerate(order) for i in group for argument in nodes[i].arguments
        }
        instructions: list[Instruction] = []
        for number, (op, group) in enumerate(order):
            instructions.append(self._instruction(op, group))
            for argument in {a for index in group for a in nodes[index].arguments}:
                if last[argument] == number and argument not in outputs and nodes[argument].op != "constant":
                    for row in self._rows[argument]:
                        self._taken[row] = False
        return instructions

    def _instruction(self, op: str, nodes: Sequence[int]) -> Instruction:
        """Place the nodes in the order of their operands, so that later operands are more often consecutive rows."""
        arguments = {index: self._graph.nodes[index].arguments for index in nodes}
        ordered = sorted(nodes, key=lambda index: [self._rows[argument].start for argument in arguments[index]])
        columns = [
            [row for index in ordered for row in self._spread(arguments[index][k], self._sizes[index])]
            for k in range(len(arguments[ordered[0]]))
        ]
        slices = tuple(consecutive for column in columns if (consecutive := _as_slice(column)))
        operands = slices if len(slices) == len(columns) else self._index([row for column in columns for row in column])
        return Instruction(op, operands, self._place(ordered))

    def _spread(self, index: int, size: int) -> Sequence[int]:
        """The rows of a node where so many are wanted: the one row of a constant is repeated."""
        rows = self._rows[index]
        return rows if len(rows) == size else [rows.start] * size

    def _index(self, rows: Sequence[int]) -> Tensor:
        return torch.tensor(rows, dtype=torch.int64, device=self._options["device"])


def _as_slice(rows: Sequence[int]) -> slice | None:
    """The rows as a slice, if they are consecutive."""
    consecutive = slice(rows[0], rows[0] + len(rows))
    return consecutive if list(rows) == list(range(consecutive.start, consecutive.stop)) else None


def schedule(graph: Graph, needed: Sequence[int]) -> list[tuple[str, list[int]]]:
    """An order of operations that computes many nodes per call: a list of (operation, nodes), arguments first.

    A node is ready if its arguments are computed; the height of a node is the longest path from it to an output.  The next
    operation is the one with the most ready nodes of the greatest height; it is applied to all its ready nodes.
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
