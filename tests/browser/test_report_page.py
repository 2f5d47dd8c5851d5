"""The report in a real browser: nothing is loaded, nothing fails, everything works by keyboard and for screen readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from browser.conftest import OpenPage, screenshot, violations
from glo.expr import derivative, evaluate, parse
from glo.report.formulas import instructions
from made_up_studies import HOSTILE, judgement, many, ordinary, outcome, rejected, result

WIDTHS = (400, 800, 1400)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a judged search."""
    return ordinary().report(tmp_path_factory.mktemp("report") / "report.html", judgement())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_accessible_and_fits(open_page: OpenPage, report: Path, scheme: str, width: int) -> None:
    with open_page(report, width, color_scheme=scheme) as page:
        screenshot(page, f"report-{width}-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for details in page.locator("details").all():
            details.evaluate("each => { each.removeAttribute('name'); each.open = true; }")
        assert violations(page) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_of_a_chart_runs_through_the_name_of_a_row(open_page: OpenPage, report: Path, width: int) -> None:
    """What is drawn behind a name covers it, and hides no mark."""
    with open_page(report, width) as page:
        rows = page.evaluate("""[...document.querySelectorAll("text.row")].map(name => {
            const box = each => each.getBoundingClientRect();
            const [text, behind] = [box(name), box(name.previousElementSibling)];
            const marks = [...name.closest("svg").querySelectorAll("circle.mark")].map(box);
            return {
                name: name.textContent,
                covered: behind.left <= text.left && behind.right >= text.right
                    && behind.top <= text.top + 1 && behind.bottom >= text.bottom - 1,
                free: marks.every(mark => mark.bottom <= behind.top || mark.top >= behind.bottom),
            };
        })""")
    assert [row["name"] for row in rows][:2] == ["discovered", "cross entropy"]
    assert len(rows) == 5  # three losses, and two gains
    assert all(row["covered"] and row["free"] for row in rows), rows


def test_a_candidate_opens_with_its_formula_and_curves(open_page: OpenPage, report: Path) -> None:
    with open_page(report) as page:
        page.get_by_role("button", name="log(y) - x/y").last.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name="log(y) - x/y")
        assert dialog.locator("math").count() == 1
        assert dialog.locator("svg path.line").count() == 4
        assert "0.9300" in dialog.inner_text()
        assert violations(page) == []
        screenshot(page, "report-candidate")
        page.keyboard.press("Escape")
        assert dialog.count() == 0
        page.locator("circle.front").last.click()
        assert dialog.is_visible()


def test_the_table_sorts_and_filters(open_page: OpenPage, report: Path) -> None:
    with open_page(report) as page:
        table, count = page.locator("#table tbody"), page.locator("#count")

        def column(number: int) -> list[str]:
            return table.locator(f"td:nth-child({number})").all_inner_texts()

        assert count.inner_text() == "7 of 8 candidates"  # x*log(y) is there twice
        assert column(1)[:5] == ["0.9300", "0.9000", "0.8500", "0.8000", "0.7000"]
        page.get_by_label("Each loss once").uncheck()
        assert count.inner_text() == "8 candidates"
        page.get_by_role("button", name="nodes").click()
        assert column(2) == sorted(column(2), key=int)
        page.get_by_role("button", name="nodes").click()
        assert column(2) == sorted(column(2), key=int, reverse=True)
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
        page.get_by_label("Status").select_option("rejected")
        assert sorted(column(3)) == ["x + 1", "y"]
        page.get_by_label("Contains").fill("x+1")
        assert column(3) == ["x + 1"]
        page.get_by_label("Contains").fill("nothing like it")
        assert (column(3), page.get_by_role("status").inner_text()) == ([], "no candidate passes the filter")


def test_code_is_copied(open_page: OpenPage, report: Path) -> None:
    with open_page(report, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.get_by_role("button", name="Copy").first.click()
        page.get_by_role("button", name="Copied").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == page.locator("pre code").first.inner_text()


def test_the_pointer_shows_what_a_point_is(open_page: OpenPage, report: Path) -> None:
    with open_page(report) as page:
        page.locator("circle.mean").first.hover()
        assert page.locator("#tip").inner_text() == "discovered: mean 0.9500, 95 % interval 0.9252 to 0.9748"
        page.mouse.move(0, 0)
        assert page.locator("#tip").is_hidden()


def test_hostile_texts_are_texts(open_page: OpenPage, tmp_path: Path) -> None:
    made = result([outcome("x*log(y)", 0.9), rejected(HOSTILE, HOSTILE), rejected("x", "\u2028")], task=HOSTILE)
    judged = judgement({"discovered": (0.9, 0.8), "cross_entropy": (0.9, 0.8), HOSTILE: (0.1, 0.2)})
    with open_page(made.report(tmp_path / "report.html", judged)) as page:
        assert page.evaluate("window.hacked") is None
        assert page.locator("img").count() == 0
        assert HOSTILE in page.locator("header").inner_text()
        page.get_by_role("button", name=HOSTILE).click()
        dialog = page.get_by_role("dialog")
        assert dialog.inner_text().count(HOSTILE) == 2  # its expression, and the reason
        assert page.evaluate("window.hacked") is None


def test_ten_thousand_candidates_open_within_a_second(open_page: OpenPage, tmp_path: Path) -> None:
    path = many(10_000).report(tmp_path / "report.html", judgement())
    assert path.stat().st_size < 3_000_000
    with open_page(path) as page:
        took = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"{path.stat().st_size / 1e6:.2f} MB, loaded in {took:.0f} ms")
        assert page.locator("#count").inner_text() == "10,000 candidates"
        assert took < 1000
        page.get_by_role("button", name="fitness").click()
        page.get_by_role("button", name="Next").click()
        assert page.get_by_role("status").inner_text() == "26 to 50 of 10,000"


@pytest.mark.parametrize(
    "text",
    [
        "log(y) - x/y",
        "x*sqrt(abs(y - 2)) + tanh(y)",
        "exp(-1*y)*neg(x)",
        "min(x, y)*max(0.5, y)",
        "pow(y, 1.5)*square(x + 1)",
        "x*y*prior + progress*y",
    ],
)
def test_the_browser_computes_what_python_computes(open_page: OpenPage, report: Path, text: str) -> None:
    y = np.linspace(0.06, 0.97, 7)  # between the kinks of min and max
    context = {"prior": 0.1, "progress": 0.5}
    with open_page(report) as page:
        for x in (0.0, 1.0):
            given = [instructions(parse(text)), x, y.tolist()]
            for name, function in (("evaluate", evaluate), ("slope", derivative)):
                found = page.evaluate(f"([code, x, ys]) => ys.map(y => glo.{name}(code, x, y))", given)
                assert found == pytest.approx(function(parse(text), x, y, context).tolist(), rel=1e-6, abs=1e-6)
