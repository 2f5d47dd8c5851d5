"""Interval arithmetic for the tests: bounds of an expression and its derivative that include rounding errors.

`Enclosure` and `Functions` stand in for numpy in `evaluate_dual`, so the rules are those of the operator table.

An enclosure is one of

* a point: the exact number; also NaN, an infinity, or a zero with its sign, if these are certain;
* a bounded interval that contains the number;
* ANY: nothing is known, because rounding might cause a singularity, overflow or underflow.

A function (log, exp...) of a point is a point too: it always gives the same number for the same argument.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from glo.expr import Dual, Expr, evaluate_dual

MARGIN = 16 * 2.0**-52
TINY, HUGE = 1e-280, 1e280


@dataclass(frozen=True)
class Enclosure:
    """All numbers from lo to hi; arithmetic gives an enclosure of all possible results."""

    lo: float
    hi: float

    @property
    def is_nan(self) -> bool:
        return math.isnan(self.lo)

    @property
    def is_point(self) -> bool:
        return self.is_nan or (self.lo == self.hi and math.copysign(1, self.lo) == math.copysign(1, self.hi))

    @property
    def is_bounded(self) -> bool:
        return math.isfinite(self.lo) and math.isfinite(self.hi)

    @property
    def is_known(self) -> bool:
        return self.is_point or self.is_bounded

    @property
    def is_zero(self) -> bool:
        return self.is_point and self.lo == 0

    @property
    def may_be_zero(self) -> bool:
        """Whether it contains zero and is not known to be zero; true for a zero of unknown sign."""
        return self.lo <= 0 <= self.hi and not self.is_zero

    def contains(self, number: float) -> bool:
        return math.isnan(number) if self.is_nan else self.lo <= number <= self.hi

    def meets(self, other: Enclosure) -> bool:
        """Whether both can be enclosures of the same number, including the sign of zero."""
        if self.is_nan or other.is_nan:
            return self.is_nan and other.is_nan
        if self.is_zero and other.is_zero:
            return math.copysign(1, self.lo) == math.copysign(1, other.lo)
        return self.lo <= other.hi and other.lo <= self.hi

    def __neg__(self) -> Enclosure:
        return Enclosure(-self.hi, -self.lo)

    def __add__(self, other: Any) -> Enclosure:
        return _sum(np.add, Fraction.__add__, self, _lift(other))

    def __radd__(self, other: Any) -> Enclosure:
        return self + other

    def __sub__(self, other: Any) -> Enclosure:
        return _sum(np.subtract, Fraction.__sub__, self, _lift(other))

    def __rsub__(self, other: float) -> Enclosure:
        return _lift(other) - self

    def __mul__(self, other: Any) -> Enclosure:
        if other is self and self.may_be_zero and self.is_bounded:  # a square is not negative
            size = Functions.abs(self)
            return Enclosure(0.0, (size * Enclosure(size.hi, size.hi)).hi)
        return _product(np.multiply, Fraction.__mul__, self, _lift(other))

    def __rmul__(self, other: float) -> Enclosure:
        return _lift(other) * self

    def __truediv__(self, other: Any) -> Enclosure:
        return _product(np.divide, Fraction.__truediv__, self, _lift(other))

    def __rtruediv__(self, other: float) -> Enclosure:
        return _lift(other) / self

    def __pow__(self, exponent: Enclosure) -> Enclosure:
        if exponent.is_point and exponent.lo in (1, 2):
            return self if exponent.lo == 1 else self * self
        if not self.is_known or self.may_be_zero or not exponent.is_known:
            return ANY
        if exponent.lo == 0.5 and self.lo <= 0:  # numpy sometimes computes sqrt, which differs at -0.0 and -inf
            return ANY
        ends = _corners(np.power, self, exponent)
        if self.is_zero or not self.is_bounded or exponent.is_zero or all(map(math.isnan, ends)):
            return _certain(ends)
        return ANY if any(map(math.isnan, ends)) else _rounded(ends)

    def __le__(self, other: Any) -> Enclosure:
        b = _lift(other)
        return _truth(self.lo <= b.hi, self.hi <= b.lo)

    def __lt__(self, other: Any) -> Enclosure:
        b = _lift(other)
        return _truth(self.lo < b.hi, self.hi < b.lo)

    def __ge__(self, other: Any) -> Enclosure:
        b = _lift(other)
        return _truth(self.hi >= b.lo, self.lo >= b.hi)

    def __gt__(self, other: Any) -> Enclosure:
        b = _lift(other)
        return _truth(self.hi > b.lo, self.lo > b.hi)


ANY = Enclosure(-math.inf, math.inf)
NAN = Enclosure(math.nan, math.nan)


def enclose_constant(number: float) -> Enclosure:
    """A point for a short binary fraction; others may have been rounded when constants were folded."""
    exact = Fraction(number)
    short = exact.denominator <= 2**12 and abs(exact.numerator) <= 2**24
    return _lift(number) if short else _rounded([number])


def enclose(expr: Expr, x: float, y: float) -> tuple[Enclosure, Enclosure]:
    """Enclosures of f(x, y) and of df/dy."""
    with np.errstate(all="ignore"):
        dual = evaluate_dual(expr, Functions, _lift(x), Dual(_lift(y), _lift(1)), enclose_constant)
    return dual.value, _lift(0 if dual.tangent is None else dual.tangent)


class Functions:
    """The functions that the operator table needs of a module such as numpy."""

    @staticmethod
    def log(a: Enclosure) -> Enclosure:
        return _increasing(np.log, a, a.lo > 0)

    @staticmethod
    def sqrt(a: Enclosure) -> Enclosure:
        return _increasing(np.sqrt, a, a.lo > 0)

    @staticmethod
    def exp(a: Enclosure) -> Enclosure:
        return _increasing(np.exp, a, abs(a.lo) < 500 and abs(a.hi) < 500)

    @staticmethod
    def tanh(a: Enclosure) -> Enclosure:
        return _increasing(np.tanh, a, True)

    @staticmethod
    def abs(a: Enclosure) -> Enclosure:
        if not a.is_known:
            return ANY
        return NAN if a.is_nan else _hull([abs(a.lo), abs(a.hi), *([0.0] if a.may_be_zero else [])])

    @staticmethod
    def sign(a: Enclosure) -> Enclosure:
        return Enclosure(float(np.sign(a.lo)), float(np.sign(a.hi))) if a.is_known else ANY

    @staticmethod
    def minimum(a: Enclosure, b: Enclosure) -> Enclosure:
        if a.is_nan or b.is_nan:
            return NAN
        return Enclosure(min(a.lo, b.lo), min(a.hi, b.hi)) if a.is_known and b.is_known else ANY

    @staticmethod
    def maximum(a: Enclosure, b: Enclosure) -> Enclosure:
        return -Functions.minimum(-a, -b)


def _lift(number: Any) -> Enclosure:
    return number if isinstance(number, Enclosure) else Enclosure(float(number), float(number))


def _hull(ends: list[float]) -> Enclosure:
    """The interval from the smallest to the largest number, where -0.0 is smaller than 0.0."""
    ordered = sorted(ends, key=lambda end: (end, math.copysign(1, end)))
    return Enclosure(ordered[0], ordered[-1])


def _rounded(ends: list[float], may_vanish: bool = False) -> Enclosure:
    """The hull of results, widened by rounding; ANY if a result overflows, or underflows unless it `may_vanish`."""
    if not all(abs(end) < HUGE and (may_vanish or abs(end) > TINY) for end in ends):
        return ANY
    hull = _hull(ends)
    margin = MARGIN * max(abs(hull.lo), abs(hull.hi))
    return Enclosure(hull.lo - margin, hull.hi + margin) if margin else hull


def _certain(ends: list[float]) -> Enclosure:
    """The result if all ends agree, as they do for infinities and zeros: a number, or a zero of unknown sign; else ANY."""
    if all(map(math.isnan, ends)):
        return NAN
    return _hull(ends) if len(set(ends)) == 1 and not any(map(math.isnan, ends)) else ANY


def _truth(possibly: bool, certainly: bool) -> Enclosure:
    return Enclosure(float(certainly), float(possibly))


def _corners(operation: Callable[..., Any], a: Enclosure, b: Enclosure) -> list[float]:
    return [float(operation(np.float64(p), np.float64(q))) for p, q in itertools.product((a.lo, a.hi), (b.lo, b.hi))]


def _is_exact(operation: Callable[..., Fraction], a: Enclosure, b: Enclosure, result: float) -> bool:
    if not (a.is_point and b.is_point and math.isfinite(result)):
        return False
    return operation(Fraction(a.lo), Fraction(b.lo)) == Fraction(result)


def _sum(operation: Callable[..., Any], exact: Callable[..., Fraction], a: Enclosure, b: Enclosure) -> Enclosure:
    if a.is_nan or b.is_nan:
        return NAN
    if not (a.is_known and b.is_known):
        return ANY
    ends = _corners(operation, a, b)
    if not (a.is_bounded and b.is_bounded):
        return _certain(ends)
    return _hull(ends) if _is_exact(exact, a, b, ends[0]) else _rounded(ends, may_vanish=True)


def _product(operation: Callable[..., Any], exact: Callable[..., Fraction], a: Enclosure, b: Enclosure) -> Enclosure:
    if a.is_nan or b.is_nan:
        return NAN
    dividing = operation is np.divide
    if not (a.is_known and b.is_known) or (dividing and b.may_be_zero):
        return ANY
    ends = _corners(operation, a, b)
    if a.is_zero or b.is_zero or not (a.is_bounded and b.is_bounded):
        return ANY if (a.may_be_zero or b.may_be_zero) and any(ends) else _certain(ends)
    if _is_exact(exact, a, b, ends[0]):
        return _hull(ends)
    return _rounded(ends, may_vanish=a.may_be_zero or b.may_be_zero)


def _increasing(function: Callable[..., Any], a: Enclosure, inside: bool) -> Enclosure:
    """An increasing function; `inside`: whether the function is defined on all of a, without overflow or underflow."""
    if not a.is_known:
        return ANY
    ends = [float(function(np.float64(a.lo))), float(function(np.float64(a.hi)))]
    if a.is_point:
        over = a.is_bounded and function is np.exp and not inside
        return ANY if over else _certain(ends)
    if all(map(math.isnan, ends)):
        return NAN
    return _rounded(ends, may_vanish=function is not np.exp) if inside else ANY
