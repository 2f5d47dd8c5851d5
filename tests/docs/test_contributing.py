"""The examples in CONTRIBUTING.md work, and the files and names that the developers' pages mention exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glo.expr import Operator
from glo.loss.python import Code, CodeFunctions
from glo.search import PAPER_WEIGHTS, Search
from glo.testing import SearchContract

ROOT = Path(__file__).parents[2]
PAGES = ["CONTRIBUTING.md", "docs/architecture.md", "docs/stability.md"]
CODE = re.compile(r"`([^`\n]+)`")


def example(start: str) -> str:
    """The block of Python code that starts with these words."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL)
    (found,) = [block for block in blocks if block.lstrip().startswith(start)]
    return found


def random_search() -> Any:
    """The class of the example, which has its own imports."""
    names: dict[str, Any] = {}
    exec(example("from collections.abc"), names)  # noqa: S102 - our own page
    return names["RandomSearch"]


class TestRandomSearch(SearchContract):
    def make(self, seed: int, rounds: int) -> Search:
        return random_search()(PAPER_WEIGHTS, seed, rounds)


def test_the_operator_is_right() -> None:
    row: Operator = eval(example("Operator(").strip().rstrip(","), {"Operator": Operator})  # noqa: S307 - our own page
    points = np.linspace(-3, 3, 50)
    value, h = row.value(np, points), 1e-6
    slopes = (row.value(np, points + h) - row.value(np, points - h)) / (2 * h)
    np.testing.assert_allclose(row.partials(np, value, points)[0], slopes, rtol=1e-6)
    code = row.value(CodeFunctions("np"), Code("a")).text
    np.testing.assert_allclose(eval(code, {"np": np, "a": points}), value)  # noqa: S307


@pytest.mark.parametrize("page", PAGES)
def test_paths_and_names_exist(page: str) -> None:
    missing: list[str] = []
    for code in CODE.findall((ROOT / page).read_text(encoding="utf-8")):
        if re.fullmatch(r"(src|tests|docs|examples|\.ci)/[\w./-]+", code):
            exists = "NAME" in code or "NNNN" in code or (ROOT / code).exists()
        elif re.fullmatch(r"glo(\.\w+)+", code):
            exists = resolves(code)
        else:
            continue
        if not exists:
            missing.append(code)
    assert missing == []


def test_the_walks_mention_only_what_is_in_the_source() -> None:
    """Each part of a name such as `Funnel.submit`, each option and each file occurs somewhere in src."""
    files = sorted((ROOT / "src").rglob("*.py"))
    source = "\n".join(file.read_text(encoding="utf-8") for file in files)
    known = {*re.findall(r"\w+", source), *(file.name for file in files)}
    text = re.sub(r"```.*?```", "", (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    mentioned = [code for code in CODE.findall(text) if re.fullmatch(r"[\w.]+", code)]
    assert len(mentioned) > 50
    unknown = [code for code in mentioned if not {Path(code).name} & known and not {*code.split(".")} <= known]
    assert unknown == []


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for split in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:split]))
        except ModuleNotFoundError:
            continue
        for part in parts[split:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False
