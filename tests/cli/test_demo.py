"""The demo, very small."""

from __future__ import annotations

import json
from html import unescape
from pathlib import Path

import pytest

from glo.catalog.shelf import shelf
from glo.cli.demo_story import DemoConfig, run_demo
from glo.errors import ConfigError
from glo.expr import parse
from glo.progress import Progress, Silent

TINY = DemoConfig(generations=2, population=6, steps=60, finalists=2, tuning_seeds=1, repeats=2)
WRITTEN = {"summary.json", "loss.png", "progress.png", "report.html"}


def files(folder: Path) -> set[str]:
    """The files in a folder, without the store and its lock."""
    return {path.name for path in folder.iterdir() if not path.name.startswith("glo.db")}


def test_demo(tmp_path: Path) -> None:
    out = tmp_path / "new" / "demo"
    progress = Progress(Silent())
    with progress:
        result = run_demo(TINY, out, progress)
    assert files(out) == WRITTEN
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary == result.summary
    assert {row.name for row in result.rows} == set(summary["losses"])
    assert {
        "expression",
        "canonical",
        "latex",
        "learning_rate",
        "fitness",
        "funnel",
        "versions",
        "hardware",
    } <= summary.keys()
    parse(summary["expression"])
    assert summary["seed"] == 0
    assert sum(summary["seconds"].values()) > 0
    assert set(summary["losses"]) == {"discovered", "label_smoothing", *shelf("softmax", 10)}
    for row in summary["losses"].values():
        assert row["n"] == len(row["values"]) == 2
        assert row["mean"] == pytest.approx(sum(row["values"]) / 2)
        assert row["sd"] >= 0
    assert summary["losses"]["discovered"]["expression"] == summary["expression"]
    assert summary["verdict"]["use"] in summary["losses"]
    assert summary["verdict"]["text"]
    assert summary["p_value"] == summary["losses"]["cross_entropy"]["p_value"]
    assert 0 <= summary["p_value"] <= 1
    assert summary["verdict"]["text"] in unescape((out / "report.html").read_text(encoding="utf-8"))
    for name in ("loss.png", "progress.png"):
        content = (out / name).read_bytes()
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        assert content.endswith(b"IEND\xaeB`\x82")
    labels = ["search", "confirmation", "choosing learning rates", "choosing among the best", "measuring on test"]
    assert [part.name for part in progress.parts] == labels
    last = progress.parts[-1]
    assert last.done == last.total == TINY.repeats * len(summary["losses"])

    # A second demo starts from nothing, has the same result, and leaves the user's own files alone.
    (out / "notes.txt").write_text("mine")
    again = run_demo(TINY, out).summary
    assert files(out) == {*WRITTEN, "notes.txt"}
    for key in ("expression", "history_digest", "p_value", "losses"):
        assert again[key] == summary[key]


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"file.* cannot be written .*choose another --out"):
        run_demo(TINY, tmp_path / "file" / "demo")
