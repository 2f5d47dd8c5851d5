"""Canonical form: the same form for expressions that are equal by the algebra that holds for IEEE arithmetic.

Sums and products are flattened, constants folded, terms sorted.  If an expression is NaN for some input, so must be its
canonical form.  Therefore all rewrites keep NaN, infinity and the sign of zero (except for overflow and underflow):

* a - b = a + (-1)*b, and -a = (-1)*a, exactly.
* Factors and divisors can be reordered: a product is NaN if a zero meets an infinity, in whatever order.
* x/x is not 1 (0/0 is NaN), x - x is not 0 (inf - inf is NaN), and x + 0 is not x (-0.0 + 0 is 0.0).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from glo.expr.dual import evaluate
from glo.expr.operators import OPERATORS, Operator
from glo.expr.tree import MAX_INTEGER, Expr, constant, fold

ONE = constant(1)


def canonical(expr: Expr) -> Expr:
    """The canonical form: idempotent, and equal in value to the original up to rounding."""
    once = fold(expr, _number, _apply)
    return once if once == expr else canonical(once)  # numbers near the limits of float64 can need another pass


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
    """Write a whole number as an integer: 1.0 and 1 are the same number; -0.0 and 0 are not."""
    if leaf.is_constant and leaf.value.is_integer() and abs(leaf.value) <= MAX_INTEGER and not _negative_zero(leaf.value):
        return constant(int(leaf.value))
    return leaf


def _negative_zero(value: float) -> bool:
    return value == 0 and math.copysign(1, value) < 0


def _folded(node: Expr) -> Expr:
    """Replace an operator on constants by its value, if that is finite."""
    if not all(child.is_constant for child in node.children):
        return node
    value = float(evaluate(node, 0.0, 0.0))
    return _number(constant(value)) if math.isfinite(value) else node


# --- products: factors / divisors ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Product:
    """Nested *, /, neg and square, flattened: how often each factor and each divisor occurs, including numbers."""

    factors: Counter[Expr]
    divisors: Counter[Expr]


def _product(node: Expr) -> Product:
    match node.symbol, node.children:
        case "*", (a, b):
            return _times(_product(a), _product(b))
        case "/", (a, b):
            over = _product(b)
            return _times(_product(a), Product(over.divisors, over.factors))
        case "neg", (a,):
            return _times(MINUS, _product(a))
        case "square", (a,):
            return _times(_product(a), _product(a))
        case _:
            return Product(Counter([node]), Counter())


def _times(a: Product, b: Product) -> Product:
    return Product(a.factors + b.factors, a.divisors + b.divisors)


MINUS = Product(Counter([constant(-1)]), Counter())


def _negated(product: Product) -> Expr:
    return _rebuild_product(_times(MINUS, product))


def _rebuild_product(product: Product) -> Expr:
    coefficient, rest = _coefficient(product)
    factors = _powers(rest.factors)
    if coefficient != 1:
        factors = [_number(constant(coefficient)), *factors]
    numerator = _balanced(factors, _multiply) if factors else ONE
    return Expr("/", (numerator, _balanced(_powers(rest.divisors), _multiply))) if rest.divisors else numerator


def _coefficient(product: Product) -> tuple[float, Product]:
    """Split a product into one number and the rest.  Divisions by zero stay in the rest, merged into one."""
    above = [(f.value, n) for f, n in product.factors.items() if f.is_constant]
    numbers = [(d.value, n) for d, n in product.divisors.items() if d.is_constant]
    zero = math.prod(value**n for value, n in numbers if value == 0)
    below = [(value, n) for value, n in numbers if value != 0]
    if sum(n * abs(math.log10(abs(v))) for v, n in above + below if v != 0) > 290:  # may overflow or underflow
        return 1, Product(_without(product.factors, ONE), _without(product.divisors, ONE))
    factors = Counter({f: n for f, n in product.factors.items() if not f.is_constant})
    divisors = Counter({d: n for d, n in product.divisors.items() if not d.is_constant})
    if zero == 0:
        divisors[_number(constant(zero))] += 1
    return math.prod(v**n for v, n in above) / math.prod(v**n for v, n in below), Product(factors, divisors)


def _without(counter: Counter[Expr], expr: Expr) -> Counter[Expr]:
    return Counter({key: n for key, n in counter.items() if key != expr})


def _powers(counted: Counter[Expr]) -> list[Expr]:
    """Sorted factors.  a*a becomes square(a), which is bit-identical, a*a*a*a becomes square(square(a)), and so on."""
    powers: list[Expr] = []
    for factor, count in sorted(counted.items(), key=lambda item: (not item[0].is_constant, _order(item[0]))):
        power, bits = factor, count
        while bits:
            if bits % 2:
                powers.append(power)
            power, bits = Expr("square", (power,)), bits // 2
    return powers


def _multiply(a: Expr, b: Expr) -> Expr:
    return Expr("*", (a, b))


# --- sums: terms, each with its sign ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """A term of a sum: plus or minus a body whose own coefficient is not negative."""

    negative: bool
    body: Expr


def _terms(node: Expr) -> list[Term]:
    """Flatten nested + and -.  The right side of a minus is one term: -(a - b) is not b - a if a and b are equal."""
    match node.symbol, node.children:
        case "+", (a, b):
            return _terms(a) + _terms(b)
        case "-", (a, b):
            return _terms(a) + _signed_terms(b, negative=True)
        case _:
            return _signed_terms(node, negative=False)


def _signed_terms(node: Expr, negative: bool) -> list[Term]:
    """The terms of plus or minus a node.  The node's sign moves into the term; a sum that is added is flattened."""
    product = _product(node)
    coefficient, _ = _coefficient(product)
    if math.copysign(1, coefficient) > 0:
        term = Term(negative, _rebuild_product(product))
    else:
        term = Term(not negative, _negated(product))
    return _terms(term.body) if not term.negative and term.body.symbol in ("+", "-") else [term]


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
            others += _signed_terms(_number(constant(total)), negative=False)
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


# --- sums and products --------------------------------------------------------------------------------------------


def _balanced(items: Sequence, join: Callable):
    """Join a list into a balanced tree, so that the canonical form of a long chain is not deeper than the chain."""
    if len(items) == 1:
        return items[0]
    half = (len(items) + 1) // 2
    return join(_balanced(items[:half], join), _balanced(items[half:], join))


def _order(expr: Expr) -> tuple[int, str]:
    """The sort key of terms and factors."""
    return expr.nodes, str(expr)
