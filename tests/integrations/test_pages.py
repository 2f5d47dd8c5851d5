"""The pages of docs/integrations: their code runs, in the order of the page, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pages import assert_printed

ROOT = Path(__file__).parents[2]
PAGES = {
    "lightning": "lightning",
    "pytorch": "torch",
    "skorch": "skorch",
    "trackers": "tensorboard",
    "transformers": "transformers",
}
BLOCK = re.compile(r"```(python|sh)\n(.*?)```\s+```text\n(.*?)```", re.DOTALL)


def blocks(page: str, language: str) -> list[tuple[str, list[str]]]:
    """Code of a language with the lines of the text below it."""
    found = BLOCK.findall((ROOT / f"docs/integrations/{page}.md").read_text(encoding="utf-8"))
    return [(code, shown.splitlines()) for kind, code, shown in found if kind == language]


def test_every_page_is_tested_and_every_block_has_its_output() -> None:
    pages = sorted((ROOT / "docs/integrations").glob("*.md"))
    assert [page.stem for page in pages] == sorted(["README", "lightgbm", *PAGES])  # tests/docs has another test for it
    for page in PAGES:
        text = (ROOT / f"docs/integrations/{page}.md").read_text(encoding="utf-8")
        assert len(re.findall(r"```(?:python|sh)\n", text)) == len(BLOCK.findall(text))


@pytest.mark.filterwarnings("ignore")  # those of the libraries
@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_prints_what_it_shows(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In an empty folder, each block after those above it."""
    pytest.importorskip(PAGES[page], reason="pip install 'glo-torch[integrations]'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    names: dict[str, object] = {"__name__": "__main__"}
    with torch.random.fork_rng():
        for code, shown in blocks(page, "python"):
            exec(compile(code, page, "exec"), names)  # noqa: S102
            assert shown
            assert_printed(capsys.readouterr().out.splitlines(), shown)


def test_the_commands_of_the_page_on_pytorch() -> None:
    ((commands, shown),) = blocks("pytorch", "sh")
    printed: list[str] = []
    for command in commands.splitlines():
        program, *arguments = [text.strip('"') for text in re.findall(r'"[^"]*"|\S+', command)]
        launcher = [] if program == "python" else ["-m", "torch.distributed.run"]
        command_line = [sys.executable, *launcher, *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command_line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed += done.stdout.splitlines()
    assert len(commands.splitlines()) == len(shown)
    assert_printed(printed, shown)
