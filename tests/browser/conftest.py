"""A real Chromium, as Debian installs it, or $GLO_CHROMIUM.

Where there is none, its tests are skipped with the reason; if `GLO_REQUIRE_SERVICES` lists chromium, they fail instead.
Screenshots are kept in the folder $GLO_SCREENSHOTS, if it is set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

AXE = (Path(__file__).parent / "axe" / "axe.min.js").read_text(encoding="utf-8")
OpenPage = Callable[..., AbstractContextManager["Page"]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def missing(reason: str) -> None:
    if "chromium" in os.environ.get("GLO_REQUIRE_SERVICES", "").split(","):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each page has a context of its own."""
    program = os.environ.get("GLO_CHROMIUM") or shutil.which("chromium")
    if program is None:
        missing("there is no chromium: install it, or set GLO_CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed: pip install 'glo-torch[dev]'")
        return
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Browser) -> OpenPage:
    """Opens a file in a page of its own; at the end the page must have asked for nothing and have reported no error."""

    @contextmanager
    def opened(path: Path, width: int = 1000, **options: Any) -> Iterator[Page]:
        with page_of(browser, width, **options) as (page, said, asked):
            page.goto(path.as_uri())
            yield page
        assert (said, asked) == ([], [path.as_uri()])

    return opened


@pytest.fixture
def open_url(browser: Browser) -> OpenPage:
    """Opens an address; at the end the page must have asked that server only and, unless told, have reported no error.

    Its further argument `quiet=False` lets it report errors, as it does while its server is away.
    """

    @contextmanager
    def opened(url: str, width: int = 1000, quiet: bool = True, **options: Any) -> Iterator[Page]:
        with page_of(browser, width, **options) as (page, said, asked):
            page.goto(url)
            yield page
        if quiet:
            assert said == []
        assert {urlsplit(address).netloc for address in asked} == {urlsplit(url).netloc}

    return opened


@contextmanager
def page_of(browser: Browser, width: int, **options: Any) -> Iterator[tuple[Page, list[str], list[str]]]:
    """A page, what its console says, and the addresses that it asks for."""
    context = browser.new_context(viewport={"width": width, "height": 800}, **options)
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(f"error: {error}"))
    page.on("request", lambda request: asked.append(request.url))
    yield page, said, asked
    context.close()


def violations(page: Page) -> list[Mapping[str, Any]]:
    """What axe finds, by rule.  A page with a policy gets axe from outside it."""
    page.evaluate(AXE)
    return page.evaluate("axe.run().then(found => found.violations.map(v => [v.id, v.nodes.map(n => n.html)]))")


def screenshot(page: Page, name: str) -> None:
    """Keep a picture of the whole page, if a folder for it was given."""
    if folder := os.environ.get("GLO_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
