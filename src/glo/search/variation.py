"""Crossover and the four mutations of the paper (section III.A)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from numpy.random import Generator

from glo.expr import MAX_INTEGER, OPERATORS, Expr, constant
from glo.search.config import GeneticConfig
from glo.search.generate import Elements, rounded

Path = tuple[int, ...]
STEP = 0.3  # standard deviation of the logarithm of the factor by which a real constant moves
SIGN_CHANGE = 0.1  # probability that a real constant that moves changes its sign


def crossover(a: Expr, b: Expr, rng: Generator) -> tuple[Expr, Expr]:
    """Exchange the subtrees at a random node of each parent; all nodes are equally likely."""
    paths_a, paths_b = list(crossover_points(a)), list(crossover_points(b))
    path_a, path_b = paths_a[rng.integers(len(paths_a))], paths_b[rng.integers(len(paths_b))]
    return with_subtree(a, path_a, subtree(b, path_b)), with_subtree(b, path_b, subtree(a, path_a))


def crossover_points(expr: Expr, path: Path = ()) -> Iterator[Path]:
    """Paths of all nodes except arguments that must stay constants."""
    yield path
    for position, child in enumerate(expr.children):
        if position not in OPERATORS[expr.symbol].constant_arguments:
            yield from crossover_points(child, (*path, position))


def subtree(expr: Expr, path: Path) -> Expr:
    for position in path:
        expr = expr.children[position]
    return expr


def with_subtree(expr: Expr, path: Path, replacement: Expr) -> Expr:
    if not path:
        return replacement
    children = list(expr.children)
    children[path[0]] = with_subtree(children[path[0]], path[1:], replacement)
    return Expr(expr.symbol, tuple(children))


def mutate(expr: Expr, config: GeneticConfig, elements: Elements, rng: Generator) -> Expr:
    """Apply the four mutations to every node, children before parents.

    At each node, in the paper's order: an integer moves by one (a real constant by a random factor); the node is replaced
    by another with the same number of children; an operator and its subtree become a leaf, or a leaf grows into an element
    with leaves.
    """
    children = tuple(
        _mutate_constant(child, config, rng)
        if expr.children and position in OPERATORS[expr.symbol].constant_arguments
        else mutate(child, config, elements, rng)
        for position, child in enumerate(expr.children)
    )
    node = _mutate_constant(Expr(expr.symbol, children), config, rng)
    if rng.random() < config.replacement:
        node = _replaced(node, elements, rng)
    if node.children:
        return elements.leaf(rng) if rng.random() < config.shrink else node
    return elements.grown(rng, elements.draw(rng) or "x", max_depth=1) if rng.random() < config.grow else node


def _mutate_constant(node: Expr, config: GeneticConfig, rng: Generator) -> Expr:
    if node.is_integer and rng.random() < config.integer_step:
        moved = int(node.symbol) + (1 if rng.random() < 0.5 else -1)
        return constant(moved) if abs(moved) <= MAX_INTEGER else node
    if config.constants > 0 and node.is_constant and not node.is_integer and rng.random() < config.constant_step:
        return moved_constant(node, rng)
    return node


def moved_constant(node: Expr, rng: Generator) -> Expr:
    """A real constant times a random factor, and now and then with the other sign; the same one if that is too large."""
    factor = math.exp(STEP * rng.standard_normal())
    moved = rounded(node.value * (-factor if rng.random() < SIGN_CHANGE else factor))
    return constant(moved) if math.isfinite(moved) else node


def _replaced(node: Expr, elements: Elements, rng: Generator) -> Expr:
    """A random element with the same children; the node itself if the element needs a constant where there is none."""
    symbol = elements.draw(rng, arity=len(node.children))
    if symbol is None:
        return node
    needed = OPERATORS[symbol].constant_arguments if symbol in OPERATORS else ()
    return Expr(symbol, node.children) if all(node.children[i].is_constant for i in needed) else node
