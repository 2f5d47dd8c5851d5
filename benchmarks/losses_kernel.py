"""The losses of a whole population, value and gradient, in one launch of one Triton kernel.

The kernel is an interpreter.  Each expression is traced by glo's own graph (`glo.loss.graph`), for the labels 0 and 1, and
becomes two short lists of instructions: the number of a primitive, two operands and a result.  So no operator is defined a
second time; only the primitives are written again, in `_apply`.  One program instance handles a few samples of one network.
It computes the softmax, runs the instructions for the label 0 on all classes and those for the label 1 on the right class
of each sample, and multiplies the derivative by the softmax's Jacobian.

The alternative is source that is generated for each set of losses, with a branch for each.  Its intermediate values stay in
registers, so one launch should be faster.  But each generation of a search has new losses: to compile 80 of them takes 2.2 s
(for an H100, on one CPU thread), each time.  The interpreter is compiled once, in 0.7 s.  Its intermediate values are in a
scratch buffer, because Triton cannot index registers: a few KiB for each instance, which should stay in the core's cache.

It is for softmax, class indices and float32 only, and not for losses with log(1 - y), `prior` or `progress`.  Without a GPU
it runs, very slowly, in Triton's interpreter for CPUs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # Triton reads it when it is imported, and when a kernel is defined

import triton
import triton.language as tl

from glo.errors import ConfigError
from glo.expr import Dual, Expr, evaluate_dual
from glo.expr.dual import LOG_ZERO, uses_log_not_y
from glo.loss.graph import PRIMITIVES, Graph, Symbol, SymbolFunctions
from glo.loss.links import bounds_outside

INPUTS = ("y", "dy", "log_y")  # in the first slots
NUMBERS = {name: number for number, name in enumerate(PRIMITIVES)}
# The same numbers inside the kernel; a primitive that is added or moved must be added or moved here and in `_apply`.
ADD, SUB, MUL, DIV, POW, NEG, LOG, SQRT, EXP, TANH, ABS, SIGN, MINIMUM, MAXIMUM, LE, LT, GE, GT = (
    tl.constexpr(number) for number in NUMBERS.values()
)
LOWEST_LOGIT = tl.constexpr(LOG_ZERO)
NAN = tl.constexpr(tl.PropagateNan.ALL)
Instruction = tuple[int, int, int, int]  # the number of a primitive, two operands, and the slot of the result


class LossesKernel:
    """One loss for each of P networks, as `PopulationLoss` with its defaults computes it.

    Args:
        expressions: P expressions.
        eps: bound of the clamp of y.
        device: of the outputs.
        samples: how many a program instance handles, a power of two.
        warps: of a program instance.

    Raises:
        ConfigError: for an expression that uses log(1 - y), `prior` or `progress`.
    """

    def __init__(
        self,
        expressions: Sequence[Expr],
        eps: float = 1e-7,
        device: torch.device | str = "cpu",
        samples: int = 16,
        warps: int = 2,
    ) -> None:
        constants: dict[str, int] = {}
        instructions, programs = list[Instruction](), list[tuple[int, int, int, int]]()
        for expression in expressions:
            for label in (0.0, 1.0):
                graph, outputs = trace(expression, label)
                added, places = assemble(graph, outputs, constants)
                programs.append((len(instructions), len(instructions) + len(added), *places))
                instructions += added
        self._networks, self._samples, self._warps = len(expressions), samples, warps
        self._slots = max([len(INPUTS), *(result + 1 for *_, result in instructions)])
        self._instructions = torch.tensor(instructions, dtype=torch.int32, device=device)
        self._programs = torch.tensor(programs, dtype=torch.int32, device=device)
        self._constants = torch.tensor([float(text) for text in constants], dtype=torch.float32, device=device)
        self._ones = torch.ones(len(expressions), device=device)
        self._bounds = (eps, 1 - eps, *bounds_outside(eps, double=False))

    def __call__(self, z: Tensor, target: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The losses and their derivatives by the outputs.

        Args:
            z: outputs, shape (P, N, C), float32, of any strides.
            target: class indices, shape (N), each at least 0 and below C; the kernel does not check them.
            weights: a factor of each network's derivative, P numbers.

        Returns:
            The losses, shape (P), and the derivative, of the shape and the strides of z.  The kernel writes one sum for each
            network and block of samples; these are added by a second, tiny launch, so that the result is deterministic.

        Raises:
            ConfigError: for other shapes or types.
        """
        if z.dim() != 3 or len(z) != self._networks or z.dtype != torch.float32:
            raise ConfigError(f"outputs are {z.dtype} of shape {tuple(z.shape)}: give float32, ({self._networks}, N, C)")
        _, samples, classes = z.shape
        if target.shape != (samples,) or target.is_floating_point():
            raise ConfigError(f"a target of shape {tuple(target.shape)} does not fit {samples} outputs: give class indices")
        padded, blocks = triton.next_power_of_2(classes), triton.cdiv(samples, self._samples)
        gradient = torch.empty_like(z)
        sums = z.new_empty(self._networks, blocks)
        scratch = z.new_empty(self._networks, blocks, self._slots, self._samples * padded)
        factors = self._ones if weights is None else weights.reshape(self._networks).contiguous()
        with np.errstate(all="ignore"):  # Triton's interpreter computes with numpy
            _losses[(blocks, self._networks)](
                z, target.contiguous(), factors, gradient, sums,
                self._instructions, self._programs, self._constants, scratch,
                1 / samples, samples, self._slots, *z.stride(), *gradient.stride(),
                *self._bounds, classes, padded, self._samples, num_warps=self._warps, enable_fp_fusion=False,
            )  # fmt: skip
        return sums.sum(1), gradient


