"""The picture of the rooms in docs/architecture.md as HTML, since the site loads no script that draws Mermaid."""

from __future__ import annotations

import re

PICTURE = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ROW = re.compile(r'subgraph \w+ \[" "\]\n(.*?)\n  end', re.DOTALL)
BOX = re.compile(r'^ +\w+\["(.*?)"\]$', re.MULTILINE)


def without_mermaid(markdown: str) -> str:
    """A page whose pictures in Mermaid are rows of boxes.

    Raises:
        ValueError: for a picture that is not made of rows.
    """
    return PICTURE.sub(lambda picture: _rows(picture[1]), markdown)


def _rows(picture: str) -> str:
    rows = [BOX.findall(row) for row in ROW.findall(picture)]
    if not rows or not all(rows):
        raise ValueError(f"only rows of boxes can be drawn: {picture[:80]!r}")
    lines = ["<div>" + "".join(f"<span>{box}</span>" for box in row) + "</div>" for row in rows]
    return "\n".join(['<div class="glo-rows">', *lines, "</div>"])
