"""The explorer in a browser, under a content security policy that allows its own scripts and nothing else."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

from browser.conftest import OpenPage, screenshot

DOCS = Path(__file__).parents[2] / "docs"
AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
POLICY = "default-src 'none'; script-src 'nonce-of-the-test'"


@pytest.fixture
def explorer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The part of the page that is HTML, with its scripts in it."""
    monkeypatch.syspath_prepend(str(DOCS))
    language = importlib.import_module("make_parts").language
    markdown = (DOCS / "understand" / "explorer.md").read_text(encoding="utf-8")
    (body,) = re.findall(r"<div id=\"glo-explorer\".*?(?=\n## )", markdown, re.DOTALL)
    scripts = {"language.js": f"globalThis.GLO_LANGUAGE = {json.dumps(language())};"}
    for name in ("expressions.js", "explorer.js"):
        scripts[name] = (DOCS / "assets" / name).read_text(encoding="utf-8")
    for name, text in scripts.items():
        source = f'<script src="../assets/{name}"></script>'
        assert source in body
        body = body.replace(source, f'<script nonce="of-the-test">{text}</script>')
    page = tmp_path / "explorer.html"
    head = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>Explorer</title>'
    content = f'<!doctype html><html lang="en"><head>{head}</head><body><main><h1>Explorer</h1>{body}</main></body></html>'
    page.write_text(content, encoding="utf-8")
    return page


def test_an_expression_that_is_typed_is_described(explorer: Path, open_page: OpenPage) -> None:
    with open_page(explorer) as page:
        facts, alert = page.locator("dl"), page.locator("[role=alert]")
        assert "0.3162" in facts.inner_text()
        assert page.locator("svg").count() == 3
        page.get_by_label("f(x, y)").fill("x*log(y)")
        assert "It always wants to be surer" in facts.inner_text()
        page.get_by_label("f(x, y)").fill("x*lag(y)")
        assert alert.inner_text() == "unknown word 'lag'"
        assert page.locator("svg").count() == 0
        page.get_by_role("button", name="-x*log(y)").click()
        assert "No: minimising it does not make the decisions right" in facts.inner_text()


def test_hostile_text_is_text(explorer: Path, open_page: OpenPage) -> None:
    with open_page(explorer) as page:
        for text in ('<img src=x onerror="document.title=1">', "constructor(x)", "document.title=1", "__proto__(y)"):
            page.get_by_label("f(x, y)").fill(text)
            assert page.locator("[role=alert]").inner_text()
        assert page.title() == "Explorer"
        assert page.locator("img").count() == 0


def test_the_number_of_classes_moves_the_minimum(explorer: Path, open_page: OpenPage) -> None:
    with open_page(explorer) as page:
        page.get_by_label("Number of classes").fill("2")
        assert "0.7071" in page.locator("dl").inner_text()


@pytest.mark.parametrize("width", [400, 1400])
def test_it_is_accessible_and_fits(explorer: Path, open_page: OpenPage, width: int) -> None:
    with open_page(explorer, width) as page:
        screenshot(page, f"explorer-{width}")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.evaluate(AXE)
        assert page.evaluate("axe.run().then(found => found.violations.map(each => each.id))") == []
