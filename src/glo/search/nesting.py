"""Forbidden nestings: an operator that may not occur anywhere below another, such as log(exp)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from glo.errors import ConfigError
from glo.expr import OPERATORS, Expr

# Of an operator, those that may not occur anywhere below it.
Nestings = Mapping[str, frozenset[str]]
NONE: frozenset[str] = frozenset()
FORM = re.compile(r"([^()\s]+)\(([^()\s]+)\)")


def read_nestings(texts: Iterable[str]) -> dict[str, frozenset[str]]:
    """Nestings from texts such as "log(exp)": exp may not occur anywhere below log.

    Raises:
        ConfigError: for a text of another form, or an operator that does not exist.
    """
    nestings: dict[str, frozenset[str]] = {}
    for text in texts:
        if (match := FORM.fullmatch("".join(text.split()))) is None:
            raise ConfigError(f"a forbidden nesting is OUTER(INNER), e.g. log(exp), not {text!r}")
        outer, inner = match.groups()
        for name in (outer, inner):
            if name not in OPERATORS:
                raise ConfigError(f"'{name}' in the forbidden nesting {text!r} is no operator: use {', '.join(OPERATORS)}")
        nestings[outer] = nestings.get(outer, NONE) | {inner}
    return nestings


def forbidden_nesting(expr: Expr, nestings: Nestings) -> str | None:
    """The first forbidden nesting in an expression, as text; None if there is none."""
    return _below(expr, nestings, {}) if nestings else None


def _below(expr: Expr, nestings: Nestings, barred: Mapping[str, str]) -> str | None:
    """The first forbidden nesting in a subtree; `barred` has the operators that are forbidden here, and below which."""
    if not expr.children:
        return None
    if expr.symbol in barred:
        return f"{barred[expr.symbol]}({expr.symbol})"
    if expr.symbol in nestings:
        barred = {**dict.fromkeys(nestings[expr.symbol], expr.symbol), **barred}
    return next(filter(None, (_below(child, nestings, barred) for child in expr.children)), None)
