"""The pages of docs/integrations: their code runs, in the order of the page, and prints what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {"lightning": "lightning", "pytorch": "torch", "skorch": "skorch", "transformers": "transformers"}
BLOCK = re.compile(r"```(python|sh)\n(.*?)```\s+```text\n(.*?)```", re.DOTALL)
NUMBER = re.compile(r"-?\d+\.\d+")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


def blocks(page: str, language: str) -> list[tuple[str, list[str]]]:
    """Code of a language with the lines of the text below it."""
    found = BLOCK.findall((ROOT / f"docs/integrations/{page}.md").read_text(encoding="utf-8"))
    return [(code, shown.splitlines()) for kind, code, shown in found if kind == language]


def output(command: list[str], folder: Path) -> list[str]:
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def same(printed: str, shown: str) -> bool:
    """Equal text, and numbers with a decimal point that differ by at most 5 % or 0.02."""
    if NUMBER.sub("#", printed).split() != NUMBER.sub("#", shown).split():
        return False
    pairs = zip(NUMBER.findall(printed), NUMBER.findall(shown), strict=True)
    return all(float(a) == pytest.approx(float(b), rel=0.05, abs=0.02) for a, b in pairs)


def assert_printed(printed: list[str], shown: list[str]) -> None:
    """Each line that is shown was printed, in this order; libraries may print others between them."""
    assert shown
    rest = iter(printed)
    missing = [line for line in shown if not any(same(other, line) for other in rest)]
    assert not missing, "\n".join(printed)


def test_every_page_is_tested_and_every_block_has_its_output() -> None:
    pages = sorted((ROOT / "docs/integrations").glob("*.md"))
    assert [page.stem for page in pages] == sorted(["README", *PAGES])
    for page in PAGES:
        text = (ROOT / f"docs/integrations/{page}.md").read_text(encoding="utf-8")
        assert len(re.findall(r"```(?:python|sh)\n", text)) == len(BLOCK.findall(text))


@pytest.mark.parametrize("page", PAGES)
def test_the_code_of_a_page_prints_what_it_shows(page: str, tmp_path: Path) -> None:
    if find_spec(PAGES[page]) is None:
        pytest.skip("pip install 'glo[integrations]'")
    codes, shown = zip(*blocks(page, "python"), strict=True)
    between = "next block"
    printed = output([sys.executable, "-c", f"print({between!r})\n".join(codes)], tmp_path)
    for lines in shown:
        end = printed.index(between) if between in printed else len(printed)
        assert_printed(printed[:end], lines)
        printed = printed[end + 1 :]


def test_the_commands_of_the_page_on_pytorch(tmp_path: Path) -> None:
    ((commands, shown),) = blocks("pytorch", "sh")
    printed: list[str] = []
    for command in commands.splitlines():
        program, *arguments = [text.strip('"') for text in re.findall(r'"[^"]*"|\S+', command)]
        launcher = [] if program == "python" else ["-m", "torch.distributed.run"]
        printed += output([sys.executable, *launcher, *arguments], ROOT)
    assert len(commands.splitlines()) == len(shown)
    assert_printed(printed, shown)