def trace(expression: Expr, label: float) -> tuple[Graph, tuple[Symbol, Symbol]]:
    """The graph of a loss for one hard label, and the nodes of f and of its derivative by log(y).

    Raises:
        ConfigError: for an expression that the kernel does not support.
    """
    if expression.context or uses_log_not_y(expression):
        raise ConfigError(f"the kernel has no log(1 - y), prior or progress, as in '{expression}': use PopulationLoss")
    graph = Graph()
    y = Dual(graph.input("y", 0, positive=True), graph.input("dy", 0))
    log_y = Dual(graph.input("log_y", 0), graph.constant(1.0))
    f = evaluate_dual(expression, SymbolFunctions(), graph.constant(label), y, graph.constant, log_y)
    return graph, (f.value, graph.constant(0.0) if f.tangent is None else f.tangent)


def assemble(graph: Graph, outputs: Sequence[Symbol], constants: dict[str, int]) -> tuple[list[Instruction], list[int]]:
    """The instructions that compute some nodes, and the operands that stand for these.

    An operand is a slot, or -1 - k for the constant k.

    Args:
        graph: its nodes come after their arguments.
        outputs: the nodes to compute.
        constants: the number of each constant, by its text, which also tells 0.0 from -0.0; new ones are added.
    """
    last = dict.fromkeys((output.index for output in outputs), len(graph.nodes))  # the node that uses each one last
    for index in reversed(range(len(graph.nodes))):
        if index in last:
            for argument in graph.nodes[index].arguments:
                last.setdefault(argument, index)
    instructions, places, free, slots = list[Instruction](), dict[int, int](), list[int](), len(INPUTS)
    for index in sorted(last):
        node = graph.nodes[index]
        if node.op == "constant":
            places[index] = -1 - constants.setdefault(repr(node.constant), len(constants))
        elif node.op in INPUTS:
            places[index] = INPUTS.index(node.op)
        else:
            if not free:
                free, slots = [slots], slots + 1
            places[index] = free.pop()  # never the place of an argument: another thread may still read that
            first, second = places[node.arguments[0]], places[node.arguments[-1]]
            instructions.append((NUMBERS[node.op], first, second, places[index]))
            used_up = [places[argument] for argument in set(node.arguments) if last[argument] == index]
            free += [place for place in used_up if place >= len(INPUTS)]
    return instructions, [places[output.index] for output in outputs]


@triton.jit(do_not_specialize=["scale", "samples", "slots", "z_p", "z_n", "z_c", "g_p", "g_n", "g_c"])
def _losses(
    z, target, factors, gradient, sums, instructions, programs, constants, scratch,
    scale, samples, slots, z_p, z_n, z_c, g_p, g_n, g_c,
    LOW: tl.constexpr, HIGH: tl.constexpr, BELOW: tl.constexpr, ABOVE: tl.constexpr,
    C: tl.constexpr, CLASSES: tl.constexpr, SAMPLES: tl.constexpr,
):  # fmt: skip
    """A block of samples of one network, its C classes padded to CLASSES; as `_softmax_duals` in `glo.loss.links`."""
    block, network = tl.program_id(0), tl.program_id(1)
    rows, columns = tl.arange(0, SAMPLES), tl.arange(0, CLASSES)[None, :]
    sample = block * SAMPLES + rows
    exists = (sample < samples)[:, None] & (columns < C)
    right = columns == tl.load(target + sample, mask=sample < samples, other=0)[:, None]

    logits = tl.load(z + network * z_p + sample[:, None] * z_n + columns * z_c, mask=exists, other=0.0)
    logits = tl.where(columns < C, tl.maximum(logits, LOWEST_LOGIT, NAN), -float("inf"))
    shifted = logits - tl.max(logits, 1)[:, None]
    log_y = shifted - tl.log(tl.sum(tl.exp(shifted), 1))[:, None]
    raw = tl.exp(log_y)
    y = tl.minimum(tl.maximum(raw, LOW, NAN), HIGH, NAN)
    dy = tl.where((raw <= BELOW) | (raw >= ABOVE), 0.0, y)

    size: tl.constexpr = SAMPLES * CLASSES
    memory = scratch + (network * tl.num_programs(0) + block).to(tl.int64) * slots * size
    program = programs + 8 * network
    f, g = _run(program, instructions, constants, memory, rows[:, None] * CLASSES + columns, y, dy, log_y, size)
    y, dy, log_y = _only(right, y), _only(right, dy), _only(right, log_y)
    f_right, g_right = _run(program + 4, instructions, constants, memory, rows, y, dy, log_y, size)
    f, g = tl.where(right, f_right[:, None], f), tl.where(right, g_right[:, None], g)

    tl.store(sums + network * tl.num_programs(0) + block, -scale * tl.sum(tl.where(exists, f, 0.0)))
    g = tl.where(exists, g * (-scale * tl.load(factors + network)), 0.0)
    found = tl.where(logits <= LOWEST_LOGIT, 0.0, g - raw * tl.sum(g, 1)[:, None])
    tl.store(gradient + network * g_p + sample[:, None] * g_n + columns * g_c, found, mask=exists)


