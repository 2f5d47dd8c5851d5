"""The shelf: its losses are the published ones, they can train, and a comparison takes them as baselines."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compare.scripted import task_of
from glo.catalog.shelf import SHELF, shelf
from glo.compare import ComparisonConfig, compare_losses
from glo.compare.families import shelf_of
from glo.errors import ConfigError
from glo.evaluation.checks import finite_derivative, probe_points, structure
from glo.loss import ExpressionLoss
from glo.records import Link

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "shelf.md"
GENERATOR = torch.Generator().manual_seed(0)
Z = torch.randn(40, 5, generator=GENERATOR, dtype=torch.float64)
CLASS = torch.randint(0, 5, (40,), generator=GENERATOR)
YES = torch.randint(0, 2, (40, 5), generator=GENERATOR).double()
VALUE = torch.randn(40, 5, generator=GENERATOR, dtype=torch.float64)


@pytest.mark.parametrize("link", Link)
def test_every_loss_can_train(link: Link) -> None:
    """Except at the ends of [0, 1], where some have no derivative; the check's points are inside."""
    for name, family in shelf(link.value, 10).items():
        for variant, expression in family.items():
            assert structure([expression]) == [None], (name, variant)
            assert finite_derivative(probe_points(link, soft=False))([expression]) == [None], (name, variant)


def true_class(f: Callable[[Tensor], Tensor]) -> Tensor:
    return f(torch.softmax(Z, 1).gather(1, CLASS[:, None])[:, 0]).mean()


def sigmoid_focal() -> Tensor:
    p = torch.sigmoid(Z)
    right = YES * p + (1 - YES) * (1 - p)
    return -((1 - right) ** 2 * right.log()).sum(1).mean()


def asl() -> Tensor:
    """Negative focusing 4, positive 1, margin 0.05."""
    p = torch.sigmoid(Z)
    shifted = (p - 0.05).clamp_min(0)
    return -(YES * (1 - p) * p.log() + (1 - YES) * shifted**4 * (1 - shifted).log()).sum(1).mean()


def pinball(q: float) -> Tensor:
    above = VALUE - Z
    return torch.maximum(q * above, (q - 1) * above).sum(1).mean()


# Value by the formula of its publication, or by PyTorch; a factor of the shelf's formula in front.
PUBLISHED: dict[tuple[Link, str, str], Callable[[], Tensor]] = {
    (Link.SOFTMAX, "cross_entropy", ""): lambda: functional.cross_entropy(Z, CLASS),
    (Link.SOFTMAX, "label_smoothing", "0.2"): lambda: functional.cross_entropy(Z, CLASS, label_smoothing=0.2),
    (Link.SOFTMAX, "focal", "g=2"): lambda: true_class(lambda p: -((1 - p) ** 2) * p.log()),
    (Link.SOFTMAX, "gce", "q=0.7"): lambda: true_class(lambda p: (1 - p**0.7) / 0.7) - 1 / 0.7,
    (Link.SOFTMAX, "sce", "a=0.1"): lambda: 0.1 * functional.cross_entropy(Z, CLASS) + true_class(lambda p: 1 - p) - 1,
    (Link.SOFTMAX, "agce", "a=1, q=2"): lambda: true_class(lambda p: (2**2 - (1 + p) ** 2) / 2) - 2,
    (Link.SOFTMAX, "aue", "a=5.5, q=3"): lambda: true_class(lambda p: ((5.5 - p) ** 3 - 4.5**3) / 3) + 4.5**3 / 3,
    (Link.SOFTMAX, "aexp", "a=0.5"): lambda: true_class(lambda p: torch.exp(-p / 0.5)),
    (Link.SOFTMAX, "poly1", "e=2"): lambda: functional.cross_entropy(Z, CLASS) + true_class(lambda p: 2 * (1 - p)) - 2,
    (Link.SOFTMAX, "taylor_ce2", ""): lambda: true_class(lambda p: (1 - p) + (1 - p) ** 2 / 2),
    (Link.SOFTMAX, "taylor_ce4", ""): lambda: true_class(lambda p: sum((1 - p) ** i / i for i in range(1, 5)) + 0 * p),
    (Link.SOFTMAX, "amse", "a=5"): lambda: (5 * functional.one_hot(CLASS, 5) - torch.softmax(Z, 1)).square().sum(1).mean(),
    (Link.SOFTMAX, "confidence_penalty", "b=0.3"): lambda: (
        functional.cross_entropy(Z, CLASS) + 0.3 * (torch.softmax(Z, 1) * torch.log_softmax(Z, 1)).sum(1).mean()
    ),
    (Link.SIGMOID, "binary_cross_entropy", ""): lambda: 5 * functional.binary_cross_entropy_with_logits(Z, YES),
    (Link.SIGMOID, "pos_weight", "w=3"): lambda: (
        5 * functional.binary_cross_entropy_with_logits(Z, YES, pos_weight=torch.tensor(3.0, dtype=torch.float64))
    ),
    (Link.SIGMOID, "focal", "g=2"): sigmoid_focal,
    (Link.SIGMOID, "asl", "g=1, h=4, m=0.05"): asl,
    (Link.IDENTITY, "mse", ""): lambda: 5 * nn.MSELoss()(Z, VALUE),
    (Link.IDENTITY, "mae", ""): lambda: 5 * nn.L1Loss()(Z, VALUE),
    (Link.IDENTITY, "huber", "d=0.3"): lambda: 2 * 5 * nn.HuberLoss(delta=0.3)(Z, VALUE),
    (Link.IDENTITY, "cauchy", "c=3"): lambda: torch.log1p(((VALUE - Z) / 3) ** 2).sum(1).mean(),
    (Link.IDENTITY, "welsch", "c=1"): lambda: -torch.exp(-((VALUE - Z) ** 2) / 2).sum(1).mean(),
    (Link.IDENTITY, "log_cosh", ""): lambda: (
        torch.log(torch.cosh(Z - VALUE)).sum(1).mean() + 5 * torch.log(torch.tensor(2.0, dtype=torch.float64))
    ),
    (Link.IDENTITY, "pinball", "q=0.7"): lambda: pinball(0.7),
}


