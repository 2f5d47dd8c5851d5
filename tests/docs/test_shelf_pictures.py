"""The curves of the shelf: every family that differs from another has a panel, and the guide shows the pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from glo.catalog import STANDARD
from glo.catalog.shelf import SHELF
from glo.records import Link

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_shelf", DOCS / "make_shelf.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("link", Link)
def test_each_family_has_a_panel_with_its_variants(script: ModuleType, link: Link) -> None:
    figure = script.figure_of(link)
    panels = {axes.get_title(): axes for axes in figure.axes if axes.get_visible()}
    assert list(panels) == [known.name for known in SHELF[link.value] if not known.uses_prior]
    for known in SHELF[link.value]:
        if known.parameters and not known.uses_prior:
            assert [text.get_text() for text in panels[known.name].get_legend().get_texts()] == list(known.variants())
    assert f"images/shelf-{link.value}.png" in (DOCS / "guide" / "shelf.md").read_text(encoding="utf-8")
    assert (DOCS / "images" / f"shelf-{link.value}.png").exists()


def test_cross_entropy_pushes_by_the_probability_that_is_missing(script: ModuleType) -> None:
    y = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(script.pull(STANDARD["softmax"], Link.SOFTMAX, 1.0, y), 1 - y)