@triton.jit
def _only(right, values):
    """The value of the right class of each sample."""
    return tl.sum(tl.where(right, values, 0.0), 1)


@triton.jit
def _run(program, instructions, constants, memory, elements, y, dy, log_y, size: tl.constexpr):
    """f and its derivative, by a program: its first instruction, its end, and the operands of its two results."""
    tl.debug_barrier()  # what an earlier program has left here is read
    tl.store(memory + elements, y)
    tl.store(memory + size + elements, dy)
    tl.store(memory + 2 * size + elements, log_y)
    tl.debug_barrier()
    for number in range(tl.load(program), tl.load(program + 1)):
        instruction = instructions + 4 * number
        a = _read(constants, memory, elements, tl.load(instruction + 1), size)
        b = _read(constants, memory, elements, tl.load(instruction + 2), size)
        tl.store(memory + tl.load(instruction + 3) * size + elements, _apply(tl.load(instruction), a, b))
        tl.debug_barrier()
    f = _read(constants, memory, elements, tl.load(program + 2), size)
    return f, _read(constants, memory, elements, tl.load(program + 3), size)


@triton.jit
def _read(constants, memory, elements, operand, size: tl.constexpr):
    if operand < 0:
        value = tl.zeros(elements.shape, tl.float32) + tl.load(constants - 1 - operand)
    else:
        value = tl.load(memory + operand * size + elements)
    return value


@triton.jit
def _apply(op, a, b):
    """A primitive of `PRIMITIVES`, as PyTorch computes it: comparisons are 0 or 1, and minima and maxima pass NaN on."""
    if op == ADD:
        out = a + b
    elif op == SUB:
        out = a - b
    elif op == MUL:
        out = a * b
    elif op == DIV:
        out = tl.div_rn(a, b)
    elif op == POW:
        out = _power(a, b)
    elif op == NEG:
        out = -a
    elif op == LOG:
        out = tl.log(a)
    elif op == SQRT:
        out = tl.sqrt_rn(a)
    elif op == EXP:
        out = tl.exp(a)
    elif op == TANH:
        out = _tanh(a)
    elif op == ABS:
        out = tl.abs(a)
    elif op == SIGN:
        out = (a > 0).to(tl.float32) - (a < 0).to(tl.float32)
    elif op == MINIMUM:
        out = tl.minimum(a, b, NAN)
    elif op == MAXIMUM:
        out = tl.maximum(a, b, NAN)
    elif op == LE:
        out = (a <= b).to(tl.float32)
    elif op == LT:
        out = (a < b).to(tl.float32)
    elif op == GE:
        out = (a >= b).to(tl.float32)
    else:
        out = (a > b).to(tl.float32)
    return out


@triton.jit
def _power(a, b):
    """a**b by logarithms.  libdevice has a better one, but it is not there without a GPU."""
    size = tl.exp2(b * tl.log2(tl.abs(a)))
    whole, odd = b == tl.floor(b), tl.floor(b * 0.5) != b * 0.5
    signed = tl.where(whole, tl.where(odd, -size, size), float("nan"))
    return tl.where(b == 0, 1.0, tl.where(a < 0, signed, size))


@triton.jit
def _tanh(a):
    """tanh by exp, and near 0, where that loses digits, by its series."""
    square = a * a
    series = a * (1 + square * (-1 / 3 + square * (2 / 15)))
    return tl.where(tl.abs(a) < 0.1, series, 1 - 2 / (tl.exp(2 * a) + 1))
