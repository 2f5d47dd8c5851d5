"""The operators of the expression language: one row each.  To add an operator, add a row.

Everything else reads this table: the parser, printing, evaluation, derivatives, the evaluation of whole populations,
export to source and LaTeX, and random generation.  `value` and `partials` work on every kind of array: their first argument
`m` is the module that supplies the functions (numpy, torch, or the tracer of `glo.loss.graph`).

The first seven rows are the operators of the paper (section III.A); a search uses the others only if they have a weight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Algebra = Literal["sum", "order", "product", "quotient", "power", "logarithm", "shape"]


@dataclass(frozen=True)
class Operator:
    """One operator.

    Attributes:
        name: the function name in the text form; for an infix operator, the symbol.
        arity: number of arguments, 1 or 2.
        value: `value(m, *arguments)`, elementwise.
        partials: `partials(m, out, *arguments)` gives the partial derivative by each argument, `out` being the value.
        latex: LaTeX with `{0}`, `{1}` for the arguments.
        precedence: of an infix operator; higher binds tighter.  None for an operator that is written as a function call.
        commutative: whether the two arguments may be exchanged.
        constant_arguments: positions of arguments that must be constants.
        algebra: how a factor of an argument changes the result; decides which coefficients are worth tuning:
            "sum" and "order": a factor of both arguments is a factor of the result (+, min).
            "product", "quotient", "power": a factor of either argument is a factor of the result.
            "logarithm": a factor of the argument adds a constant to the result.
            "shape": a factor of the argument changes the form of the result (exp).
    """

    name: str
    arity: int
    value: Callable[..., Any]
    partials: Callable[..., tuple[Any, ...]]
    latex: str
    precedence: int | None = None
    commutative: bool = False
    constant_arguments: tuple[int, ...] = ()
    algebra: Algebra = "shape"


ROWS = (
    Operator(
        "log", 1,
        value=lambda m, a: m.log(a),
        partials=lambda m, out, a: (1 / a,),
        latex=r"\log\left({0}\right)", algebra="logarithm",
    ),
    Operator(
        "square", 1,
        value=lambda m, a: a * a,
        partials=lambda m, out, a: (2 * a,),
        latex=r"\left({0}\right)^2", algebra="power",
    ),
    Operator(
        "sqrt", 1,
        value=lambda m, a: m.sqrt(a),
        partials=lambda m, out, a: (0.5 / out,),
        latex=r"\sqrt{{{0}}}", algebra="power",
    ),
    Operator(
        "+", 2,
        value=lambda m, a, b: a + b,
        partials=lambda m, out, a, b: (1, 1),
        latex="{0} + {1}", precedence=1, commutative=True, algebra="sum",
    ),
    Operator(
        "*", 2,
        value=lambda m, a, b: a * b,
        partials=lambda m, out, a, b: (b, a),
        latex=r"{0} \cdot {1}", precedence=2, commutative=True, algebra="product",
    ),
    Operator(
        "-", 2,
        value=lambda m, a, b: a - b,
        partials=lambda m, out, a, b: (1, -1),
        latex="{0} - {1}", precedence=1, algebra="sum",
    ),
    Operator(
        "/", 2,
        value=lambda m, a, b: a / b,
        partials=lambda m, out, a, b: (1 / b, -out / b),
        latex=r"\frac{{{0}}}{{{1}}}", precedence=2, algebra="quotient",
    ),
    Operator(
        "abs", 1,
        value=lambda m, a: m.abs(a),
        partials=lambda m, out, a: (m.sign(a),),
        latex=r"\left|{0}\right|", algebra="power",
    ),
    Operator(
        "exp", 1,
        value=lambda m, a: m.exp(a),
        partials=lambda m, out, a: (out,),
        latex=r"\exp\left({0}\right)",
    ),
    Operator(
        "tanh", 1,
        value=lambda m, a: m.tanh(a),
        partials=lambda m, out, a: (1 - out * out,),
        latex=r"\tanh\left({0}\right)",
    ),
    Operator(
        "neg", 1,
        value=lambda m, a: -a,
        partials=lambda m, out, a: (-1,),
        latex=r"-\left({0}\right)", algebra="sum",
    ),
    # Adding 0.0 turns -0.0 into 0.0, so that min(a, b) and min(b, a) are bit-identical.  As in PyTorch, each has half of the
    # derivative where a = b, and both have all of it where one is NaN.
    Operator(
        "min", 2,
        value=lambda m, a, b: m.minimum(a, b) + 0.0,
        partials=lambda m, out, a, b: (1 - (a >= b) * 0.5 - (a > b) * 0.5, 1 - (b >= a) * 0.5 - (b > a) * 0.5),
        latex=r"\min\left({0}, {1}\right)", commutative=True, algebra="order",
    ),
    Operator(
        "max", 2,
        value=lambda m, a, b: m.maximum(a, b) + 0.0,
        partials=lambda m, out, a, b: (1 - (a <= b) * 0.5 - (a < b) * 0.5, 1 - (b <= a) * 0.5 - (b < a) * 0.5),
        latex=r"\max\left({0}, {1}\right)", commutative=True, algebra="order",
    ),
    Operator(
        "pow", 2,
        value=lambda m, a, b: a**b,
        # b*a**(b - 1); for b = 0 it is computed as 0*a**0, which is 0 for a = 0 as well.
        partials=lambda m, out, a, b: (b * a ** (b - (m.abs(b) > 0) * 1.0), out * m.log(a)),
        latex=r"\left({0}\right)^{{{1}}}", constant_arguments=(1,), algebra="power",
    ),
)  # fmt: skip

OPERATORS: dict[str, Operator] = {row.name: row for row in ROWS}
