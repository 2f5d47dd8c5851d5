"""Coefficients: a number at each node of a tree, and which of them are worth tuning (paper, section III.B).

A node's position is its place in `Expr.walk`: 0 is the root.  A coefficient c at a node makes c*node of it.  Many change
nothing that a training could see: 3*(5*x + 2*y) is 15*x + 6*y, and log(c*y) is log(y) plus a constant.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from glo.expr.operators import OPERATORS
from glo.expr.tree import Expr, check_size, constant

Shown = tuple[bool, ...]


def with_coefficients(expr: Expr, coefficients: Mapping[int, float]) -> Expr:
    """The expression with c*node for each position in `coefficients`; a coefficient of 1 is not written.

    Raises:
        ExpressionError: if the expression becomes too large, or a coefficient is not finite.
    """
    for coefficient in coefficients.values():
        constant(coefficient)  # which must be finite
    return check_size(_multiplied(expr, 0, coefficients))


def _multiplied(node: Expr, position: int, coefficients: Mapping[int, float]) -> Expr:
    coefficient = coefficients.get(position, 1)
    if node.is_constant:  # an exponent must stay a number
        largest = sys.float_info.max
        return node if coefficient == 1 else constant(min(max(coefficient * node.value, -largest), largest))
    children = zip(node.children, _positions(node, position), strict=True)
    node = Expr(node.symbol, tuple(_multiplied(child, place, coefficients) for child, place in children))
    return node if coefficient == 1 else Expr("*", (constant(coefficient), node))


def _positions(node: Expr, position: int) -> list[int]:
    """Positions of the children of the node at `position`."""
    places = [position + 1]
    for child in node.children[:-1]:
        places.append(places[-1] + child.nodes)
    return places[: len(node.children)]


def all_coefficients(expr: Expr) -> list[int]:
    """Every node's position."""
    return list(range(expr.nodes))


def effective_coefficients(expr: Expr, scale: bool = True) -> list[int]:
    """Positions of the coefficients that change the derivative in y, each in a way of its own.

    Args:
        expr: the expression.
        scale: whether a factor of the whole counts; it does not where the learning rate is chosen for each loss.

    The rules hold for any label x; that a hard label is its own square is not made use of.  They see operators, not
    like terms or inverse functions: of x*y + x*y, or exp(x + log(y)), one more than needed is kept
    (docs/decisions/0007-effective-coefficients.md).
    """
    if not expr.uses("y"):
        return []
    inside = sorted(_inside(expr, 0, shown=False))
    return [0, *inside] if scale else inside


def _inside(node: Expr, position: int, shown: bool) -> Iterator[int]:
    """Effective positions below a node; its own coefficient is the business of its parent.

    `shown` says whether the derivative of the whole shows it when a function of x alone is added to this node.
    """
    if not any(node.uses(variable) for variable in ("x", "y")):
        return  # a number, however it is written
    positions, shows = _positions(node, position), _shows(node, shown)
    live = [
        (child, place, show)
        for child, place, show in zip(node.children, positions, shows, strict=True)
        if child.uses("y") or show
    ]
    for child, place, show in live:
        yield from _inside(child, place, show)
    if node.children:
        yield from _own_factors(node, [place for _, place, _ in live], shown)


def _own_factors(node: Expr, live: list[int], shown: bool) -> list[int]:
    """Which children keep a factor that is not one of the node itself."""
    operator = OPERATORS[node.symbol]
    match operator.algebra:
        case "sum" | "order":
            return live[1:]
        case "product" | "quotient":
            return []
        case "power":
            return [live[i] for i in operator.constant_arguments]  # the exponent
        case "logarithm":
            return live if shown else []
        case "shape":
            return live


def _shows(node: Expr, shown: bool) -> Shown:
    """For each child, whether the derivative shows a function of x alone that is added to it."""
    if not node.children:
        return ()
    algebra = OPERATORS[node.symbol].algebra
    uses = [child.uses("y") for child in node.children]
    if algebra == "sum":
        return (shown,) * len(uses)
    if algebra == "product":
        return shown or uses[1], shown or uses[0]
    if algebra == "quotient":
        return shown or uses[1], shown or any(uses)
    return (shown or any(uses),) * len(uses)
