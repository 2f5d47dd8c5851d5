"""A real Chromium, as Debian installs it, or $GLO_CHROMIUM.

Where there is none, its tests are skipped with the reason; if `GLO_REQUIRE_SERVICES` lists chromium, they fail instead.
Screenshots are kept in the folder $GLO_SCREENSHOTS, if it is set.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

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
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: said.append(f"request: {request.url}"))
        page.goto(path.as_uri())
        yield page
        context.close()
        assert said == [f"request: {path.as_uri()}"]

    return opened


def screenshot(page: Page, name: str) -> None:
    """Keep a picture of the whole page, if a folder for it was given."""
    if folder := os.environ.get("GLO_SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
