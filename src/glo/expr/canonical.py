"""Canonical form: the same form for expressions that are equal by the algebra that holds for IEEE arithmetic.

Sums and products are flattened, constants folded, terms sorted.  If an expression is NaN for some input, so must be its
canonical form.  Therefore all rewrites keep NaN, infinity and the sign of zero (except for overflow and underflow):

* a - b = a + (-1)*b, and -a = (-1)*a, exactly.
* Factors and divisors can be reordered: a product is NaN if a zero meets an infinity, in whatever order.
* x/x is not 1 (0/0 is NaN), x - x is not 0 (inf - inf is NaN), and x + 0 is not x (-0.0 + 0 is 0.0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from glo.expr.dual import evaluate
from glo.expr.operators import OPERATORS, Operator
from glo.expr.tree import MAX_INTEGER, Expr, Text, constant, fold, text_of

ONE = constant(1)


def canonical(expr: Expr) -> Expr:
    """The canonical form: idempotent, and equal in value to the original up to rounding."""
    rewriter = _Rewriter()
    while (once := fold(expr, _number, rewriter.apply)) != expr:  # numbers near the limits of float64 need another pass
        expr = once
    return expr


@dataclass(frozen=True)
class Product:
    """Nested *, /, neg and square, flattened: how often each factor and each divisor occurs, including numbers."""

    factors: Mapping[Expr, int]
    divisors: Mapping[Expr, int]


@dataclass(frozen=True)
class Term:
    """A term of a sum: plus or minus a body whose own coefficient is not negative."""

    negative: bool
    body: Expr


class _Rewriter:
    """Rewrites nodes whose children are in canonical form.

    A large product or sum is flattened and rebuilt at each of its levels, so the rewriter remembers the parts: without that,
    the time would be exponential in the depth of nested squares.
    """

    def __init__(self) -> None:
        self._products: dict[Expr, Product] = {}
        self._negatives: dict[Expr, Expr] = {}
        self._terms: dict[tuple[Expr, bool], list[Term]] = {}
        self._squares: dict[Expr, list[Expr]] = {}  # of a factor: itself, its square, the square of that, ...
        self._texts: dict[Expr, Text] = {}

    def apply(self, operator: Operator, arguments: tuple[Expr, ...]) -> Expr:
        node = Expr(operator.name, arguments)
        if operator.name in ("+", "-"):
            return self._rebuild_sum(self._flat_terms(node))
        if operator.name in ("*", "/", "neg", "square"):
            return self._rebuild_product(self._product(node))
        if operator.name == "pow" and arguments[1].value == 1:
            return arguments[0]
        if operator.name == "pow" and arguments[1].value == 2:
            return self.apply(OPERATORS["square"], arguments[:1])
        if operator.commutative:
            node = Expr(operator.name, tuple(sorted(arguments, key=self._order)))
        return _folded(node)

    # --- products: factors / divisors ---------------------------------------------------------------------------------

    def _product(self, node: Expr) -> Product:
        known = self._products.get(node)
        if known is None:
            known = self._products[node] = self._flat_product(node)
        return known

    def _flat_product(self, node: Expr) -> Product:
        match node.symbol, node.children:
            case "*", (a, b):
                return _times(self._product(a), self._product(b))
            case "/", (a, b):
                over = self._product(b)
                return _times(self._product(a), Product(over.divisors, over.factors))
            case "neg", (a,):
                return _times(MINUS, self._product(a))
            case "square", (a,):
                return _times(self._product(a), self._product(a))
            case _:
                return Product({node: 1}, {})

    def _negated(self, node: Expr) -> Expr:
        known = self._negatives.get(node)
        if known is None:
            known = self._negatives[node] = self._rebuild_product(_times(MINUS, self._product(node)))
        return known

    def _rebuild_product(self, product: Product) -> Expr:
        if len(product.factors) == 1 and not product.divisors and not (factor := next(iter(product.factors))).is_constant:
            return _balanced(self._powers(factor, product.factors[factor]), _multiply)
        coefficient, rest = _coefficient(product)
        factors = self._all_powers(rest.factors)
        if coefficient != 1:
            factors = [_number(constant(coefficient)), *factors]
        numerator = _balanced(factors, _multiply) if factors else ONE
        return Expr("/", (numerator, _balanced(self._all_powers(rest.divisors), _multiply))) if rest.divisors else numerator

    def _all_powers(self, counts: Mapping[Expr, int]) -> list[Expr]:
        """Sorted factors."""
        ordered = sorted(counts, key=lambda factor: (not factor.is_constant, self._order(factor)))
        return [power for factor in ordered for power in self._powers(factor, counts[factor])]

    def _powers(self, factor: Expr, count: int) -> list[Expr]:
        """A factor to a power: a*a is square(a), which is bit-identical, a*a*a*a is square(square(a)), and so on."""
        squares = self._squares.setdefault(factor, [factor])
        while len(squares) < count.bit_length():
            squares.append(Expr("square", (squares[-1],)))
        powers: list[Expr] = []
        while count:
            lowest = count & -count
            powers.append(squares[lowest.bit_length() - 1])
            count -= lowest
        return powers

    # --- sums: terms, each with its sign ------------------------------------------------------------------------------

    def _flat_terms(self, node: Expr) -> list[Term]:
        """Flatten nested + and -.  The right side of a minus is one term: -(a - b) is not b - a if a and b are equal."""
        match node.symbol, node.children:
            case "+", (a, b):
                return self._flat_terms(a) + self._flat_terms(b)
            case "-", (a, b):
                return self._flat_terms(a) + self._signed_terms(b, negative=True)
            case _:
                return self._signed_terms(node, negative=False)

    def _signed_terms(self, node: Expr, negative: bool) -> list[Term]:
        """The terms of plus or minus a node.  The node's sign moves into the term; a sum that is added is flattened."""
        known = self._terms.get((node, negative))
        if known is None:
            known = self._terms[node, negative] = self._new_terms(node, negative)
        return known

    def _new_terms(self, node: Expr, negative: bool) -> list[Term]:
        product = self._product(node)
        coefficient, _ = _coefficient(product)
        if math.copysign(1, coefficient) > 0:
            term = Term(negative, self._rebuild_product(product))
        else:
            term = Term(not negative, self._negated(node))
        return self._flat_terms(term.body) if not term.negative and term.body.symbol in ("+", "-") else [term]

    def _rebuild_sum(self, terms: list[Term]) -> Expr:
        numbers = [-t.body.value if t.negative else t.body.value for t in terms if t.body.is_constant]
        others = [t for t in terms if not t.body.is_constant]
        if sum(map(abs, numbers)) > 1e300:
            others = terms
        elif numbers:
            total = math.fsum(numbers) if any(numbers) or not all(map(_negative_zero, numbers)) else -0.0
            if not others:
                return _number(constant(total))
            if not _negative_zero(total):  # a + -0.0 is a
                others += self._signed_terms(_number(constant(total)), negative=False)
        others.sort(key=lambda t: (t.negative, t.body.is_constant, self._order(t.body)))
        return self._signed(_balanced(others, self._add))

    def _add(self, a: Term | Expr, b: Term | Expr) -> Expr:
        if isinstance(b, Term):
            return Expr("-" if b.negative else "+", (self._signed(a), b.body))
        return Expr("+", (self._signed(a), b))

    def _signed(self, term: Term | Expr) -> Expr:
        if isinstance(term, Expr):
            return term
        return self._negated(term.body) if term.negative else term.body

    def _order(self, expr: Expr) -> tuple[int, str]:
        """The sort key of terms and factors."""
        return expr.nodes, text_of(expr, self._texts)


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


