"""An extension of griffe: the docstrings of glo, as mkdocstrings reads them.

`a, b: text` in a section describes two names, and `Example:` is Python code.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

SHARED = re.compile(r"^( {4})(\*{0,2}\w+(?:, \*{0,2}\w+)+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
SECTIONS = re.compile(r"^(?:Args|Attributes):\n(?:(?: {4}.*)?\n)+", re.MULTILINE)
EXAMPLE = re.compile(r"^Example:\n((?:(?: {4}.*)?\n)+)", re.MULTILINE)


def readable(docstring: str) -> str:
    """The same docstring in the form that griffe knows."""
    text = SECTIONS.sub(lambda section: SHARED.sub(_one_by_one, section[0]), docstring.rstrip() + "\n")
    return EXAMPLE.sub(lambda found: f"Examples:\n{textwrap.indent(_block(found[1]), ' ' * 4)}\n", text)


def _one_by_one(entry: re.Match[str]) -> str:
    return "\n".join(f"{entry[1]}{name}: {entry[3]}" for name in entry[2].split(", "))


def _block(code: str) -> str:
    return f"```python\n{textwrap.dedent(code).strip()}\n```"


class Docstrings(griffe.Extension):
    """Rewrites each docstring as soon as it is read."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:  # noqa: ARG002 - griffe gives more
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)
