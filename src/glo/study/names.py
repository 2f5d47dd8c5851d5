"""Names of studies that were given none."""

from __future__ import annotations

from glo.catalog import NAMED
from glo.expr import Expr
from glo.records import digest


def default_name(task: str, what: str, seed: int) -> str:
    """The name of a study that was given none, e.g. "digits-default-0"."""
    return f"{task.replace(':', '.')}-{what}-{seed}"


def short_name(loss: Expr) -> str:
    """A loss's part of a study's name: its own name, else a hash of its text."""
    return next((name for name, named in NAMED.items() if named == loss), digest(str(loss))[:8])
