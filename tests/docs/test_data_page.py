"""docs/guide/data.md: its code runs, and its table says which tasks are trained together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.tasks import Task
from glo.training import trains_together

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "data.md").read_text(encoding="utf-8")
CODE = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
ROWS = dict(re.findall(r"^\| (.*?) \| (together|one by one)", PAGE, re.MULTILINE))


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    exec(CODE, space)  # noqa: S102 - the page's own code
    assert "tensor([1., 1., 3.]) 0.1" in capsys.readouterr().out
    for name in ("pair", "weighted", "tuned"):
        assert trains_together(space[name], "cpu")
    for name in ("pixels", "jittered"):
        assert not trains_together(space[name], "cpu")


VALUES = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
LABELS = (VALUES[:, 0] > 0).long()
TAGS = (VALUES > 0).long()
IDS = (VALUES * 5).long().abs()


class Both(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 2)

    def forward(self, one: Tensor, other: Tensor) -> Any:
        return self.layer(torch.cat([one, other], 1)), one


def task(model: Callable[[], nn.Module], data: Any, **options: Any) -> Task:
    return Task("row", model, data, data[:2] if isinstance(data, tuple) else data, **options)


def linear(outputs: int) -> Callable[[], nn.Module]:
    return lambda: nn.Linear(4, outputs)


def of_tokens() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.Unflatten(1, (2, 4)))


TASKS: dict[str, list[Task]] = {
    "one tensor of inputs": [task(linear(2), (VALUES, LABELS))],
    "inputs in a tuple or dictionary, `output=`": [
        task(Both, ((VALUES, VALUES), LABELS), output=0),
        task(Both, ({"one": VALUES, "other": VALUES}, LABELS), output=lambda outputs: outputs[0]),
    ],
    "token ids": [task(lambda: nn.Sequential(nn.Embedding(30, 3), nn.Flatten(), nn.Linear(12, 2)), (IDS, LABELS))],
    "names as labels, soft labels": [
        task(linear(2), (VALUES, [("no", "yes")[label] for label in LABELS])),
        task(linear(2), (VALUES, torch.softmax(VALUES[:, :2], 1))),
    ],
    "several yes-no questions, regression": [
        task(linear(4), (VALUES, TAGS), link="sigmoid"),
        task(linear(1), (VALUES, VALUES[:, 1]), link="identity"),
    ],
    "labels for tokens, `ignore_index`": [
        task(of_tokens, (VALUES, TAGS)),
        task(of_tokens, (VALUES, TAGS.masked_fill(VALUES.abs() < 0.1, -100)), ignore_index=-100),
    ],
    "class weights, sample weights, label smoothing": [
        task(linear(2), (VALUES, LABELS, VALUES[:, 1].abs()), class_weight="balanced", training={"label_smoothing": 0.1})
    ],
    "images and a model with convolutions": [
        task(lambda: nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 2, 2), nn.Flatten()), (VALUES, LABELS))
    ],
    "data read batch by batch": [
        Task("row", linear(2), lambda: [(VALUES, LABELS)], (VALUES, LABELS)),
    ],
}


@pytest.mark.parametrize("row", TASKS)
def test_the_table_says_what_is_trained_together(row: str) -> None:
    for each in TASKS[row]:
        assert trains_together(each, "cpu") is (ROWS[row] == "together")


def test_the_table_has_no_other_rows() -> None:
    assert set(ROWS) == {*TASKS, "an objective"}
