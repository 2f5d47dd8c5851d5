"""The descent probe: losses that are known to be good pass, their negatives do not, and scale does not matter."""

from __future__ import annotations

import itertools

import pytest
import torch

from glo.catalog import NAMED
from glo.evaluation import DescentProbe, viability
from glo.expr import Expr, constant, parse
from glo.records import Link, TrainingConfig

CLASSES = {Link.SOFTMAX: 10, Link.SIGMOID: 1, Link.IDENTITY: 1}
LOSSES = {
    Link.SOFTMAX: list(NAMED),
    Link.SIGMOID: ["binary_cross_entropy", "brier", "mae"],
    Link.IDENTITY: ["mse", "mae"],
}
CASES = [(link, name) for link in Link for name in LOSSES[link]]


def probe(link: Link, *losses: Expr, classes: int | None = None) -> list[bool]:
    """Whether each loss passes."""
    check = DescentProbe(link, classes or CLASSES[link], TrainingConfig())
    return [reason is None for reason in check(losses)]


@pytest.mark.parametrize(("link", "name"), CASES)
def test_a_named_loss_passes_and_its_negative_does_not(link: Link, name: str) -> None:
    assert probe(link, NAMED[name], Expr("neg", (NAMED[name],))) == [True, False]


@pytest.mark.parametrize(("link", "name"), CASES)
@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_scale_does_not_matter(link: Link, name: str, scale: float) -> None:
    scaled = Expr("*", (constant(scale), NAMED[name]))
    assert probe(link, scaled, Expr("neg", (scaled,))) == [True, False]


@pytest.mark.parametrize("classes", [2, 3, 10, 100])
def test_the_number_of_classes_does_not_matter_to_the_usual_losses(classes: int) -> None:
    losses = [NAMED[name] for name in ("cross_entropy", "baikal", "baikal_cma", "brier", "binary_cross_entropy")]
    assert probe(Link.SOFTMAX, *losses, classes=classes) == [True] * 5


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_several_outputs(classes: int) -> None:
    assert probe(Link.SIGMOID, NAMED["binary_cross_entropy"], classes=classes) == [True]
    assert probe(Link.IDENTITY, NAMED["mse"], NAMED["mae"], classes=classes) == [True, True]


@pytest.mark.parametrize("text", ["x + y/y", "x*sqrt(-1 - y)", "x/(y - y)", "0*x*y", "x*exp(1e9*y)/0", "log(y)", "y + x"])
def test_nothing_is_learned_from_a_gradient_that_is_zero_nan_or_the_same_for_all_labels(text: str) -> None:
    assert probe(Link.SOFTMAX, parse(text)) == [False]


def test_a_candidate_with_nan_does_not_affect_the_others() -> None:
    texts = ("x*sqrt(-1 - y)", "x*log(y)", "x/(y - y)", "log(y) - x/y", "x*exp(1e9*y)")
    assert probe(Link.SOFTMAX, *map(parse, texts))[1:4:2] == [True, True]


def test_verdicts_do_not_depend_on_the_other_candidates_or_their_order() -> None:
    losses = [
        *NAMED.values(),
        *(Expr("neg", (loss,)) for loss in NAMED.values()),
        parse("x + y/y"),
        parse("x*sqrt(y - 0.5)"),
    ]
    together = probe(Link.SOFTMAX, *losses)
    assert together == [probe(Link.SOFTMAX, loss)[0] for loss in losses]
    assert together[::-1] == probe(Link.SOFTMAX, *losses[::-1])


def test_a_verdict_is_the_same_when_asked_again() -> None:
    check = DescentProbe(Link.SOFTMAX, 10, TrainingConfig())
    texts = ["x*log(y)", "-x*log(y)", "log(y)*x", "x*log(y)"]
    first = check([parse(text) for text in texts])
    assert [reason is None for reason in first] == [True, False, True, True]
    assert check([parse(text) for text in texts]) == first
    assert check([]) == []


def test_the_reason_says_how_many_decisions_are_right() -> None:
    (reason,) = DescentProbe(Link.SOFTMAX, 10, TrainingConfig())([parse("-x*log(y)")])
    assert reason is not None
    assert "decisions" in reason
    assert "%" in reason
    (reason,) = DescentProbe(Link.IDENTITY, 1, TrainingConfig())([parse("square(x - y)")])
    assert "fit" in (reason or "")


def test_global_random_state_is_left_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    assert probe(Link.SIGMOID, NAMED["binary_cross_entropy"]) == [True]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("link", "name"), CASES)
def test_named_losses_are_viable(link: Link, name: str) -> None:
    """By all cheap checks together.  Labels are hard, in a regression real numbers."""
    assert viability(NAMED[name], CLASSES[link], link) is None


@pytest.mark.parametrize(("reduction", "eps"), list(itertools.product(("sum", "mean"), (1e-7, 1e-3))))
def test_reduction_and_clamp_leave_the_usual_losses_alone(reduction: str, eps: float) -> None:
    training = TrainingConfig.model_validate({"class_reduction": reduction, "eps": eps})
    check = DescentProbe(Link.SOFTMAX, 10, training)
    assert check([NAMED["cross_entropy"], NAMED["baikal"], NAMED["brier"]]) == [None] * 3
