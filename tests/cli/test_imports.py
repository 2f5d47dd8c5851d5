"""What a command imports, since that is what a user waits for: work is counted, not seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SLOW = {
    "torch", "numpy", "scipy", "pandas", "matplotlib", "sqlalchemy", "sympy", "sklearn", "cma", "pydantic", "rich", "jinja2",
    "requests", "distributed", "dask", "latex2mathml",
}  # fmt: skip
CODE = """
import json, sys
sys.argv = ["glo", *sys.argv[1:]]
from glo.cli.app import main
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """The slow libraries that a command imports."""
    child = subprocess.run([sys.executable, "-c", CODE, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    code, modules = json.loads(child.stderr.splitlines()[-1])
    assert code in (0, None), child.stderr
    return SLOW & set(modules)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of one study."""
    made = tmp_path_factory.mktemp("store")
    search = ["search", "--task", "digits", "--name", "tiny", "--generations", "1", "--population", "4", "--steps", "5"]
    more = ["--confirm", "0", "--baselines", "none"]
    subprocess.run([sys.executable, "-m", "glo", *search, *more], cwd=made, capture_output=True, check=True)
    return made


SEARCH = "search --task digits --generations 1 --population 4 --steps 5 --confirm 0 --baselines none --name new"


@pytest.mark.parametrize(
    ("command", "allowed"),
    [
        ("--help", ""),
        ("--version", ""),
        ("search --help", "pydantic"),
        ("runs --help", "pydantic"),
        ("tasks", "pydantic rich"),
        ("export x*log(y)", "numpy pydantic"),
        ("runs", "numpy pydantic rich sqlalchemy"),
        ("runs tiny", "numpy pydantic rich sqlalchemy"),
        (SEARCH, "numpy pydantic rich sqlalchemy sympy torch"),
    ],
)
def test_a_command_imports_little(folder: Path, command: str, allowed: str) -> None:
    assert imported(folder, *command.split()) <= set(allowed.split())
