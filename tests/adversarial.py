"""Expressions within the parser's limits that are hard for an algorithm: deep, wide, repetitive, or of extreme numbers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from random import Random

from glo.expr import MAX_DEPTH, MAX_NODES, OPERATORS, Expr, constant, parse
from glo.expr.text import MAX_LENGTH

X, Y = Expr("x"), Expr("y")
EXTREMES = (1e308, -1e308, 5e-324, -0.0, 0.1, 1.0000001, 0.9999999, 2**53, -1e10, -0.5, 3)
EXPONENTS = (1e308, -1e308, 1e10, -1e10, -3, 100, 0.5, 1 / 3, 5e-324, 0, 2)
UNARY = [name for name, row in OPERATORS.items() if row.arity == 1]
BINARY = [name for name, row in OPERATORS.items() if row.arity == 2 and not row.constant_arguments]
# Many small expressions, by number: equal ones, numbers, and different ones that cannot be merged.
LEAVES: dict[str, Callable[[int], Expr]] = {
    "variables": lambda i: (X, Y)[i % 2],
    "extremes": lambda i: constant(EXTREMES[i % len(EXTREMES)]),
    "powers": lambda i: Expr("pow", (Y, constant(i + 0.5))),
    "logarithms": lambda i: Expr("log", (Expr("+", (constant(i + 2), Y)),)),
    "differences": lambda i: Expr("-", (constant(i + 2), Y)),
}


def hard_expressions(random_trees: int = 60) -> list[tuple[str, Expr]]:
    """Each kind of hard expression, with a name; the same ones in each call."""
    return [*_chains(), *_wide_trees(), *_powers(), *_numbers(), *_random_trees(random_trees)]


def within_limits(expr: Expr) -> bool:
    short = expr.nodes <= 300 or len(str(expr)) <= MAX_LENGTH  # no number and no operator has more than 24 characters
    return expr.depth <= MAX_DEPTH and expr.nodes <= MAX_NODES and short


def node(name: str, first: Expr, second: Expr = X, exponent: float = 3, swap: bool = False) -> Expr:
    """An operator on one or two expressions; a power gets the exponent."""
    row = OPERATORS[name]
    if row.arity == 1:
        return Expr(name, (first,))
    if row.constant_arguments:
        return Expr(name, (first, constant(exponent)))
    return Expr(name, (second, first) if swap else (first, second))


def chain(
    names: Sequence[str],
    others: Sequence[Expr],
    start: Expr = Y,
    depth: int = MAX_DEPTH,
    exponents: Sequence[float] = (3,),
    swap: bool = False,
) -> Expr:
    """A chain of operators, each on the one before and on one of the other expressions, as long as the limits allow."""
    expr = start
    for step in range(depth):
        other, exponent = others[step % len(others)], exponents[step % len(exponents)]
        larger = node(names[step % len(names)], expr, other, exponent, swap)
        if not within_limits(larger):
            break
        expr = larger
    return expr


def balanced(names: Sequence[str], leaves: Sequence[Expr], level: int = 0) -> Expr:
    """A balanced tree over the leaves; each level has the next of the operators."""
    if len(leaves) == 1:
        return leaves[0]
    name, half = names[level % len(names)], len(leaves) // 2
    if name not in BINARY:
        return node(name, balanced(names, leaves, level + 1))
    return Expr(name, (balanced(names, leaves[:half], level + 1), balanced(names, leaves[half:], level + 1)))


def largest(make: Callable[[int], Expr]) -> Expr:
    """The largest expression within the limits that a function makes for 500, 490, 480, ..."""
    return next(expr for size in range(500, 0, -10) if within_limits(expr := make(size)))


def _chains() -> Iterator[tuple[str, Expr]]:
    """Each pair of operators in turn, up to the greatest depth, with the rest of the chain on the left and on the right."""
    for first, second in itertools.combinations_with_replacement(OPERATORS, 2):
        yield f"{first} and {second}", chain([first, second], [X, constant(2)])
        if first in BINARY:
            yield f"{first} and {second}, swapped", chain([first, second], [X, Y], swap=True)
    for name in OPERATORS:
        yield f"{name} of numbers", chain([name], [constant(3)], start=constant(2))
        yield f"{name} between squares", chain(["square", name, "square"], [Y, constant(0.999)])
        yield f"squares of {name}", chain(["square"], [X], start=node(name, Expr("*", (constant(3), Y))))
        yield f"{name} of squares", chain([name], [X], start=chain(["square"], [X], start=constant(3), depth=50))


def _wide_trees() -> Iterator[tuple[str, Expr]]:
    """Trees of about 1,000 nodes."""
    kinds = itertools.cycle(LEAVES)
    for first, second in itertools.product([*BINARY, "square", "log"], BINARY):
        kind = next(kinds)
        yield f"{first} and {second} of {kind}", largest(partial(_wide, [second, first], LEAVES[kind]))
    for kind, leaf in LEAVES.items():
        for name in BINARY:
            parts = [balanced([name], [leaf(2 * i), leaf(2 * i + 1), Y][: 1 + i % 3]) for i in range(100)]
            yield f"a chain of {name} of {kind}", chain([name], parts)
            yield f"differences of {name} of {kind}", chain(["-", "+"], parts, swap=True)
            yield f"squares of {name} of {kind}", largest(partial(_wide, [name, "*"], leaf, squares=88))
    for name in BINARY:
        yield f"{name} of equal parts", largest(partial(_wide, [name], lambda i: Expr("log", (Y,))))
        yield f"squares and {name}", chain(["square", name], [LEAVES["differences"](i) for i in range(100)])


def _wide(names: Sequence[str], leaf: Callable[[int], Expr], size: int, squares: int = 0) -> Expr:
    return _squares(balanced(names, [leaf(i) for i in range(size)]), squares)


def _squares(expr: Expr, count: int = 88) -> Expr:
    for _ in range(count):
        expr = Expr("square", (expr,))
    return expr


def _powers() -> Iterator[tuple[str, Expr]]:
    """Powers that are huge if they are computed exactly, or of numbers near 0, 1 and infinity."""
    for number, exponent in itertools.product(EXTREMES, EXPONENTS):
        yield f"{number}**{exponent}*y", Expr("*", (node("pow", constant(number), exponent=exponent), Y))
    for exponent in EXPONENTS:
        for start in ("y", "3*y", "x/3 - y"):
            yield f"({start})**{exponent} nested", chain(["pow"], [X], parse(start), exponents=[exponent])
        yield f"3**{exponent} nested, + y", Expr("+", (chain(["pow"], [X], constant(3), 90, exponents=[exponent]), Y))
    yield "powers of all kinds", chain(["pow"], [X], exponents=EXPONENTS)


def _numbers() -> Iterator[tuple[str, Expr]]:
    """Numbers that are huge, or hard to compare, if they are computed exactly."""
    yield "a tower", chain(["exp"], [X], parse("9*y"))
    yield "a tower of numbers", Expr("*", (chain(["exp"], [X], constant(9), 90), Y))
    yield "a largest tower", parse("max(" + "exp(" * 5 + "9" + ")" * 5 + ", y)")
    yield "fractions", balanced(["+"], [Expr("/", (constant(i), constant(i + 1))) for i in range(1, 200)])
    yield (
        "products of fractions",
        balanced(["*"], [Expr("/", (constant(i + 2**40), constant(2**50 + i))) for i in range(99)]),
    )
    for name in "+*":
        yield f"{name} of roots", balanced([name], [Expr("sqrt", (constant(i + 2**50),)) for i in range(200)])
    for start in (constant(7), Y):
        yield f"roots of {start}", chain(["+", "sqrt"], [constant(7)], start)
    for text in ("3", "3/7", "3*y", "3*y + x"):
        yield f"squares of {text}, + y", Expr("+", (Y, _squares(parse(text))))
        yield f"logarithm of squares of {text}", Expr("log", (_squares(parse(text)),))


def _random_trees(count: int) -> Iterator[tuple[str, Expr]]:
    """Random trees as large as the limits allow."""
    rng = Random(0)  # noqa: S311 - for tests
    for number in range(count):
        names = [*rng.sample(list(OPERATORS), rng.randint(1, 6)), rng.choice(BINARY)]
        yield f"random tree {number} of {' '.join(names)}", _grown(rng, names)


def _grown(rng: Random, names: Sequence[str]) -> Expr:
    """Join random trees of a pool until the next one would be too large."""
    pool = [rng.choice([X, Y, constant(rng.choice(EXTREMES))]) for _ in range(rng.choice([30, 100, 300]))]
    while True:
        name, first = rng.choice(names), pool.pop(rng.randrange(len(pool)))
        second = pool.pop(rng.randrange(len(pool))) if name in BINARY and pool else rng.choice([first, X, Y])
        grown = node(name, first, second, rng.choice(EXPONENTS))
        if not within_limits(grown):
            return first
        pool.append(grown)