def _times(a: Product, b: Product) -> Product:
    return Product(_added(a.factors, b.factors), _added(a.divisors, b.divisors))


def _added(a: Mapping[Expr, int], b: Mapping[Expr, int]) -> Mapping[Expr, int]:
    if not b:
        return a
    counts = dict(a)
    for expr, count in b.items():
        counts[expr] = counts.get(expr, 0) + count
    return counts


MINUS = Product({constant(-1): 1}, {})


def _coefficient(product: Product) -> tuple[float, Product]:
    """Split a product into one number and the rest.  Divisions by zero stay in the rest, merged into one."""
    above = [(f.value, n) for f, n in product.factors.items() if f.is_constant]
    numbers = [(d.value, n) for d, n in product.divisors.items() if d.is_constant]
    zero = math.prod(value**n for value, n in numbers if value == 0)
    below = [(value, n) for value, n in numbers if value != 0]
    if sum(n * abs(math.log10(abs(v))) for v, n in above + below if v != 0) > 290:  # may overflow or underflow
        return 1, Product(_without(product.factors, ONE), _without(product.divisors, ONE))
    factors = {f: n for f, n in product.factors.items() if not f.is_constant}
    divisors = {d: n for d, n in product.divisors.items() if not d.is_constant}
    if zero == 0:
        divisors[_number(constant(zero))] = 1
    return math.prod(v**n for v, n in above) / math.prod(v**n for v, n in below), Product(factors, divisors)


def _without(counts: Mapping[Expr, int], expr: Expr) -> Mapping[Expr, int]:
    return {key: n for key, n in counts.items() if key != expr}


def _multiply(a: Expr, b: Expr) -> Expr:
    return Expr("*", (a, b))


def _balanced(items: Sequence, join: Callable):
    """Join a list into a balanced tree, so that the canonical form of a long chain is not deeper than the chain."""
    if len(items) == 1:
        return items[0]
    half = (len(items) + 1) // 2
    return join(_balanced(items[:half], join), _balanced(items[half:], join))
