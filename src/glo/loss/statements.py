"""A computation as Python statements: traced with symbols instead of arrays, each part computed once."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from glo.loss.python import Code

INFIX: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv, "pow": operator.pow,
    "le": operator.le, "lt": operator.lt, "ge": operator.ge, "gt": operator.gt,
}  # fmt: skip
FUNCTIONS = ("log", "sqrt", "exp", "tanh", "abs", "sign", "minimum", "maximum")
LONGEST = 60  # longer code gets a statement of its own


@dataclass(frozen=True, slots=True)
class Step:
    """An operation on earlier steps, an input, or a number."""

    op: str
    arguments: tuple[int, ...] = ()
    text: str = ""  # of an input its name, of a number its repr, which distinguishes 0.0 from -0.0


class Tracer:
    """Records operations; equal operations on equal arguments are one step.  Stands in for numpy."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._indices: dict[Step, int] = {}

    def input(self, name: str) -> Symbol:
        """A variable of the code."""
        return self._record(Step("input", text=name))

    def constant(self, value: float) -> Symbol:
        """A number."""
        return self._record(Step("number", text=repr(float(value))))

    def apply(self, op: str, *arguments: Symbol | float) -> Symbol:
        """Record an operation; that of numbers is a number, and a factor of 1 is left out."""
        symbols = [a if isinstance(a, Symbol) else self.constant(a) for a in arguments]
        numbers = [self._number(symbol) for symbol in symbols]
        known = [number for number in numbers if number is not None]
        if len(known) == len(numbers):
            with np.errstate(all="ignore"):
                return self.constant(float(_function(op)(*map(np.float64, known))))
        if op == "mul" and 1.0 in numbers:
            return symbols[1 - numbers.index(1.0)]
        return self._record(Step(op, tuple(symbol.index for symbol in symbols)))

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name not in FUNCTIONS:
            raise AttributeError(f"operators may use {', '.join(FUNCTIONS)}, not {name}")
        return lambda *arguments: self.apply(name, *arguments)

    def _number(self, symbol: Symbol) -> float | None:
        step = self.steps[symbol.index]
        return float(step.text) if step.op == "number" else None

    def _record(self, step: Step) -> Symbol:
        if step not in self._indices:
            self._indices[step] = len(self.steps)
            self.steps.append(step)
        return Symbol(self, self._indices[step])


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """Refers to a step of a tracer; arithmetic on symbols records more steps."""

    tracer: Tracer
    index: int

    def __add__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("add", self, other)

    def __radd__(self, other: float) -> Symbol:
        return self.tracer.apply("add", other, self)

    def __sub__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("sub", self, other)

    def __rsub__(self, other: float) -> Symbol:
        return self.tracer.apply("sub", other, self)

    def __mul__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("mul", self, other)

    def __rmul__(self, other: float) -> Symbol:
        return self.tracer.apply("mul", other, self)

    def __truediv__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("div", self, other)

    def __rtruediv__(self, other: float) -> Symbol:
        return self.tracer.apply("div", other, self)

    def __pow__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("pow", self, other)

    def __neg__(self) -> Symbol:
        return self.tracer.apply("neg", self)

    def __le__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("le", self, other)

    def __lt__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("lt", self, other)

    def __ge__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("ge", self, other)

    def __gt__(self, other: Symbol | float) -> Symbol:
        return self.tracer.apply("gt", self, other)


def statements(results: Sequence[Symbol], array: str) -> tuple[list[str], list[str]]:
    """Assignments, and the code of the results after them; a result that is a number is filled into the shape of `array`."""
    steps = results[0].tracer.steps
    needed: set[int] = set()
    waiting = [result.index for result in results]
    while waiting:
        if (index := waiting.pop()) not in needed:
            needed.add(index)
            waiting += steps[index].arguments
    uses = Counter(argument for index in needed for argument in steps[index].arguments)
    uses.update(result.index for result in results)
    lines: list[str] = []
    codes: dict[int, Code] = {}
    for index in sorted(needed):  # a step comes after its arguments
        step = steps[index]
        code = _code(step, [codes[argument] for argument in step.arguments])
        if step.arguments and (uses[index] > 1 or len(code.text) > LONGEST):
            name = f"t{len(lines) + 1}"
            lines.append(f"{name} = {code.text}")
            code = Code(name)
        codes[index] = code
    found = [codes[result.index] for result in results]
    return lines, [code.text if code.number is None else f"np.full_like({array}, {code.text})" for code in found]


def _code(step: Step, arguments: list[Code]) -> Code:
    if step.op == "input":
        return Code(step.text)
    if step.op == "number":
        return Code.of_number(float(step.text))
    if step.op == "neg" or step.op in INFIX:
        return _function(step.op)(*arguments)
    return Code(f"np.{step.op}({', '.join(argument.text for argument in arguments)})")


def _function(op: str) -> Callable[..., Any]:
    return operator.neg if op == "neg" else INFIX.get(op) or getattr(np, op)
