"""Notebooks as pages of the site: text as it is, code and what it printed as blocks, pictures as files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def page_of(path: Path) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, and the pictures that it shows, by file name.

    Raises:
        ValueError: for an output that a page cannot show.
    """
    pictures: dict[str, bytes] = {}
    parts = [f"*This page is a notebook: [download {path.name}]({path.name}).*"]
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for text, picture in filter(None, map(_shown, cell["outputs"])):
            if picture:
                name = f"{path.stem}-{len(pictures)}.png"
                pictures[name] = picture
                parts.append(f"![What the code above draws]({name})")
            else:
                parts.append(f"```text\n{text.rstrip()}\n```")
    title, *rest = parts[1:]
    return "\n\n".join([title, parts[0], *rest]) + "\n", pictures


def _shown(output: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """The text of an output, or the bytes of its picture; None for text on standard error."""
    if output["output_type"] == "stream":
        return ("".join(output["text"]), b"") if output["name"] == "stdout" else None
    data = output.get("data", {})
    if "image/png" in data:
        return "", base64.b64decode("".join(data["image/png"]))
    if "text/plain" in data:
        return "".join(data["text/plain"]), b""
    raise ValueError(f"a page cannot show this output: {output}")


def notebooks(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.ipynb"))
