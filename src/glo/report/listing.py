"""The candidates as data for the page's table: compact, and within a limit of size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from glo.records import Direction, Status
from glo.report.formulas import instructions
from glo.report.sizes import Sized

FIRST = 9  # the place in a row that says whether it is the first with its fingerprint
LIMIT = 2_000_000  # characters: a page stays below 3 MB


@dataclass(frozen=True)
class Listing:
    """The candidates of a page.

    Attributes:
        rows: as the page's script reads them, the best first.
        left_out: how many candidates there was no room for, the worst.
    """

    rows: list[list[Any]]
    texts: list[str]
    left_out: int

    def json(self) -> Markup:
        """As JSON that cannot end the script element in which it stands."""
        text = json.dumps({"texts": self.texts, "rows": self.rows}, separators=(",", ":"), ensure_ascii=False)
        escaped = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        return Markup(escaped)  # noqa: S704 - without "<" it is no markup


def listing(candidates: Sequence[Sized], direction: Direction) -> Listing:
    """The candidates, trained ones first and the best of these first, as many as there is room for.

    A row has: number, generation, expression, fitness or None, size, learning rate or None, the places of status, phase and
    reason in `texts`, whether it is the first with its fingerprint, and the instructions that compute it.
    """
    texts: dict[str, int] = {}
    rows: list[list[Any]] = []
    used, seen = 0, set[str]()
    for each in sorted(candidates, key=lambda each: _order(each, direction)):
        found = each.candidate
        trained = found.status is Status.TRAINED
        places = [texts.setdefault(text, len(texts)) for text in (found.status.value, found.phase.value, found.reason)]
        code = "" if each.tree is None else instructions(each.tree)
        rate = found.learning_rate if trained else None
        row = [found.number, found.generation, found.expression, found.fitness if trained else None, each.size, rate]
        used += len(found.expression) + len(code) + 50
        if used > LIMIT:
            break
        new = not trained or found.fingerprint not in seen
        seen.add(found.fingerprint)
        rows.append([*row, *places, int(new), code])
    return Listing(rows, list(texts), len(candidates) - len(rows))


def _order(each: Sized, direction: Direction) -> tuple[bool, float, int, int]:
    trained = each.candidate.status is Status.TRAINED
    return not trained, -direction.sign * each.candidate.fitness if trained else 0.0, each.size, each.candidate.number
