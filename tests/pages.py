"""Code blocks of documentation pages, and the comparison of what they print with what the page shows.

A block is run unless a comment directly above it says why not: `<!-- not run: it takes a minute -->`.  The comment `<!-- run
with trials=8 instead of trials=200 -->` has it run with less.  Python that a reader does not see, such as the data of an
example, is in a comment too: `<!-- run first` on a line, the code, and `-->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

BLOCK = re.compile(
    r"<!-- run first\n(?P<hidden>.*?)^-->$"
    r"|(?:^<!-- not run: (?P<reason>[^\n]+) -->\n+|^<!-- run with (?P<less>[^\n]+) instead of (?P<more>[^\n]+) -->\n+)?"
    r"^```(?P<language>python|sh)\n(?P<code>.*?)^```$"
    r"(?:\n+```text\n(?P<shown>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)
NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A block of code, with the lines of the text below it.

    Attributes:
        reason: why it is not run; empty if it is.
    """

    language: str
    code: str
    shown: list[str]
    reason: str = ""


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of Python and of commands of a page, in their order."""
    for found in BLOCK.finditer(page.read_text(encoding="utf-8")):
        if found["hidden"] is not None:
            yield Block("python", found["hidden"], [])
        else:
            more, less = found["more"] or "", found["less"] or ""
            if more not in found["code"]:
                raise ValueError(f"{page}: there is no {more} in the block below the comment that names it")
            code = found["code"].replace(more, less) if more else found["code"]
            yield Block(found["language"], code, (found["shown"] or "").splitlines(), found["reason"] or "")


def commands(code: str) -> list[str]:
    """The command lines of a block, without comments."""
    joined = re.sub(r" *\\\n *", " ", code)
    return [line.partition("  #")[0].strip() for line in joined.splitlines() if line.strip()]


def same(printed: str, shown: str) -> bool:
    """Equal text, and numbers with a decimal point that differ by at most 5 % or 0.02."""
    if NUMBER.sub("#", printed).split() != NUMBER.sub("#", shown).split():
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=0.05, abs=0.02) for a, b in pairs)


def assert_printed(printed: Sequence[str], shown: Sequence[str]) -> None:
    """Each line that is shown was printed, in this order, perhaps with others between them; `...` stands for any lines."""
    rest = iter(printed)
    missing = [line for line in shown if line.strip() != "..." and not any(same(other, line) for other in rest)]
    assert not missing, "\n".join(printed)
