"""The page of a study: one HTML file, which needs nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from glo.expr import parse
from glo.report.content import StudyContent
from glo.report.family import family
from glo.report.figures import curves, gains_chart, ordered_rows, progress_chart, row_name, seeds_chart, sizes_chart, words
from glo.report.formulas import mathml
from glo.report.listing import FIRST, listing
from glo.report.predictions import confusions, prediction_charts
from glo.report.sizes import sized
from glo.report.tables import BY_MEDIAN, FROM_STORE, STAGE_TEXT, all_from_store
from glo.report.usage import usages

NUMBERS = re.compile(r" \([^()]* interval [^()]*\)")  # of a verdict; its headline has none
CARD_HEIGHT = 660  # pixels of a study in a notebook
SHOWN_AT_FIRST = 25  # rows of the table of candidates, also without a script


@dataclass(frozen=True)
class Live:
    """How an open page follows what it shows.

    Attributes:
        events: the address where the server tells each new version.
        version: that the page shows.
        scripts: that do so.
    """

    events: str
    version: str
    scripts: tuple[str, ...] = ()


def study_page(content: StudyContent, live: Live | None = None) -> str:
    """The page of a study as HTML.  All texts of the study are escaped.

    Args:
        live: if the page is to follow the study; a page that is a file does not.
    """
    candidates = sized(content.candidates)
    listed = listing(candidates, content.direction)
    trees = {each.candidate.number: each.tree for each in candidates}
    known = {each.candidate.number: each for each in candidates}
    return render(
        environment().get_template("study.html.j2"),
        live,
        scripts=("page.js", "candidates.js"),
        study=content,
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
        from_store=FROM_STORE if all_from_store(content.funnel, content.best is not None) else "",
        stages=STAGE_TEXT | BY_MEDIAN if content.objective else STAGE_TEXT,
        config=json.dumps(content.config, indent=2, ensure_ascii=False),
    )


def study_card(content: StudyContent) -> str:
    """A study in short, for a notebook: a frame of its own, whose styles do not reach the notebook, without scripts."""
    known = {each.candidate.number: each for each in sized(content.front)}
    page = render(
        environment().get_template("card.html.j2"),
        None,
        scripts=(),
        study=content,
        headline=headline(content.judgement) if content.judgement else "",
        progress=progress_chart(content),
        front=[(each, known[each.number].size) for each in content.front],
    )
    height = CARD_HEIGHT if content.best else CARD_HEIGHT // 3
    frame = Markup(
        '<iframe title="glo study {}" sandbox="" srcdoc="{}" style="width: 100%; height: {}px; border: 0"></iframe>'
    )
    return str(frame.format(content.name, page, height))


def render(template: Template, live: Live | None, *, scripts: tuple[str, ...] = ("page.js",), **values: Any) -> str:
    """A page of the common layout.

    Its policy lets it run its own scripts only; if it is live, it may reach its own server, and no other.
    """
    texts = [*(live.scripts if live else ()), *(asset("glo.report", name) for name in scripts)]
    style = asset("glo.report", "page.css")
    run = " ".join(map(_source, texts)) or "'none'"
    allowed = [f"style-src {_source(style)}", f"script-src {run}"]
    allowed += ["connect-src 'self'", "form-action 'self'"] if live else []
    return template.render(
        policy="; ".join(["default-src 'none'", *allowed, "base-uri 'none'"]),
        style=Markup(style),  # noqa: S704 - glo's own files
        scripts=[Markup(text) for text in texts],  # noqa: S704
        live=live,
        **values,
    )


def headline(judgement: Mapping[str, Any]) -> str:
    """A verdict in one sentence, without its numbers."""
    return NUMBERS.sub("", judgement["verdict"]["text"])


def _judged(content: StudyContent) -> dict[str, Any] | None:
    """The charts and rows of the comparison; None if the study is not judged."""
    if content.judgement is None:
        return None
    comparison, verdict = content.judgement["comparison"], content.judgement["verdict"]
    return {
        "verdict": verdict,
        "headline": headline(content.judgement),
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
def environment(*packages: str) -> Environment:
    """The templates of the reports, and of further packages."""
    loaders = [PackageLoader(package) for package in (*packages, "glo.report")]
    made = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {"mathml": mathml, "parse": parse, "words": words}
    return made


@cache
def asset(package: str, name: str) -> str:
    """A file beside the templates of a package."""
    return (files(package) / "templates" / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """By which a content security policy knows an inline style sheet or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
