"""The unit gradient: every loss starts with steps of the size of the standard loss's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import glo
from glo.catalog.shelf import shelf
from glo.errors import ConfigError
from glo.expr import parse
from glo.loss import ExpressionLoss, PopulationLoss, unit_factor, unit_gradient
from glo.records import Link, Training, TrainingConfig
from glo.tasks import Task, fresh_model, load_task
from glo.training import train_single
from glo.training.population import train_population
from small import CLASSES, points

SAMPLES, SPREAD = 400, 0.3
DISCOVERED = (  # the best of two searches on noisy-digits
    "(x + y)*(x*(sqrt(y) + (y + sqrt(y)*x)))",
    "(x + y)*(x*(sqrt(y) + (x + sqrt(y))))",
    "(-1 - x)/sqrt(y) + (sqrt(y) + y*log(y))",
    "(x + y)*(x*(sqrt(y) + x))",
    "log(y*x - -1 + -1 - (log(1) + -1))",
    "x/(0 - (sqrt(1 + x) + (y + x)))",
    "log(y)*x - y*(y - square(square(x + y)))",
    "square(square(x + sqrt(y))) - y",
    "(sqrt(x) + y*(x/y + y))*sqrt(sqrt(y))",
    "square(square(x + sqrt(y + sqrt(y)))) - x",
)


def mean_gradient(expression: glo.Expr, link: Link, classes: int, prior: float = 0.5) -> float:
    """The mean length of the gradient at random outputs near 0, by autograd, with other outputs than glo's."""
    generator = torch.Generator().manual_seed(1)
    shape = (SAMPLES, classes) if link is Link.SOFTMAX else (SAMPLES, 1)
    z = (SPREAD * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
    target = {
        Link.SOFTMAX: lambda: torch.randint(classes, (SAMPLES,), generator=generator),
        Link.SIGMOID: lambda: (torch.rand(shape, generator=generator) < prior).double(),
        Link.IDENTITY: lambda: torch.randn(shape, generator=generator, dtype=torch.float64),
    }[link]()
    ExpressionLoss(expression, reduction="sum", link=link)(z, target).backward()
    assert z.grad is not None
    return float(z.grad.norm(dim=1).mean())


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("classes", [2, 10])
def test_every_loss_of_the_shelf_gets_the_gradient_of_the_standard_loss(link: Link, classes: int) -> None:
    families = shelf(link.value, classes)
    standard = mean_gradient(next(iter(next(iter(families.values())).values())), link, classes)
    for name, family in families.items():
        for variant, expression in family.items():
            scaled = mean_gradient(unit_gradient(expression, link, classes), link, classes)
            assert scaled == pytest.approx(standard, rel=0.15), f"{name} {variant}"  # other samples than glo's


def test_the_standard_losses_keep_their_scale() -> None:
    for link, text in ((Link.SOFTMAX, "x*log(y)"), (Link.SIGMOID, "x*log(y) + (1 - x)*log(1 - y)")):
        assert unit_factor(parse(text), link) == 1.0
        assert unit_gradient(parse(text), link) == parse(text)
    assert unit_factor(parse("-square(x - y)"), Link.IDENTITY) == 1.0


@pytest.mark.parametrize("text", ["x*log(y)", "log(y) - x/y", "x*sqrt(y)", "-square(x - y)"])
@pytest.mark.parametrize("scale", [1e-3, 0.37, 50.0])
def test_a_factor_of_a_loss_changes_nothing(text: str, scale: float) -> None:
    assert unit_factor(parse(f"{scale}*({text})")) == pytest.approx((unit_factor(parse(text)) or 0.0) / scale, rel=1e-5)


def test_rare_positives_count_in_the_scale() -> None:
    weighted = parse("30*x*log(y) + (1 - x)*log(1 - y)")
    for prior in (0.01, 0.5):
        factor = unit_factor(weighted, Link.SIGMOID, 1, (prior,))
        assert factor == pytest.approx(1 / (30 * prior + 1 - prior), rel=0.1)


def test_the_labels_of_a_regression_count_in_the_scale() -> None:
    absolute = parse("-abs(x - y)")
    assert unit_factor(absolute, Link.IDENTITY, 1, (0.0, 100.0)) == pytest.approx(2 * 100 * np.sqrt(2 / np.pi), rel=0.1)
    assert unit_factor(absolute, Link.IDENTITY, 1, (50.0, 1.0)) == pytest.approx(100, rel=0.1)


@pytest.mark.parametrize("text", ["x + y - y", "x*0*y", "log(y - 2)*x", "sqrt(-1 - y)*x"])
def test_a_loss_without_a_gradient_has_no_factor_and_stays_as_it_is(text: str) -> None:
    assert unit_factor(parse(text)) is None
    assert unit_gradient(parse(text)) == parse(text)


def test_a_task_knows_the_prior_of_its_labels() -> None:
    digits = load_task("digits")
    shares = digits.train.first.targets.bincount() / len(digits.train.first.targets)
    assert digits.prior == pytest.approx(shares.tolist(), rel=1e-5)
    cancer = load_task("breast-cancer")
    assert cancer.prior == (pytest.approx(float(cancer.train.first.targets.mean()), rel=1e-5),)
    mean, deviation = load_task("diabetes").prior
    assert (mean, deviation) == (pytest.approx(0, abs=0.2), pytest.approx(1, rel=0.2))


@pytest.mark.parametrize("text", ["x*sqrt(y)", "log(y) - x/y", "7*x*log(y)"])
def test_one_network_and_a_population_train_the_scaled_loss(text: str) -> None:
    task = Task("points", lambda: nn.Linear(4, CLASSES), points(0), points(1))
    config = TrainingConfig(steps=20, unit_gradient=True)
    by_hand = [Training(unit_gradient(parse(text), classes=task.classes), 0.5)]
    expected = train_single(task, by_hand[0], config.model_copy(update={"unit_gradient": False}), 0)
    assert train_single(task, Training(parse(text), 0.5), config, 0) == expected
    found = train_population(task, [Training(parse(text), 0.5)], config, 0)
    raw = train_population(task, by_hand, config.model_copy(update={"unit_gradient": False}), 0)
    assert found == raw


def test_it_is_the_first_step_of_stochastic_gradient_descent_that_has_the_same_size() -> None:
    """At outputs of 0, one step of the same rate moves every loss as far as cross-entropy."""
    losses = [unit_gradient(parse(text)) for text in ("x*log(y)", "x*sqrt(y)", "x*y", "log(y) - x/y")]
    gradient = PopulationLoss(losses).gradient(torch.zeros(4, 10, 10), torch.arange(10))
    lengths = gradient.norm(dim=(1, 2))
    torch.testing.assert_close(lengths, lengths[:1].expand(4), rtol=0.15, atol=0.0)


@pytest.mark.parametrize("text", DISCOVERED)
def test_a_loop_tuned_for_cross_entropy_does_not_diverge_with_another_loss(text: str) -> None:
    """A user plugs a loss into a loop of their own and keeps their learning rate: here 1, the best of cross-entropy."""
    task = load_task("digits")
    model, criterion = fresh_model(task, 0), ExpressionLoss(unit_gradient(parse(text)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    loss = torch.zeros(())
    for _ in range(60):
        optimizer.zero_grad()
        loss = criterion(model(task.train.head.inputs), task.train.head.targets)
        loss.backward()
        optimizer.step()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_softmax_without_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="softmax needs the number of classes, at least 1: not 0"):
        unit_gradient(parse("x*log(y)"), classes=0)
