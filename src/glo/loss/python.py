"""An expression as Python code.

Tracing calls the operator table's own `value` with pieces of code instead of arrays, so no operator is defined a second
time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from glo.expr import Expr, fold
from glo.expr.dual import LOG_NOT_Y, LOG_Y
from glo.expr.operators import Operator
from glo.expr.tree import ATOM, NEGATIVE

POWER = 4


@dataclass(frozen=True, eq=False)
class Code:
    """A piece of code; arithmetic on it writes more code.

    Attributes:
        text: the code.
        binds: the precedence of its outermost operator.
        number: its value, if it is a number.
    """

    text: str
    binds: int = ATOM
    number: float | None = None

    @classmethod
    def of_number(cls, value: float) -> Code:
        """The code of a number, which may be infinite or NaN."""
        text = repr(value) if np.isfinite(value) else f'float("{value}")'
        return cls(text, NEGATIVE if text.startswith("-") else ATOM, value)

    def __add__(self, other: Code | float) -> Code:
        return _infix(self, "+", other, 1)

    def __radd__(self, other: float) -> Code:
        return _infix(other, "+", self, 1)

    def __sub__(self, other: Code | float) -> Code:
        return _infix(self, "-", other, 1)

    def __rsub__(self, other: float) -> Code:
        return _infix(other, "-", self, 1)

    def __mul__(self, other: Code | float) -> Code:
        if other is self:  # written once, so that nested squares do not grow; both libraries compute it as a product
            return Code(f"{self._below(POWER)} ** 2", POWER)
        return _infix(self, "*", other, 2)

    def __rmul__(self, other: float) -> Code:
        return _infix(other, "*", self, 2)

    def __truediv__(self, other: Code | float) -> Code:
        return _infix(self, "/", other, 2)

    def __rtruediv__(self, other: float) -> Code:
        return _infix(other, "/", self, 2)

    def __pow__(self, other: Code) -> Code:
        return Code(f"{self._below(POWER)} ** {other._below(POWER)}", POWER)

    def __neg__(self) -> Code:
        return Code(f"-{self._below(NEGATIVE - 1)}", NEGATIVE)

    def __le__(self, other: Code | float) -> Code:
        return _infix(self, "<=", other, 0)

    def __lt__(self, other: Code | float) -> Code:
        return _infix(self, "<", other, 0)

    def __ge__(self, other: Code | float) -> Code:
        return _infix(self, ">=", other, 0)

    def __gt__(self, other: Code | float) -> Code:
        return _infix(self, ">", other, 0)

    def _below(self, precedence: int) -> str:
        """The code as an operand that binds tighter than `precedence`."""
        return self.text if self.binds > precedence else f"({self.text})"


def _infix(left: Code | float, symbol: str, right: Code | float, precedence: int) -> Code:
    left, right = (a if isinstance(a, Code) else Code.of_number(a) for a in (left, right))
    return Code(f"{left._below(precedence - 1)} {symbol} {right._below(precedence)}", precedence)


class CodeFunctions:
    """Stands in for numpy or torch while an expression is traced; writes calls of their functions."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Callable[..., Code]:
        return lambda *arguments: Code(f"{self._module}.{name}({', '.join(argument.text for argument in arguments)})")


def code(expr: Expr, module: str, has_logs: bool = True) -> str:
    """A Python expression that calls the functions of `module`.

    Its variables are x and y, and prior and progress if the expression uses them; and, with `has_logs`, log_y and log_not_y
    in place of log(y) and log(1 - y).
    """

    def leaf(node: Expr) -> Code:
        return Code.of_number(node.value) if node.is_constant else Code(node.symbol)

    def array(argument: Code) -> Code:
        return argument if argument.number is None else Code(f"{module}.full_like(y, {argument.text})")

    def apply(operator: Operator, arguments: tuple[Code, ...]) -> Code:
        first, *others = arguments
        if all(argument.number is not None for argument in arguments):
            with np.errstate(all="ignore"):
                return Code.of_number(float(operator.value(np, *(np.float64(argument.number) for argument in arguments))))
        if operator.precedence is None:  # functions refuse numbers, and y**0.5 would be a square root
            first, *others = map(array, arguments)
        elif operator.name == "/" and first.number not in (1, -1):  # torch would compute 2/y as 2*(1/y)
            first = array(first)
        return operator.value(CodeFunctions(module), first, *others)

    logs = {LOG_Y: Code("log_y")} | dict.fromkeys(LOG_NOT_Y, Code("log_not_y"))
    return array(fold(expr, leaf, apply, logs if has_logs else None)).text
