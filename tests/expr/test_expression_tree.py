"""The tree: its size, its numbers, and the limits of the language."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given

from glo.errors import ExpressionError, GloError
from glo.expr import MAX_DEPTH, MAX_NODES, Expr, check_size, constant, fold, parse
from strategies import expressions


def balanced_sum(leaves: int) -> Expr:
    """A tree of 2*leaves - 1 nodes and minimum depth."""
    if leaves == 1:
        return Expr("y")
    return Expr("+", (balanced_sum(leaves // 2), balanced_sum(leaves - leaves // 2)))


def chain(depth: int) -> Expr:
    expr = Expr("y")
    for _ in range(depth):
        expr = Expr("tanh", (expr,))
    return expr


@pytest.mark.parametrize(
    ("text", "nodes", "depth"),
    [("y", 1, 0), ("-3", 1, 0), ("log(y)", 2, 1), ("log(y) - x/y", 6, 2), ("y**2", 2, 1), ("x**3", 3, 1)],
)
def test_nodes_and_depth(text: str, nodes: int, depth: int) -> None:
    expr = parse(text)
    assert (expr.nodes, expr.depth) == (nodes, depth)


@given(expressions())
def test_walk_visits_every_node_parents_first(expr: Expr) -> None:
    nodes = list(expr.walk())
    assert nodes[0] == expr
    assert len(nodes) == expr.nodes
    assert sum(len(node.children) for node in nodes) == expr.nodes - 1


@given(expressions())
def test_size_and_depth_are_those_of_the_tree(expr: Expr) -> None:
    assert expr.nodes == fold(expr, lambda leaf: 1, lambda _, parts: 1 + sum(parts))
    assert expr.depth == fold(expr, lambda leaf: 0, lambda _, parts: 1 + max(parts))


def test_an_expression_from_another_process_has_the_hash_of_this_one() -> None:
    """Hashes of strings differ between processes."""
    code = "import pickle, sys; from glo.expr import parse; sys.stdout.buffer.write(pickle.dumps(parse('log(y) - x/y')))"
    command = [sys.executable, "-c", code]
    for seed in ("1", "2"):
        child = subprocess.run(command, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True)
        expr = pickle.loads(child.stdout)  # noqa: S301 - our own bytes
        assert {expr: "found"}[parse("log(y) - x/y")] == "found"
        assert (expr.nodes, expr.depth) == (6, 2)
        assert copy.deepcopy(expr) == expr


@given(expressions())
def test_uses_finds_the_symbols_of_leaves(expr: Expr) -> None:
    leaves = fold(expr, lambda leaf: {leaf.symbol}, lambda _, parts: set().union(*parts))
    assert expr.uses("x") == ("x" in leaves)
    assert expr.uses("y") == ("y" in leaves)


def test_fold_gives_the_children_in_order() -> None:
    text = fold(parse("x - log(y)/3"), lambda leaf: leaf.symbol, lambda row, parts: f"[{row.name} {' '.join(parts)}]")
    assert text == "[- x [/ [log y] 3]]"


def test_expressions_are_immutable_and_hashable() -> None:
    expr = parse("log(y) - x/y")
    assert len({expr, parse("log(y) - x/y"), parse("x/y")}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        expr.symbol = "+"  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "3"), (-3, "-3"), (3.0, "3.0"), (0.1, "0.1"), (-0.0, "-0.0"), (1e-7, "1e-07"), (1e20, "1e+20"),
        (2**53, "9007199254740992"), (np.float64(0.1), "0.1"),
    ],
)  # fmt: skip
def test_constant_is_written_without_loss(number: float, text: str) -> None:
    leaf = constant(number)
    assert str(leaf) == text
    assert leaf.value == number
    assert math.copysign(1, leaf.value) == math.copysign(1, number)
    assert leaf.is_constant


@pytest.mark.parametrize(("number", "integer"), [(3, True), (-3, True), (0, True), (3.0, False), (1e20, False)])
def test_is_integer_distinguishes_integers_from_reals(number: float, integer: bool) -> None:
    assert constant(number).is_integer is integer


def test_variables_and_operators_are_not_numbers() -> None:
    for text in ("x", "y", "log(2)"):
        assert not parse(text).is_constant
        assert not parse(text).is_integer


# The last has more decimal digits than Python prints by default.
TOO_LARGE = [2**53 + 1, -(2**53) - 1, 10**400, 2**20_000]


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, *[pytest.param(n, id=f"{n.bit_length()}-bits") for n in TOO_LARGE]]
)
def test_constant_refuses_numbers_that_float64_cannot_hold(number: float) -> None:
    with pytest.raises(ExpressionError):
        constant(number)


def test_check_size_accepts_up_to_the_limits() -> None:
    for expr in (chain(MAX_DEPTH), Expr("log", (balanced_sum(500),))):
        assert check_size(expr) is expr
    assert Expr("log", (balanced_sum(500),)).nodes == MAX_NODES


@pytest.mark.parametrize("expr", [chain(101), balanced_sum(501)], ids=["deep", "large"])
def test_check_size_refuses_more(expr: Expr) -> None:
    with pytest.raises(ExpressionError, match=rf"100 deep with 1000 nodes.*{expr.depth} deep with {expr.nodes} nodes"):
        check_size(expr)


def test_expression_error_is_a_glo_error_and_a_value_error() -> None:
    assert issubclass(ExpressionError, GloError)
    assert issubclass(ExpressionError, ValueError)
