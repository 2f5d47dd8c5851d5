"""A whole study as one text, to move it between stores: JSON lines, of which the last is a digest of those before.

The first line says what it is and has the configuration; then there is a line for each generation, and one for the judgement
if there is one.  Numbers are written so that they are read back to the bit.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from glo.errors import ExpressionError, StudyError
from glo.expr import parse
from glo.store import GenerationRecord, StudyRecord, WholeStudy, check_name
from glo.study.composing import validated
from glo.version import __version__

FORMAT = 1
HEAD, GENERATIONS = TypeAdapter(StudyRecord), TypeAdapter(GenerationRecord)
DAMAGED = "it is damaged, or not a study that glo has written: export the study again"


def study_text(study: WholeStudy) -> str:
    """The text of a study; `read_study_text` reads it."""
    lines = [json.dumps(part) for part in _parts(study)]
    return "\n".join([*lines, json.dumps({"sha256": _digest(lines)})]) + "\n"


def read_study_text(text: str, name: str | None = None) -> WholeStudy:
    """The study of a text, every part of which is checked.

    Args:
        text: as `study_text` has made it.
        name: for the study, instead of its own.

    Raises:
        StudyError: if the text is damaged, cut off, of another version, or not a study.
        ConfigError: if the name is none, or the configuration has options that this version does not know.
    """
    *lines, last = text.splitlines() or [""]
    head = _json(lines[0] if lines else last)
    if not isinstance(head, dict) or "glo_study" not in head:
        raise StudyError("it is not a study that glo export --format study has written")
    if head["glo_study"] != FORMAT:
        raise StudyError(
            f"it was written by another version of glo (format {head['glo_study']!r}, this is {FORMAT}): use that"
        )
    if _json(last) != {"sha256": _digest(lines)}:
        raise StudyError(f"it is cut off or changed: {DAMAGED}")
    parts = [_json(line) for line in lines[1:]]
    record = _read(HEAD, head.get("study"))
    judgement = parts.pop()["judgement"] if parts and isinstance(parts[-1], dict) and "judgement" in parts[-1] else None
    study = WholeStudy(record, [_read(GENERATIONS, part) for part in parts], judgement)
    _check(study)
    return study if name is None else replace(study, record=replace(record, name=check_name(name)))


def _parts(study: WholeStudy) -> Iterator[dict[str, Any]]:
    """The content of each line."""
    yield {"glo_study": FORMAT, "glo": __version__, "study": HEAD.dump_python(study.record, mode="json")}
    for generation in study.generations:
        yield GENERATIONS.dump_python(generation, mode="json")
    if study.judgement is not None:
        yield {"judgement": dict(study.judgement)}


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _json(line: str) -> Any:
    """The value of a line.

    Raises:
        StudyError: if it is no JSON, or has a character that no database stores.
    """
    try:
        value = json.loads(line)
        if "\\u0000" in json.dumps(value):
            raise ValueError("a null character")
        json.dumps(value, ensure_ascii=False).encode()  # half of a character is an error here
    except (ValueError, RecursionError) as error:
        raise StudyError(f"a line cannot be read ({str(error)[:80]}): {DAMAGED}") from None
    return value


def _read(adapter: TypeAdapter[Any], value: Any) -> Any:
    """A record from its content, which must be exactly that which the record would be written as."""
    try:
        record = adapter.validate_python(value)
    except (ValidationError, RecursionError) as error:
        raise StudyError(f"a part has another form ({str(error).splitlines()[0][:80]}): {DAMAGED}") from None
    if json.dumps(adapter.dump_python(record, mode="json"), sort_keys=True) != json.dumps(value, sort_keys=True):
        raise StudyError(f"a part has more than it may have: {DAMAGED}")
    return record


def _check(study: WholeStudy) -> None:
    """Check what the forms do not say.

    Raises:
        StudyError: if generations are missing, an expression is none, or a fitness is not a number.
        ConfigError: for a bad name or configuration.
    """
    check_name(study.record.name)
    validated(study.record.config)
    if [generation.generation for generation in study.generations] != list(range(study.record.generations)):
        raise StudyError(f"generations are missing: {DAMAGED}")
    if study.judgement is not None and not (
        isinstance(study.judgement, dict) and isinstance(study.judgement.get("created"), str)
    ):
        raise StudyError(f"the judgement has another form: {DAMAGED}")
    outcomes = [outcome for generation in study.generations for outcome in generation.outcomes]
    try:
        for text in {outcome.expression for outcome in outcomes}:
            parse(text)
    except ExpressionError as error:
        raise StudyError(f"{error}: {DAMAGED}") from None
    if any(math.isnan(outcome.fitness) for outcome in outcomes):
        raise StudyError(f"a fitness is not a number: {DAMAGED}")
