"""The page of a study: one HTML file, which needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from glo.expr import parse
from glo.report.content import StudyContent
from glo.report.family import family
from glo.report.figures import curves, gains_chart, ordered_rows, progress_chart, row_name, seeds_chart, sizes_chart, words
from glo.report.formulas import mathml
from glo.report.listing import FIRST, listing
from glo.report.predictions import confusions, prediction_charts
from glo.report.sizes import sized
from glo.report.tables import BY_MEDIAN, STAGE_TEXT
from glo.report.usage import usages

NUMBERS = re.compile(r" \([^()]* interval [^()]*\)")  # of a verdict; its headline has none
SHOWN_AT_FIRST = 25  # rows of the table of candidates, also without a script


def study_page(content: StudyContent) -> str:
    """The page of a study as HTML.  All texts of the study are escaped."""
    candidates = sized(content.candidates)
    listed = listing(candidates, content.direction)
    trees = {each.candidate.number: each.tree for each in candidates}
    known = {each.candidate.number: each for each in candidates}
    style, script = _asset("page.css"), _asset("page.js")
    return (
        _environment()
        .get_template("study.html.j2")
        .render(
            study=content,
            policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; base-uri 'none'",
            style=Markup(style),  # noqa: S704 - glo's own files
            script=Markup(script),  # noqa: S704
            curves=curves(content.curves, content.link),
            judged=_judged(content),
            predictions=_predictions(content),
            progress=progress_chart(content),
            sizes=sizes_chart(content, candidates),
            tree=family(content.root, content.origins, content.candidates),
            front=[(each, known[each.number].size, trees[each.number]) for each in content.front],
            first_rows=[known[row[0]] for row in listed.rows if row[FIRST]][:SHOWN_AT_FIRST],
            listing=listed,
            use=content.use and (content.use, usages(content.use, content.classes)),
            stages=STAGE_TEXT | BY_MEDIAN if content.objective else STAGE_TEXT,
            config=json.dumps(content.config, indent=2, ensure_ascii=False),
        )
    )


def _judged(content: StudyContent) -> dict[str, Any] | None:
    """The charts and rows of the comparison; None if the study is not judged."""
    if content.judgement is None:
        return None
    comparison, verdict = content.judgement["comparison"], content.judgement["verdict"]
    return {
        "verdict": verdict,
        "headline": NUMBERS.sub("", verdict["text"]),
        "comparison": comparison,
        "seeds": seeds_chart(content.judgement),
        "gains": gains_chart(content.judgement),
        "rows": [(row_name(name, row), row, verdict["gains"].get(name)) for name, row in ordered_rows(content.judgement)],
    }


def _predictions(content: StudyContent) -> dict[str, Any] | None:
    """The charts and tables of what the losses predict; None where that was not counted."""
    predictions = {} if content.judgement is None else content.judgement["predictions"]
    if content.judgement is None or len(predictions) < 2:
        return None
    rows = content.judgement["comparison"]["losses"]
    named = {row_name(name, rows[name]): counts for name, counts in predictions.items()}
    return {"charts": prediction_charts(named, content.link), "confusions": confusions(named)}


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("glo.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"mathml": mathml, "parse": parse, "words": words}
    return made


@cache
def _asset(name: str) -> str:
    return (files("glo.report") / "templates" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """By which a content security policy knows an inline style sheet or script."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
