"""The dashboard in a real browser, beside a real search."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from browser.conftest import OpenPage, screenshot, violations
from dashboards import dashboard, record
from glo.store import Store
from made_up_studies import HOSTILE, generation, outcome, result
from starter import ENVIRONMENT

WIDTHS = (400, 800, 1400)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "glo.db"


def test_it_follows_a_search_that_really_runs(open_url: OpenPage, storage: Path) -> None:
    """It starts before there is a store; the pages follow without being loaded again."""
    with dashboard(storage) as url, open_url(url) as page:
        page.get_by_text(f"there is no store {storage}").wait_for()
        page.get_by_text("Live", exact=True).wait_for()
        command = f"search --task digits --steps 200 --population 8 --generations 9 --name live --storage {storage}".split()
        command += ["--baselines", "none", "--confirm", "0"]
        with subprocess.Popen([sys.executable, "-m", "glo", *command], env=ENVIRONMENT, stdout=subprocess.DEVNULL) as search:
            page.get_by_role("link", name="live").click()
            page.get_by_text(re.compile(r"candidates in \d+ generations? of 9, running")).wait_for()
            screenshot(page, "dashboard-running")
            page.get_by_text("72 candidates in 9 generations, finished.").wait_for()
        assert search.returncode == 0
        assert page.locator("#count").inner_text().endswith("72 candidates")
        page.get_by_label("Contains").fill("log")
        for text in page.locator("#table tbody td:nth-child(3)").all_inner_texts():
            assert "log" in text
        page.locator("#table tbody button").first.click()
        assert page.get_by_role("dialog").locator("svg path.line").count() == 4


def test_a_new_generation_keeps_what_the_reader_has_opened(open_url: OpenPage, storage: Path) -> None:
    record(storage)
    with dashboard(storage) as url, open_url(f"{url}/studies/made-up") as page:
        page.get_by_text("Live", exact=True).wait_for()
        page.get_by_label("Contains").fill("log(y)")
        page.get_by_text("The whole configuration").click()
        assert page.locator("#table tbody tr").count() == 2
        with closing(Store(storage)) as store:
            store.record("made-up", generation(2, [outcome("log(y)*2 + x/y", 0.95), outcome("x + y*y", 0.2)]))
        recorded = time.monotonic()
        page.get_by_text("The best loss so far reaches 0.9500").wait_for()
        print(f"shown {time.monotonic() - recorded:.2f} s after it was recorded")
        assert page.locator("#table tbody tr").count() == 3
        assert page.get_by_label("Contains").input_value() == "log(y)"
        assert page.locator("details", has_text="The whole configuration").get_attribute("open") is not None


def test_it_survives_its_own_restart(open_url: OpenPage, storage: Path) -> None:
    record(storage)
    running = ExitStack()
    url = running.enter_context(dashboard(storage))
    with running, open_url(url, quiet=False) as page:
        page.get_by_text("Live", exact=True).wait_for()
        running.close()
        page.get_by_text("Connection lost").wait_for()
        record(storage, name="second")
        with dashboard(storage, int(url.rsplit(":", 1)[1])):
            page.get_by_role("link", name="second").wait_for()
            page.get_by_text("Live", exact=True).wait_for()


def test_studies_beside_each_other(open_url: OpenPage, storage: Path) -> None:
    record(storage, judged=True)
    record(storage, name="second")
    record(storage, result([outcome("x*y", 0.5)], task="other"), name="third")
    with dashboard(storage) as url, open_url(url) as page:
        for name in ("made-up", "second", "third"):
            page.get_by_label(f"Compare {name}").check()
        page.get_by_role("button", name="Compare").click()
        assert page.locator("figure.chart").count() == 2  # one for each task
        assert page.locator("figure.chart").first.locator("path.line[class*=series]").count() >= 2
        assert violations(page) == []
        screenshot(page, "dashboard-compare")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_pages_are_accessible_and_fit(open_url: OpenPage, storage: Path, width: int) -> None:
    record(storage, judged=True)
    record(storage, name="second")
    with dashboard(storage) as url, open_url(url, width) as page:
        page.get_by_text("Live", exact=True).wait_for()
        for path, name in (
            ("", "studies"),
            ("/studies/made-up", "study"),
            ("/compare?study=made-up&study=second", "compare"),
        ):
            page.goto(f"{url}{path}")
            page.get_by_text("Live", exact=True).wait_for()
            assert page.evaluate("document.documentElement.scrollWidth") == width
            assert violations(page) == []
            screenshot(page, f"dashboard-{name}-{width}")


def test_hostile_texts_are_texts(open_url: OpenPage, storage: Path) -> None:
    record(storage, result([outcome("x*log(y)", 0.9)], task=HOSTILE))
    record(storage, result([outcome("x*log(y)", 0.9)], task=HOSTILE), name="second")
    with dashboard(storage) as url, open_url(url) as page:
        for path in ("", "/studies/made-up", "/compare?study=made-up&study=second"):
            page.goto(f"{url}{path}")
            assert HOSTILE in page.locator("body").inner_text()
            assert page.evaluate("window.hacked") is None
            assert page.locator("img").count() == 0
