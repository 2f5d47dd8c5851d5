"""The expression tree, and the fold by which everything else is computed from it.

An expression is f(x, y): x the true label (one-hot or soft), y the predicted probability.  Training minimises the loss,
which is minus the sum over classes of f.  Besides x and y, f may use `prior`, the share of the class in the training labels,
and `progress`, the share of the training that is done: 0 at the first step, 1 at the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from glo.errors import ExpressionError
from glo.expr.operators import OPERATORS, Operator

T = TypeVar("T")
VARIABLES = ("x", "y")
CONTEXT = ("prior", "progress")  # what f may know besides; it is not differentiated
LEAVES = frozenset((*VARIABLES, *CONTEXT))
MAX_NODES = 1_000
MAX_DEPTH = 100
MAX_INTEGER = 2**53  # beyond it float64 cannot hold every integer


@dataclass(frozen=True, slots=True)
class Expr:
    """A node and its subtree.  Immutable and hashable; expressions are equal if their trees are.

    Attributes:
        symbol: an operator's name, "x", "y", "prior", "progress", or the text of a number (`constant` makes one).
        children: one expression for each argument of the operator; empty for a leaf.
        nodes: number of nodes.
        depth: number of edges on the longest path to a leaf; 0 for a leaf.
    """

    symbol: str
    children: tuple[Expr, ...] = ()
    # Known from the start, since to compute them, or the hash, for each subtree of a tree takes quadratic time.
    nodes: int = field(init=False, repr=False, compare=False)
    depth: int = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes, depth = 1, 0
        for child in self.children:
            nodes += child.nodes
            if child.depth >= depth:
                depth = child.depth + 1
        object.__setattr__(self, "nodes", nodes)
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "_hash", hash((self.symbol, self.children)))

    def __hash__(self) -> int:
        return self._hash

    def __reduce__(self) -> tuple[type[Expr], tuple[str, tuple[Expr, ...]]]:
        """Without the hash, which differs between processes."""
        return Expr, (self.symbol, self.children)

    @property
    def is_constant(self) -> bool:
        return not self.children and self.symbol not in LEAVES

    @property
    def is_integer(self) -> bool:
        """Whether this is an integer leaf, the kind that mutation moves by one."""
        return self.is_constant and self.symbol.lstrip("-").isdigit()

    @property
    def value(self) -> float:
        """The number of a constant leaf."""
        return float(self.symbol)

    def walk(self) -> Iterator[Expr]:
        """Every node, parents before children."""
        pending: list[Expr] = [self]
        while pending:
            node = pending.pop()
            yield node
            pending += node.children[::-1]

    def uses(self, symbol: str) -> bool:
        return any(node.symbol == symbol for node in self.walk())

    @property
    def context(self) -> tuple[str, ...]:
        """Which of `prior` and `progress` the expression uses."""
        return tuple(name for name in CONTEXT if self.uses(name))

    def __str__(self) -> str:
        return fold(self, _leaf_text, _node_text)[0]


def constant(value: float) -> Expr:
    """A number as a leaf: an integer stays an integer; other numbers are written with `repr`, without loss.

    Raises:
        ExpressionError: for NaN, infinity, or an integer that float64 cannot hold exactly.
    """
    number = value if isinstance(value, int) else float(value)
    if isinstance(number, int) and abs(number) > MAX_INTEGER:
        raise ExpressionError("an integer beyond 2**53 is too large: write it as a real number, e.g. 1e20")
    if not math.isfinite(number):
        raise ExpressionError(f"the number {number} is not finite: use a number below 1.8e308")
    return Expr(repr(number))


X, Y = Expr("x"), Expr("y")


def fold(
    expr: Expr,
    leaf: Callable[[Expr], T],
    apply: Callable[[Operator, tuple[T, ...]], T],
    logs: Mapping[Expr, T] | None = None,
) -> T:
    """Compute a result bottom-up: call `leaf` for each leaf, and `apply` for each operator with its children's results.

    Evaluation, derivatives, printing, source code and LaTeX are all this fold.  `logs` has the results of logarithms that
    are known in another way, such as log(y) from log-softmax.
    """
    if not expr.children:
        return leaf(expr)
    if logs and expr.symbol == "log" and expr in logs:
        return logs[expr]
    return apply(OPERATORS[expr.symbol], tuple([fold(child, leaf, apply, logs) for child in expr.children]))


def check_size(expr: Expr) -> Expr:
    """Return the expression if it is within the limits of the language, else raise `ExpressionError`."""
    if expr.depth > MAX_DEPTH or expr.nodes > MAX_NODES:
        raise ExpressionError(
            f"an expression may be at most {MAX_DEPTH} deep with {MAX_NODES} nodes; "
            f"this one is {expr.depth} deep with {expr.nodes} nodes"
        )
    return expr


# A text with the precedence of its outermost operator; an atom binds tightest.
Text = tuple[str, int]
ATOM = 9
NEGATIVE = 3


def text_of(expr: Expr, known: dict[Expr, Text]) -> str:
    """`str(expr)`, from the texts of the subtrees that are known, to which it adds new ones."""
    if expr not in known:
        for child in expr.children:
            text_of(child, known)
        if expr.children:
            known[expr] = _node_text(OPERATORS[expr.symbol], tuple([known[child] for child in expr.children]))
        else:
            known[expr] = _leaf_text(expr)
    return known[expr][0]


def _leaf_text(leaf: Expr) -> Text:
    return leaf.symbol, NEGATIVE if leaf.symbol.startswith("-") else ATOM


def _node_text(operator: Operator, arguments: tuple[Text, ...]) -> Text:
    if operator.precedence is None:
        return f"{operator.name}({', '.join(text for text, _ in arguments)})", ATOM
    (left, left_binds), (right, right_binds) = arguments
    left = left if left_binds >= operator.precedence else f"({left})"
    right = right if right_binds > operator.precedence else f"({right})"
    # log(y) - x/y: only operators of the lowest precedence get spaces, as people write it.
    spaced = f" {operator.name} " if operator.precedence == 1 else operator.name
    return f"{left}{spaced}{right}", operator.precedence
