"""The notebooks of docs/notebooks run from top to bottom, and print what their committed outputs show."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pages import assert_printed

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


def printed(cells: list[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of text in the outputs; of an output in pieces, as one."""
    for cell in cells:
        text = ""
        for output in cell.get("outputs", ()):
            if output["output_type"] == "stream" and output["name"] == "stdout":
                text += "".join(output["text"])
            elif output["output_type"] == "execute_result":
                text += "".join(output["data"]["text/plain"])
        yield from text.splitlines()


@pytest.mark.filterwarnings("ignore")  # those of Jupyter
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_prints_what_it_shows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nbclient", reason="pip install 'glo-torch[docs]'")
    pytest.importorskip("ipykernel", reason="pip install 'glo-torch[docs]'")
    monkeypatch.syspath_prepend(str(DOCS))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = importlib.import_module("make_notebooks").executed(path)
    shown = json.loads(path.read_text(encoding="utf-8"))
    assert list(printed(shown["cells"]))
    assert_printed(list(printed(found.cells)), list(printed(shown["cells"])))


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"first-steps", "own-loop", "noisy-labels", "reading-a-loss"}
