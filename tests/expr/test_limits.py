"""Every operation on an expression within the parser's limits ends in a second, in the language, a search and a check."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from adversarial import hard_expressions, within_limits
from glo import catalog
from glo.errors import ConfigError, ExpressionError
from glo.evaluation.viability import viability
from glo.expr import (
    REAL,
    SOFT,
    Expr,
    all_coefficients,
    canonical,
    describe,
    effective_coefficients,
    fingerprint,
    latex,
    parse,
    probed_slopes,
    scale_free_fingerprint,
    with_coefficients,
)
from glo.expr.text import MAX_LENGTH
from glo.records import Link
from glo.search import PAPER_WEIGHTS
from glo.search.coefficients import tuned_positions
from glo.search.config import GeneticConfig
from glo.search.generate import Elements
from glo.search.variation import crossover, mutate
from limits import Operation, only_posix, too_slow

EXPRESSIONS = hard_expressions()
ELEMENTS = Elements(PAPER_WEIGHTS)


def forgotten(operation: Callable[[Expr], object]) -> Operation:
    """The operation without the results of earlier ones."""

    def afresh(expr: Expr) -> object:
        probed_slopes.cache_clear()
        fingerprint.cache_clear()
        return operation(expr)

    return afresh


def multiplied(expr: Expr) -> None:
    """With a coefficient at each node, and at each effective one, if the result is within the limits."""
    for positions in (all_coefficients(expr), effective_coefficients(expr)):
        with contextlib.suppress(ExpressionError):
            with_coefficients(expr, dict.fromkeys(positions, 1.5))


def tuned(expr: Expr) -> None:
    for which, on_ladder in itertools.product(("effective", "all"), (True, False)):
        with contextlib.suppress(ConfigError):  # without y
            tuned_positions(expr, which, on_ladder)


def varied(expr: Expr) -> None:
    rng = np.random.default_rng(0)
    crossover(expr, expr, rng)
    mutate(expr, GeneticConfig(), ELEMENTS, rng)


OPERATIONS: dict[str, Operation] = {
    "parse": lambda expr: parse(str(expr)),
    "comparison": lambda expr: hash(expr) == hash(parse(str(expr))) and expr == parse(str(expr)),
    "canonical": canonical,
    "describe": describe,
    "latex": latex,
    "fingerprint": forgotten(fingerprint),
    "fingerprint of soft labels": forgotten(lambda expr: fingerprint(expr, SOFT)),
    "fingerprint of real numbers": forgotten(lambda expr: scale_free_fingerprint(expr, REAL)),
    "scale-free fingerprint": forgotten(scale_free_fingerprint),
    "known names": forgotten(catalog.known_as),
    "coefficients": multiplied,
    "tuned positions": tuned,
    "variation": varied,
    **{f"viability for {link}": forgotten(lambda expr, link=link: viability(expr, link=link)) for link in Link},
}


def test_the_expressions_are_within_the_limits() -> None:
    assert all(within_limits(expr) for _, expr in EXPRESSIONS)
    assert max(expr.nodes for _, expr in EXPRESSIONS) > 990
    assert max(expr.depth for _, expr in EXPRESSIONS) == 100
    assert all(parse(str(expr)).nodes == expr.nodes for _, expr in EXPRESSIONS)


@only_posix
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_ends_in_a_second(name: str) -> None:
    assert too_slow({name: OPERATIONS[name]}, EXPRESSIONS) == []


TEXTS = {
    "parentheses": "(" * (MAX_LENGTH // 2) + "y" + ")" * (MAX_LENGTH // 2 - 1),
    "open parentheses": "(" * MAX_LENGTH,
    "signs": "-" * (MAX_LENGTH - 1) + "y",
    "a long number": "9" * MAX_LENGTH,
    "a long hexadecimal number": "0x" + "f" * (MAX_LENGTH - 2),
    "a long fraction": "0." + "9" * (MAX_LENGTH - 2),
    "a long word": "logg" * (MAX_LENGTH // 4),
    "a long function": "logg" * (MAX_LENGTH // 4 - 1) + "(y)",
    "a long sum": "y+" * (MAX_LENGTH // 2 - 1) + "y",
    "powers": "2**" * (MAX_LENGTH // 3 - 1) + "2",
    "functions": "log(" * (MAX_LENGTH // 5 - 1) + "y" + ")" * (MAX_LENGTH // 5 - 1),
    "lists": "[" * MAX_LENGTH,
    "a long text": "'" + "\\n" * (MAX_LENGTH // 2 - 1) + "'",
    "arguments": "max(" + "y," * (MAX_LENGTH // 2 - 10) + "y)",
    "comparisons": "y<" * (MAX_LENGTH // 2 - 1) + "y",
    "lines": "(" + "\n" * (MAX_LENGTH - 4) + "z)",
}


@only_posix
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_parsed_or_refused_in_a_second(name: str) -> None:
    def read(_: Expr) -> None:
        with contextlib.suppress(ExpressionError):
            parse(TEXTS[name])

    assert len(TEXTS[name]) <= MAX_LENGTH
    assert too_slow({"parse": read}, [(name, Expr("y"))]) == []


def test_factors_leave_nested_squares() -> None:
    def squares(text: str, count: int) -> str:
        return "square(" * count + text + ")" * count

    few, many = (str(canonical(parse(squares("2*y*(x + 1)", count)))) for count in (3, 60))
    assert few == f"256*{squares('y', 3)}*{squares('x + 1', 3)}"
    number = squares(repr(2.0**512), 51)  # its square is beyond float64
    assert many == f"{number}*{squares('y', 60)}*{squares('x + 1', 60)}"
