"""The code of the documentation: every block of a page is run, and prints what the page shows; or the page says why not."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import torch

from glo.cli.app import main
from pages import assert_printed, blocks, commands

DOCS = Path(__file__).parents[2] / "docs"
# The pages with a test of their own, which runs all their blocks.
ELSEWHERE = {
    "guide/data.md": "tests/docs/test_data_page.py",
    "integrations/lightgbm.md": "tests/docs/test_boosting_page.py",
    "integrations/lightning.md": "tests/integrations/test_pages.py",
    "integrations/pytorch.md": "tests/integrations/test_pages.py",
    "integrations/skorch.md": "tests/integrations/test_pages.py",
    "integrations/transformers.md": "tests/integrations/test_pages.py",
}
# How the blocks of Python begin that test_readme.py and test_contributing.py run.
ROOT_PAGES = {
    "README.md": ["import glo\n", "def objective("],
    "CONTRIBUTING.md": ["    Operator(\n", "from collections.abc import"],
}
PAGES = {str(page.relative_to(DOCS)): page for page in sorted(DOCS.rglob("*.md")) if any(blocks(page))}
NEEDS = {"guide/text.md": "transformers"}
OPENED = re.compile(r"^```(\w*)", re.MULTILINE)


@pytest.mark.parametrize("page", sorted(PAGES.keys() - ELSEWHERE))
def test_the_code_of_a_page_prints_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an empty folder, each block after those above it."""
    pytest.importorskip(NEEDS.get(page, "glo"), reason="pip install 'glo-torch[integrations]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names: dict[str, object] = {"__name__": "__main__"}
    with torch.random.fork_rng():
        for block in blocks(PAGES[page]):
            if block.language == "python" and not block.reason:
                exec(compile(block.code, page, "exec"), names)  # noqa: S102 - the page's own code
            for command in commands(block.code) if block.language == "sh" else ():
                run(command, monkeypatch, only_parse=bool(block.reason))
            printed = capsys.readouterr().out.splitlines()
            if not block.reason:
                assert_printed(printed, block.shown)


def run(command: str, monkeypatch: pytest.MonkeyPatch, only_parse: bool) -> None:
    """Run a line of a shell, if it is `glo ...`; or see that its options exist."""
    program, *arguments = shlex.split(command)
    if program != "glo":
        assert only_parse, f"say above the block why `{command}` is not run"
        return
    monkeypatch.setattr(sys, "argv", ["glo", *arguments, *["--help"] * only_parse])
    with pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code


@pytest.mark.parametrize("page", PAGES)
def test_no_block_is_overlooked(page: str) -> None:
    """The blocks of Python and of commands are those that the pattern of `blocks` finds."""
    text = PAGES[page].read_text(encoding="utf-8")
    opened = [language for language in OPENED.findall(text) if language]
    assert not {"py", "bash", "console", "shell"} & set(opened)
    visible = len(list(blocks(PAGES[page]))) - text.count("<!-- run first\n")
    assert visible == opened.count("python") + opened.count("sh")


@pytest.mark.parametrize("page", ROOT_PAGES)
def test_no_python_of_the_other_pages_is_overlooked(page: str) -> None:
    found = [block.code for block in blocks(DOCS.parent / page) if block.language == "python" and not block.reason]
    assert [code[: len(start)] for code, start in zip(found, ROOT_PAGES[page], strict=True)] == ROOT_PAGES[page]


@pytest.mark.parametrize(("page", "test"), ELSEWHERE.items())
def test_the_other_tests_read_their_page(page: str, test: str) -> None:
    assert Path(page).stem in (DOCS.parent / test).read_text(encoding="utf-8")
