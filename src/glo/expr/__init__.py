"""Expressions: the tree f(x, y), its text, canonical form, fingerprint and LaTeX.  Imports numpy, never torch."""

from glo.expr.canonical import canonical
from glo.expr.coefficients import all_coefficients, effective_coefficients, with_coefficients
from glo.expr.describe import describe
from glo.expr.dual import Context, Dual, derivative, evaluate, evaluate_dual, visible_slopes
from glo.expr.fingerprint import (
    HARD,
    REAL,
    SOFT,
    ProbePoints,
    fingerprint,
    probed_slopes,
    scale_free_fingerprint,
    softmax_fingerprint,
)
from glo.expr.latex import latex
from glo.expr.operators import OPERATORS, Operator
from glo.expr.second import Jet, second_order
from glo.expr.text import parse
from glo.expr.tree import CONTEXT, LEAVES, MAX_DEPTH, MAX_INTEGER, MAX_NODES, VARIABLES, Expr, check_size, constant, fold

__all__ = [
    "CONTEXT",
    "HARD",
    "LEAVES",
    "MAX_DEPTH",
    "MAX_INTEGER",
    "MAX_NODES",
    "OPERATORS",
    "REAL",
    "SOFT",
    "VARIABLES",
    "Context",
    "Dual",
    "Expr",
    "Jet",
    "Operator",
    "ProbePoints",
    "all_coefficients",
    "canonical",
    "check_size",
    "constant",
    "derivative",
    "describe",
    "effective_coefficients",
    "evaluate",
    "evaluate_dual",
    "fingerprint",
    "fold",
    "latex",
    "parse",
    "probed_slopes",
    "scale_free_fingerprint",
    "second_order",
    "softmax_fingerprint",
    "visible_slopes",
    "with_coefficients",
]  # fmt: skip
