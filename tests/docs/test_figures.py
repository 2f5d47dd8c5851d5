"""The figures of docs/understand are drawn by docs/make_figures.py, and a page shows each of them."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_each_figure_is_drawn_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    figures = importlib.import_module("make_figures").FIGURES
    pages = "".join(page.read_text(encoding="utf-8") for page in (DOCS / "understand").glob("*.md"))
    for name, draw in figures.items():
        assert f"../images/{name}.png" in pages
        assert (DOCS / "images" / f"{name}.png").exists()
        assert draw().axes
    assert {f"{name}.png" for name in figures} == {path.name for path in (DOCS / "images").glob("understand-*")}


def test_the_minimum_of_baikal_is_where_the_paper_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figure 6 of the paper: 0.71 and 0.77 for two classes."""
    monkeypatch.syspath_prepend(str(DOCS))
    (axes,) = importlib.import_module("make_figures").two_classes().axes
    curves = {line.get_label().partition(",")[0]: line for line in axes.lines if not str(line.get_label()).startswith("_")}
    lowest = {name: line.get_xdata()[np.argmin(line.get_ydata())] for name, line in curves.items()}
    assert lowest == pytest.approx({"cross_entropy": 0.99, "baikal": 0.71, "baikal_cma": 0.77}, abs=0.01)
