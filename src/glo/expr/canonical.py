"""Canonical form: one way of writing for expressions that are the same by algebra that IEEE arithmetic respects.

Sums and products are flattened, constants folded, terms sorted.  Only rewrites that keep NaN, infinity and the sign of
zero are used (short of overflow and underflow), because what is NaN for one way of writing must be NaN for the other:

* a - b = a + (-1)*b, and -a = (-1)*a, exactly.
* The order of factors and divisors does not matter: either a zero meets an infinity, or it does not.
* x/x is not 1 (0/0 is NaN), x - x is not 0 (inf - inf is NaN), and x + 0 is not x (-0.0 + 0 is 0.0).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glo.expr.dual import evaluate
from glo.expr.operators import OPERATORS, Operator
from glo.expr.tree import Expr, constant, fold

ONE, MINUS_ONE = constant(1), constant(-1)


def canonical(expr: Expr) -> Expr:
    """The canonical form: idempotent, and equal in value to the original up to rounding."""
    return fold(expr, _number, _apply)


def _apply(operator: Operator, arguments: tuple[Expr, ...]) -> Expr:
    node = Expr(operator.name, arguments)
    if operator.name in ("+", "-"):
        return _rebuild_sum(_terms(node))
    if operator.name in ("*", "/", "neg", "square"):
        return _rebuild_product(_product(node))
    if operator.name == "pow" and arguments[1].value == 1:
        return arguments[0]
    if operator.name == "pow" and arguments[1].value == 2:
        return _apply(OPERATORS["square"], arguments[:1])
    if operator.commutative:
        node = Expr(operator.name, tuple(sorted(arguments, key=_order)))
    return _folded(node)


def _number(leaf: Expr) -> Expr:
    """1.0 and 1 are the same number; -0.0 and 0 are not."""
    if leaf.is_constant and leaf.value.is_integer() and abs(leaf.value) <= 2**53 and not _negative_zero(leaf.value):
        return constant(int(leaf.value))
    return leaf


def _negative_zero(value: float) -> bool:
    return value == 0 and math.copysign(1, value) < 0


def _folded(node: Expr) -> Expr:
    """A node of constants as one constant, if the result is a number that can be written."""
    if not all(child.is_constant for child in node.children):
        return node
    value = float(evaluate(node, 0.0, 0.0))
    return _number(constant(value)) if math.isfinite(value) else node


# --- products: factors / divisors ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Product:
    """Nested *, /, neg and square as two flat lists; numbers are still among them."""

    factors: list[Expr]
    divisors: list[Expr]


def _product(node: Expr) -> Product:
    match node.symbol, node.children:
        case "*", (a, b):
            return _times(_product(a), _product(b))
        case "/", (a, b):
            over = _product(b)
            return _times(_product(a), Product(over.divisors, over.factors))
        case "neg", (a,):
            return _times(Product([MINUS_ONE], []), _product(a))
        case "square", (a,):
            return _times(_product(a), _product(a))
        case _:
            return Product([node], [])


def _times(a: Product, b: Product) -> Product:
    return Product(a.factors + b.factors, a.divisors + b.divisors)


def _rebuild_product(product: Product) -> Expr:
    coefficient, rest = _coefficient(product)
    factors = _powers(rest.factors if coefficient == 1 else [*rest.factors, _number(constant(coefficient))])
    numerator = _balanced(factors, _multiply) if factors else constant(1)
    return Expr("/", (numerator, _balanced(_powers(rest.divisors), _multiply))) if rest.divisors else numerator


def _coefficient(product: Product) -> tuple[float, Product]:
    """All numbers of a product as one, and what is left: the rest, with a division by zero as it stands."""
    above = [factor.value for factor in product.factors if factor.is_constant]
    below = [divisor.value for divisor in product.divisors if _is_divisible_by(divisor)]
    if sum(abs(math.log10(abs(value))) for value in above + below if value != 0) > 290:
        return 1, Product([f for f in product.factors if f != ONE], [d for d in product.divisors if d != ONE])
    factors = [factor for factor in product.factors if not factor.is_constant]
    divisors = [divisor for divisor in product.divisors if not _is_divisible_by(divisor)]
    return math.prod(above) / math.prod(below), Product(factors, divisors)


def _is_divisible_by(divisor: Expr) -> bool:
    return divisor.is_constant and divisor.value != 0


def _powers(factors: Sequence[Expr]) -> list[Expr]:
    """Sorted, with pairs of equal factors written as a square: a*a and square(a) are the same to the bit."""
    counted = sorted(Counter(factors).items(), key=lambda item: (not item[0].is_constant, _order(item[0])))
    return [power for factor, n in counted for power in [Expr("square", (factor,))] * (n // 2) + [factor] * (n % 2)]


def _multiply(a: Expr, b: Expr) -> Expr:
    return Expr("*", (a, b))


# --- sums: terms, each with its sign ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """plus or minus a body whose own coefficient is not negative."""

    negative: bool
    body: Expr


def _terms(node: Expr) -> list[Term]:
    """Flatten nested + and -.  The right side of a - is one term: -(a - b) is not b - a when both are zero."""
    match node.symbol, node.children:
        case "+", (a, b):
            return _terms(a) + _terms(b)
        case "-", (a, b):
            return [*_terms(a), _term(b, negative=True)]
        case _:
            return [_term(node, negative=False)]


def _term(node: Expr, negative: bool) -> Term:
    product = _product(node)
    coefficient, _ = _coefficient(product)
    if math.copysign(1, coefficient) > 0:
        return Term(negative, _rebuild_product(product))
    return Term(not negative, _negated(product))


def _negated(product: Product) -> Expr:
    return _rebuild_product(_times(Product([MINUS_ONE], []), product))


def _rebuild_sum(terms: list[Term]) -> Expr:
    numbers = [-t.body.value if t.negative else t.body.value for t in terms if t.body.is_constant]
    others = [t for t in terms if not t.body.is_constant]
    if sum(map(abs, numbers)) > 1e300:
        others = terms
    elif numbers:
        total = math.fsum(numbers) if any(numbers) or not all(map(_negative_zero, numbers)) else -0.0
        if not others:
            return _number(constant(total))
        if not _negative_zero(total):  # a + -0.0 is a
            others.append(_term(_number(constant(total)), negative=False))
    others.sort(key=lambda t: (t.negative, t.body.is_constant, _order(t.body)))
    return _signed(_balanced(others, _add))


def _add(a: Term | Expr, b: Term | Expr) -> Expr:
    if isinstance(b, Term):
        return Expr("-" if b.negative else "+", (_signed(a), b.body))
    return Expr("+", (_signed(a), b))


def _signed(term: Term | Expr) -> Expr:
    if isinstance(term, Expr):
        return term
    return _negated(_product(term.body)) if term.negative else term.body


# --- both ---------------------------------------------------------------------------------------------------------


def _balanced(items: Sequence, join: Callable):
    """Join a list into a balanced tree, so that flattening a long chain never makes a deeper tree."""
    if len(items) == 1:
        return items[0]
    half = (len(items) + 1) // 2
    return join(_balanced(items[:half], join), _balanced(items[half:], join))


def _order(expr: Expr) -> tuple[int, str]:
    return expr.nodes, str(expr)
