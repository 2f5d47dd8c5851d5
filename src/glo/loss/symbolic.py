"""Expressions for sympy that sympy would take too long to simplify.

sympy simplifies each operation as it is written.  For most losses that takes milliseconds, but the time is exponential in
the number of nested functions, and a power of an integer is computed exactly, however many digits it has.  Importing this
module imports sympy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
from sympy.printing.str import StrPrinter

from glo.expr import Expr, fold
from glo.expr.operators import Operator
from glo.expr.tree import MAX_INTEGER

MAX_NODES = 60
MAX_NESTED = 5  # functions inside one another; with 9, some expressions take seconds
MAX_BITS = 2_000  # of an exact number


# --- whether sympy is fast ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cost:
    """What decides how long sympy takes.

    Attributes:
        nested: how many functions are inside one another.
        bits: bound of the bits of an exact number, and of the degree.
        value: of a subtree without x and y, which sympy computes with complex numbers; None for others.
        finite: whether all subtrees without x and y are finite.
    """

    nested: int
    bits: float
    value: np.complex128 | None
    finite: bool


def is_quickly_simplified(expr: Expr) -> bool:
    """Whether sympy simplifies an expression in a fraction of a second."""
    if expr.nodes > MAX_NODES:
        return False
    cost = fold(expr, _leaf_cost, _node_cost)
    return cost.finite and cost.nested <= MAX_NESTED and cost.bits <= MAX_BITS


def _leaf_cost(leaf: Expr) -> _Cost:
    if not leaf.is_constant:
        return _Cost(0, 1, None, True)
    size = abs(leaf.value)
    return _Cost(0, 53 + (abs(math.log2(size)) if size else 0), np.complex128(leaf.value), True)


def _node_cost(operator: Operator, arguments: tuple[_Cost, ...]) -> _Cost:
    nested = max(argument.nested for argument in arguments) + (operator.precedence is None)
    if operator.name == "pow" and (exponent := arguments[1].value) is not None:
        bits = arguments[0].bits * max(1.0, float(abs(exponent)))
    else:
        bits = sum(argument.bits for argument in arguments) * (2 if operator.name == "square" else 1)
    value = _value(operator, [argument.value for argument in arguments])
    # sympy keeps a number such as exp(exp(9)) exact, and computes all its digits to compare it with another.
    finite = all(argument.finite for argument in arguments) and (value is None or bool(np.isfinite(value)))
    return _Cost(nested, bits, None if value is None else np.complex128(value), finite)


def _value(operator: Operator, numbers: Sequence[Any]) -> Any:
    """The operator's value by numpy's arithmetic; None if an argument is."""
    if any(number is None for number in numbers):
        return None
    with np.errstate(all="ignore"):
        return operator.value(np, *numbers)


# --- expressions as they are written --------------------------------------------------------------------------------


class Unsimplified(sympy.UnevaluatedExpr):
    """An expression that sympy has not simplified; `doit()` simplifies it, however long that takes."""

    def _sympystr(self, printer: StrPrinter) -> str:
        """The terms and factors as they are written: to order them, sympy would simplify them."""
        return StrPrinter(printer._settings | {"order": "none"}).doprint(self.args[0])


def unsimplified(expr: Expr, functions: Any, leaves: Mapping[str, sympy.Symbol]) -> Unsimplified:
    """The expression as it is written, except that subtrees without x and y are numbers, computed in float64.

    Args:
        expr: the expression.
        functions: stands in for numpy; its functions make `Written` of `Written`.
        leaves: sympy's symbols by the names of the leaves.
    """
    symbols = {name: Written(symbol) for name, symbol in leaves.items()}

    def apply(operator: Operator, arguments: tuple[Written, ...]) -> Written:
        numbers = [argument.number for argument in arguments]
        if (value := _value(operator, numbers)) is not None:
            return _number(value)
        unknown = any(number is not None and math.isnan(number) for number in numbers)
        return _number(math.nan) if unknown else operator.value(functions, *arguments)

    return Unsimplified(fold(expr, lambda leaf: symbols.get(leaf.symbol) or _number(leaf.value), apply).expr)


@dataclass(frozen=True, eq=False)
class Written:
    """A part of such an expression: arithmetic on it writes the operation down.

    Attributes:
        expr: sympy's expression.
        number: its value, if it is a number.
    """

    expr: Any
    number: np.float64 | None = None

    def __add__(self, other: Written | float) -> Written:
        # min and max add 0.0 for the sign of zero, which sympy does not have.
        return written("Add", self, other) if isinstance(other, Written) or other != 0 else self

    def __radd__(self, other: float) -> Written:
        return written("Add", other, self)

    def __sub__(self, other: Written | float) -> Written:
        return written("Add", self, -_as_written(other))

    def __rsub__(self, other: float) -> Written:
        return written("Add", other, -self)

    def __mul__(self, other: Written | float) -> Written:
        if other is self:  # else nested squares would double at each level
            return written("Pow", self, 2)
        return written("Mul", self, other)

    def __rmul__(self, other: float) -> Written:
        return written("Mul", other, self)

    def __truediv__(self, other: Written | float) -> Written:
        return written("Mul", self, written("Pow", other, -1))

    def __rtruediv__(self, other: float) -> Written:
        return written("Mul", other, written("Pow", self, -1))

    def __pow__(self, other: Written | float) -> Written:
        return written("Pow", self, other)

    def __neg__(self) -> Written:
        return written("Mul", -1, self) if self.number is None else _number(-self.number)


def written(function: str, *arguments: Written | float) -> Written:
    """A function of sympy, which does not simplify it."""
    return Written(getattr(sympy, function)(*(_as_written(a).expr for a in arguments), evaluate=False))


def _as_written(value: Written | float) -> Written:
    return value if isinstance(value, Written) else _number(value)


def _number(value: float) -> Written:
    """A number for sympy: an integer is exact if float64 holds all integers of its size."""
    if math.isnan(value):
        number = sympy.nan
    elif math.isinf(value):
        number = sympy.oo if value > 0 else -sympy.oo
    elif float(value).is_integer() and abs(value) <= MAX_INTEGER:
        number = sympy.Integer(int(value))
    else:
        number = sympy.Float(value)
    return Written(number, np.float64(value))