@pytest.mark.parametrize(("link", "name", "variant"), PUBLISHED, ids=[f"{link}-{name}" for link, name, _ in PUBLISHED])
def test_a_loss_is_the_published_one(link: Link, name: str, variant: str) -> None:
    expression = shelf(link.value, 5)[name][variant]
    targets = {Link.SOFTMAX: CLASS, Link.SIGMOID: YES, Link.IDENTITY: VALUE}[link]
    found = ExpressionLoss(expression, link=link)(Z, targets)
    assert float(found) == pytest.approx(float(PUBLISHED[link, name, variant]()), rel=1e-6)


def test_the_shelf_are_baselines_of_a_comparison() -> None:
    config = ComparisonConfig(baselines="shelf", repeats=2, tuning_seeds=1, learning_rates=(0.1, 1.0), smoothings=(0.1,))
    comparison = compare_losses(task_of(), ["baikal", "x*y"], config)
    names = [row.name for row in comparison.rows]
    assert names == [*shelf_of(task_of(), (0.1,)), "baikal"]  # x*y is on it
    assert comparison.config.baselines == "shelf"
    assert any("'x*y' is mae" in warning or "x*y" in warning for warning in comparison.warnings)
    ends = [warning for warning in comparison.warnings if "at the end of what was tried" in warning]
    tried = {name: list(family) for name, family in shelf_of(task_of(), (0.1,)).items()}
    last = [row.name for row in comparison.rows[:-1] if len(tried[row.name]) > 2 and row.variant == tried[row.name][-1]]
    assert len(ends) == len([name for name in last if "," not in tried[name][-1]])


def test_baselines_may_be_true_or_false_as_before() -> None:
    assert ComparisonConfig.model_validate({"baselines": True}).baselines == "standard"
    assert ComparisonConfig.model_validate({"baselines": False}).baselines == "none"
    options: Any = {"baselines": "all"}
    with pytest.raises(ConfigError, match="baselines"):
        ComparisonConfig(**options)


def test_the_guide_has_every_loss() -> None:
    rows = re.findall(r"^\| (\w+) \| `(.*?)` \| (.*?) \| (.*?) \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    expected = [
        (known.name, known.formula.replace("{", "").replace("}", ""), known.tries, known.source)
        for losses in SHELF.values()
        for known in losses
    ]
    assert rows == expected
