"""The site: it builds with `strict`, has every public name, and loads nothing from other hosts."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from inspect import ismodule
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTED = ["glo", "glo.catalog", "glo.errors", "glo.expr", "glo.loss", "glo.tasks", "glo.testing"]  # docs/stability.md
HOST = r"""=["']?(?:https?:)?//"""
LOADED = re.compile(rf"<(?:script|img|iframe|source)\b[^>]*\bsrc{HOST}|<link\b[^>]*\bhref{HOST}")
REQUESTED = re.compile(r"""(?:@import|url\()\s*["']?(?:https?:)?//""")


def build(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a folder; not with --quiet, which does not count warnings."""
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(site)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, as `make docs` builds it."""
    pytest.importorskip("mkdocs", reason="pip install 'glo-torch[docs]'")
    pytest.importorskip("mkdocstrings", reason="pip install 'glo-torch[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    assert not re.search("WARNING|ERROR", done.stderr), done.stderr
    return folder


def test_a_broken_link_or_anchor_ends_the_build(tmp_path: Path) -> None:
    """With the settings of the site, on two pages of its own."""
    pytest.importorskip("mkdocs", reason="pip install 'glo-torch[docs]'")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("# Other", encoding="utf-8")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    kept = re.findall(r"^strict: true\n|^validation:\n(?:  .*\n)+", settings, re.MULTILINE)
    assert len(kept) == 2
    (tmp_path / "mkdocs.yml").write_text("site_name: links\n" + "".join(kept), encoding="utf-8")
    for link, code in (("other.md", 0), ("nowhere.md", 1), ("other.md#nowhere", 1), ("/other.md", 1)):
        (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n[link]({link})\n", encoding="utf-8")
        done = build(tmp_path, tmp_path / "site")
        assert done.returncode == code, (link, done.stderr)


def test_every_public_name_has_an_anchor(site: Path) -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in sorted((site / "reference").rglob("*.html")))
    anchors = set(re.findall(r'id="([\w.]+)"', pages))
    missing = [
        f"{module}.{name}"
        for module in DOCUMENTED
        for name in getattr(importlib.import_module(module), "__all__", ())
        if not ismodule(getattr(importlib.import_module(module), name)) and name != "__version__"
        if not {f"{module}.{name}", f"glo.{name}"} & anchors
    ]
    assert missing == []
    assert "glo.Study.search" in anchors
    assert "glo.errors.ConfigError" in anchors
    assert "glo.catalog.baikal" in anchors


def test_every_command_is_described(site: Path) -> None:
    page = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    assert set(re.findall(r'<h2 id="glo-([\w-]+)"', page)) >= {"search", "compare", "cluster-check", "experiment-run"}
    assert "--learning-rates" in page


def test_nothing_is_loaded_from_other_hosts(site: Path) -> None:
    loaded = {
        str(page.relative_to(site)): found
        for page in sorted(site.rglob("*"))
        if page.suffix in (".html", ".css")
        if (found := (LOADED if page.suffix == ".html" else REQUESTED).findall(page.read_text(encoding="utf-8")))
    }
    assert loaded == {}


def test_docstrings_are_rewritten_for_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("griffe", reason="pip install 'glo-torch[docs]'")
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    readable = importlib.import_module("docstrings").readable
    given = "Bake.\n\nArgs:\n    low, high: limits\n        in degrees.\n    time: in minutes.\n\nExample:\n    bake(1, 2)\n"
    expected = (
        "Bake.\n\nArgs:\n    low: limits\n        in degrees.\n    high: limits\n        in degrees.\n    time: in minutes."
        "\n\nExamples:\n    ```python\n    bake(1, 2)\n    ```\n"
    )
    assert readable(given).split() == expected.split()
