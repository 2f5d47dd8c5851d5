"""Second derivatives of an expression, by dual numbers whose parts are dual numbers.

`evaluate_dual` works on every kind of number.  Given numbers that carry a derivative themselves, it gives the derivative of
the derivative.  Their arithmetic is that of the operator table, so no operator has a rule for its second derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from glo.expr.dual import Dual, apply_dual, evaluate_dual
from glo.expr.operators import OPERATORS
from glo.expr.tree import Expr

FUNCTIONS = {"minimum": "min", "maximum": "max"}  # functions of numpy by another name than their operator's


class Jet(NamedTuple):
    """A value with its first and second derivative; a derivative is None if it is 0 everywhere."""

    value: Any
    first: Any = None
    second: Any = None


class Number:
    """A dual number with the operators of Python.

    Attributes:
        dual: the value and its tangent.
    """

    # So that `array * number` is computed here, instead of by numpy for each element of the array.
    __array_ufunc__ = None

    def __init__(self, m: Any, dual: Dual) -> None:
        self._m = m
        self.dual = dual

    def apply(self, name: str, *arguments: Any) -> Number:
        """The operator of this name; arguments that are no `Number` are constants."""
        duals = tuple(argument.dual if isinstance(argument, Number) else Dual(argument) for argument in arguments)
        return Number(self._m, apply_dual(self._m, OPERATORS[name], duals))

    def __add__(self, other: Any) -> Number:
        return self.apply("+", self, other)

    def __radd__(self, other: Any) -> Number:
        return self.apply("+", other, self)

    def __sub__(self, other: Any) -> Number:
        return self.apply("-", self, other)

    def __rsub__(self, other: Any) -> Number:
        return self.apply("-", other, self)

    def __mul__(self, other: Any) -> Number:
        return self.apply("*", self, other)

    def __rmul__(self, other: Any) -> Number:
        return self.apply("*", other, self)

    def __truediv__(self, other: Any) -> Number:
        return self.apply("/", self, other)

    def __rtruediv__(self, other: Any) -> Number:
        return self.apply("/", other, self)

    def __pow__(self, other: Any) -> Number:
        return self.apply("pow", self, other)

    def __neg__(self) -> Number:
        return self.apply("neg", self)

    # Comparisons have no derivative: their results are arrays again.
    def __le__(self, other: Any) -> Any:
        return self.dual.value <= _value(other)

    def __lt__(self, other: Any) -> Any:
        return self.dual.value < _value(other)

    def __ge__(self, other: Any) -> Any:
        return self.dual.value >= _value(other)

    def __gt__(self, other: Any) -> Any:
        return self.dual.value > _value(other)


class _Functions:
    """Stands in for numpy while the parts of dual numbers are dual numbers."""

    def __init__(self, m: Any) -> None:
        self._m = m

    def sign(self, number: Number) -> Any:
        return self._m.sign(number.dual.value)

    def __getattr__(self, name: str) -> Callable[..., Number]:
        operator = FUNCTIONS.get(name, name)
        return lambda *arguments: arguments[0].apply(operator, *arguments)


def _value(number: Any) -> Any:
    return number.dual.value if isinstance(number, Number) else number


def second_order(
    expr: Expr,
    m: Any,
    x: Any,
    y: Jet,
    constant: Callable[[float], Any],
    log_y: Jet | None = None,
    log_not_y: Jet | None = None,
    *,
    context: Mapping[str, Any] | None = None,
) -> Jet:
    """f with its first and second derivative.

    Args:
        expr: the expression.
        m: module of array functions (numpy or compatible).
        x: the true label.
        y: the prediction; its derivatives decide by which variable f is differentiated.
        constant: turns a Python float into an array.
        log_y: replaces log(y) where log is applied to the leaf y itself.
        log_not_y: likewise replaces log(1 - y).
        context: the values of `prior` and `progress`, as far as the expression uses them.
    """
    known = {name: Number(m, Dual(value)) for name, value in (context or {}).items()}

    def number(value: float) -> Number:
        return Number(m, Dual(constant(value)))

    def nested(jet: Jet) -> Dual:
        tangent = None if jet.first is None else Number(m, Dual(jet.first, jet.second))
        return Dual(Number(m, Dual(jet.value, jet.first)), tangent)

    logs = [None if log is None else nested(log) for log in (log_y, log_not_y)]
    found = evaluate_dual(expr, _Functions(m), Number(m, Dual(x)), nested(y), number, *logs, context=known)
    if found.tangent is None:
        return Jet(found.value.dual.value)
    return Jet(found.value.dual.value, *found.tangent.dual)
