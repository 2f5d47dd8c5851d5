"""Random losses: trees as a search draws them, losses with a name, families, and forms with log(1 - y)."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import Generator

from glo.catalog import NAMED, confidence_penalty, focal, generalised_cross_entropy, smoothed_binary_cross_entropy
from glo.evaluation.checks import finite_derivative, probe_points, structure
from glo.expr import OPERATORS, Expr, parse
from glo.records import Link
from glo.search import PAPER_WEIGHTS, Elements

from .modules import pick

PAPER = Elements(PAPER_WEIGHTS)
EVERYTHING = Elements(
    {**dict.fromkeys(OPERATORS, 1), "x": 4, "y": 5, "1": 1, "-1": 1, "0": 0.3, "0.5": 1, "2": 1, "-0.0": 0.2}
)
LOG_FORMS = (
    "x*log(y) + (1 - x)*log(1 - y)", "log(1 - y)", "log(1 - y)*(1 - x)", "{a}*x*log(y) + {b}*(1 - x)*log(1 - y)",
    "x*log(1 - y) - y", "(1 - x)*square(y)*log(1 - y) + x*square(1 - y)*log(y)", "log(1 - y) - (1 - x)/y",
    "log(1 - y*y)", "log(1 - {a}*y)", "log(y)*log(1 - y) + x*y", "x*sqrt(y)*log(y) - y*log(1 - y)", "-x/log(1 - y)",
)  # fmt: skip
OWN_FORMS = (
    "-square({a}*x - y)", "-abs(x - y)**{b}", "-abs(x - y)", "{a}*x*y - {b}*square(y)", "min(x, y) + {a}*x*log(y)",
    "max(y, 1 - y)*x - y", "min(y, 1 - y) + x*y", "tanh({a}*(x - y))*(y - x)", "x*exp(-{a}*y)", "y**-0.5 - x/y",
    "-(x*log(x/y))", "x*log({a}*y)", "x*log(y) + y*exp(-1/min(-x, 1))", "exp(1/max(-x, -1))*y", "y*log(2*x)**-0.5",
    "x*log(y) - 0*log(0 - 1)", "x*y*log(0 - 1)", "1/(x - y)", "sqrt(x - y)",
)  # fmt: skip


def random_loss(rng: Generator, link: Link) -> Expr:
    """A loss that depends on y; most trees are viable, as those that a search trains."""
    source = rng.random()
    if source < 0.3:
        return NAMED[pick(rng, sorted(NAMED))]
    if source < 0.45:
        numbers = {name: round(float(rng.uniform(0.1, 3)), 3) for name in "ab"}
        return parse(pick(rng, LOG_FORMS + OWN_FORMS).format(**numbers))
    if source < 0.5:
        number = float(rng.uniform(0.05, 1))
        return pick(rng, [generalised_cross_entropy, focal, confidence_penalty, smoothed_binary_cross_entropy])(
            number * 0.99
        )
    elements, viable = pick(rng, [PAPER, EVERYTHING]), rng.random() < 0.8
    check = finite_derivative(probe_points(link, soft=False))
    for _ in range(40):
        tree = elements.tree(rng, max_depth=3)
        if tree.uses("y") and (not viable or (structure([tree]) == [None] and check([tree]) == [None])):
            return tree
    return NAMED["mse"]


def random_rate(rng: Generator) -> float:
    return float(np.exp(rng.uniform(math.log(1e-3), math.log(3))))
