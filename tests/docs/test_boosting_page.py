"""The examples of docs/integrations/lightgbm.md run as they are printed, and print what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "lightgbm.md"
EXAMPLES = re.findall(r"```python\n(import .*?)```\n\n```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
NUMBER = re.compile(r"\d\.\d+")


@pytest.mark.parametrize(("code", "printed"), EXAMPLES, ids=["lightgbm", "xgboost"])
def test_example_prints_what_the_page_says(code: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightgbm", reason="needs LightGBM: pip install 'glo-torch[boosting]'")
    pytest.importorskip("xgboost", reason="needs XGBoost: pip install 'glo-torch[boosting]'")
    space: dict[str, Any] = {}
    exec(code, space)  # noqa: S102 - the page's own code
    found = capsys.readouterr().out
    assert NUMBER.sub("", found) == NUMBER.sub("", printed)
    # Other versions of the libraries may grow other trees.
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (found, printed)]
    assert numbers[0] == pytest.approx(numbers[1], abs=0.03)
