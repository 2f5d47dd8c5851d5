"""Value and derivative of an expression in one pass, by dual numbers (forward-mode differentiation).

The same code works on every kind of array: numpy for the fingerprint, the tracer for the evaluation of whole populations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from glo.errors import ConfigError
from glo.expr.operators import Operator
from glo.expr.tree import CONTEXT, Expr, Y, fold

Context = Mapping[str, ArrayLike]  # the values of `prior` and `progress`, which broadcast with x and y

# The logarithms that a link computes itself, of the leaf y and of 1 - y, because log(softmax(z)) is inaccurate.
LOG_Y = Expr("log", (Y,))
LOG_NOT_Y = tuple(Expr("log", (Expr("-", (Expr(one), Y)),)) for one in ("1", "1.0"))
LOG_ZERO = -1e9  # they count log(0) as this number, so that 0*log(0) is 0; even its fourth power is finite in float32


class Dual(NamedTuple):
    """A value and its tangent (its derivative); the tangent is None if the value does not depend on the prediction."""

    value: Any
    tangent: Any = None


def uses_log_not_y(expr: Expr) -> bool:
    """Whether log(1 - y) occurs in the expression."""
    return any(node.symbol == "log" and node in LOG_NOT_Y for node in expr.walk())


def apply_dual(m: Any, operator: Operator, arguments: tuple[Dual, ...]) -> Dual:
    """The operator's value, and its tangent by the chain rule."""
    values = [argument.value for argument in arguments]
    out = operator.value(m, *values)
    if all(argument.tangent is None for argument in arguments):
        return Dual(out)
    tangent = None
    for argument, partial in zip(arguments, operator.partials(m, out, *values), strict=True):
        if argument.tangent is not None:
            term = argument.tangent * partial
            tangent = term if tangent is None else tangent + term
    return Dual(out, tangent)


def evaluate_dual(
    expr: Expr,
    m: Any,
    x: Any,
    y: Dual,
    constant: Any,
    log_y: Dual | None = None,
    log_not_y: Dual | None = None,
    *,
    context: Mapping[str, Any] | None = None,
) -> Dual:
    """Evaluate f and its derivative.

    Args:
        expr: the expression.
        m: module of array functions (numpy or compatible).
        x: the true label.
        y: the prediction; its tangent decides by which variable f is differentiated.
        constant: turns a Python float into an array.
        log_y: replaces log(y) where log is applied to the leaf y itself, so that it can come from log-softmax.
        log_not_y: likewise replaces log(1 - y).
        context: the values of `prior` and `progress`, as far as the expression uses them.

    Raises:
        ConfigError: if `context` lacks a value that the expression uses.
    """
    known = {"x": x, **(context or {})}
    logs = {} if log_y is None else {LOG_Y: log_y}
    if log_not_y is not None:
        logs |= dict.fromkeys(LOG_NOT_Y, log_not_y)

    def leaf(node: Expr) -> Dual:
        if node.symbol == "y":
            return y
        if node.symbol in known:
            return Dual(known[node.symbol])
        if node.symbol in CONTEXT:
            raise ConfigError(f"'{expr}' uses {node.symbol}, which is not known here")
        return Dual(constant(node.value))

    return fold(expr, leaf, lambda operator, arguments: apply_dual(m, operator, arguments), logs)


def visible_slopes(expr: Expr, x: ArrayLike, y: ArrayLike, context: Context | None = None) -> NDArray[np.float64]:
    """df/dy in float64; NaN where f itself is not finite, because there a training fails whatever the derivative."""
    value, slope = _numpy(expr, x, y, context)
    return np.where(np.isfinite(value), slope, np.nan)


def evaluate(expr: Expr, x: ArrayLike, y: ArrayLike, context: Context | None = None) -> NDArray[np.float64]:
    """f(x, y) in float64 with IEEE semantics: 0/0 is NaN, log(0) is -inf.  x, y and the context broadcast.

    As in a loss, log(y) at y = 0 and log(1 - y) at y = 1 are not infinite but -1e9, so that 0*log(y) is 0.
    """
    return _numpy(expr, x, y, context, slope=False)[0]


def derivative(expr: Expr, x: ArrayLike, y: ArrayLike, context: Context | None = None) -> NDArray[np.float64]:
    """df/dy in float64: all that a training can see of a loss.  x, y and the context broadcast."""
    return _numpy(expr, x, y, context)[1]


def _numpy(
    expr: Expr, x: ArrayLike, y: ArrayLike, context: Context | None, slope: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """f and df/dy; without `slope`, which takes most of the time, df/dy is 0."""
    given = {"x": x, "y": y, **(context or {})}
    arrays = np.broadcast_arrays(*(np.asarray(each, np.float64) for each in given.values()))
    shape = arrays[0].shape
    # Never scalars: numpy treats them differently, e.g. takes the square root for the power 0.5.
    known = dict(zip(given, map(np.atleast_1d, arrays), strict=True))
    labels, predictions = known["x"], known.pop("y")
    with np.errstate(all="ignore"):
        y_dual = Dual(predictions, np.ones_like(predictions) if slope else None)
        at_zero = bool(((predictions == 0) | (predictions == 1)).any())  # elsewhere, the logarithms are np.log
        logs = (_log(predictions, 1.0, slope), _log(1 - predictions, -1.0, slope)) if at_zero else (None, None)
        dual = evaluate_dual(expr, np, labels, y_dual, lambda number: np.full(labels.shape, number), *logs, context=known)
        tangent = 0.0 if dual.tangent is None else dual.tangent
        value, derivative = (np.broadcast_to(part, labels.shape).reshape(shape) for part in (dual.value, tangent))
        return value, derivative


def _log(a: NDArray[np.float64], tangent: float, slope: bool) -> Dual:
    """log(a), finite at 0, and so is its tangent."""
    zero = a == 0
    return Dual(np.where(zero, LOG_ZERO, np.log(a)), tangent * np.where(zero, -LOG_ZERO, 1 / a) if slope else None)
