"""Coefficients: a number at each node of a tree, and which of them are worth tuning (paper, section III.B).

A node's position is its index in `Expr.walk`: 0 is the root.  A coefficient c at a node replaces it by c*node.  Many
coefficients have no effect of their own on a training: 3*(5*x + 2*y) is 15*x + 6*y, and log(c*y) is log(y) plus a constant.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping

from glo.expr.operators import OPERATORS
from glo.expr.tree import LEAVES, Expr, check_size, constant


def with_coefficients(expr: Expr, coefficients: Mapping[int, float]) -> Expr:
    """The expression with c*node for each position in `coefficients`; a coefficient of 1 is not written.

    Raises:
        ExpressionError: if the expression becomes too large, or a coefficient is not finite.
    """
    for coefficient in coefficients.values():
        constant(coefficient)  # raises if it is not finite
    return check_size(_multiplied(expr, 0, coefficients))


def _multiplied(node: Expr, position: int, coefficients: Mapping[int, float]) -> Expr:
    coefficient = coefficients.get(position, 1)
    if node.is_constant:  # folded into the number, because an exponent must stay a number
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
    """The positions of all nodes."""
    return list(range(expr.nodes))


def effective_coefficients(expr: Expr, scale: bool = True) -> list[int]:
    """Positions of the coefficients that change the derivative in y, each in its own way.

    The rules hold for any label x; they do not use that a hard label equals its square.  They look at operators, not at like
    terms or inverse functions: for x*y + x*y, or exp(x + log(y)), they keep one coefficient too many
    (docs/decisions/0007-effective-coefficients.md).

    Args:
        expr: the expression.
        scale: whether to include a factor of the whole expression; not needed if each loss has its own learning rate.
    """
    if not expr.uses("y"):
        return []
    below = sorted(_effective_below(expr, 0, sensitive=False))
    return [0, *below] if scale else below


def _effective_below(node: Expr, position: int, sensitive: bool) -> Iterator[int]:
    """Effective positions below a node; its parent decides on the node's own coefficient.

    Args:
        sensitive: whether a function of x alone, added to this node, changes the derivative of the whole expression in y.
    """
    if not any(each.symbol in LEAVES for each in node.walk()):
        return  # the subtree is a number
    relevant = [
        (child, place, child_sensitive)
        for child, place, child_sensitive in zip(
            node.children, _positions(node, position), _sensitivities(node, sensitive), strict=True
        )
        if child.uses("y") or child_sensitive
    ]
    for child, place, child_sensitive in relevant:
        yield from _effective_below(child, place, child_sensitive)
    if node.children:
        yield from _own_factors(node, [place for _, place, _ in relevant], sensitive)


def _own_factors(node: Expr, relevant: list[int], sensitive: bool) -> list[int]:
    """The relevant children for which a factor is not the same as a factor of the node."""
    operator = OPERATORS[node.symbol]
    match operator.algebra:
        case "sum" | "order":
            return relevant[1:]
        case "product" | "quotient":
            return []
        case "power":
            return [relevant[i] for i in operator.constant_arguments]  # the exponent
        case "logarithm":
            return relevant if sensitive else []
        case "shape":
            return relevant


def _sensitivities(node: Expr, sensitive: bool) -> tuple[bool, ...]:
    """`sensitive`, as in `_effective_below`, for each child of the node."""
    if not node.children:
        return ()
    algebra = OPERATORS[node.symbol].algebra
    uses = [child.uses("y") for child in node.children]
    if algebra == "sum":
        return (sensitive,) * len(uses)
    if algebra == "product":
        return sensitive or uses[1], sensitive or uses[0]
    if algebra == "quotient":
        return sensitive or uses[1], sensitive or any(uses)
    return (sensitive or any(uses),) * len(uses)
