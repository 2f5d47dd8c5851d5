"""The atlas of an enumeration: every loss by rank, with the names of the named losses that train like it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from glo.catalog import known_as
from glo.expr import parse
from glo.records import Outcome


def atlas_rows(ranked: Sequence[Outcome]) -> list[dict[str, Any]]:
    """JSON-like rows for ranked outcomes, the best first."""
    return [
        {
            "rank": number,
            "expression": outcome.expression,
            "known_as": known_as(parse(outcome.expression)),
            "fitness": outcome.fitness,
            "learning_rate": outcome.learning_rate,
            "status": outcome.status.value,
            "reason": outcome.reason,
            "nodes": parse(outcome.expression).nodes,
            "fingerprint": outcome.fingerprint,
        }
        for number, outcome in enumerate(ranked, start=1)
    ]


def atlas_csv(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as CSV with a header; names are separated by spaces."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["rank"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "known_as": " ".join(row["known_as"])} for row in rows)
    return text.getvalue()
