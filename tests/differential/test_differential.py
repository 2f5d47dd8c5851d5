"""2,000 random tasks and losses: oracle, population, exported source and module in a user's loop agree.

`python -m tests.differential SEED` prints and checks one case, `python -m tests.differential --cases 100000` many more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from differential.cases import make_case
from differential.check import checked
from differential.modules import KINDS
from glo.loss import PopulationLoss
from glo.records import Link
from glo.training import optimizers
from glo.training.layers import Dropout
from glo.training.optimizers import StackedOptimizer
from glo.training.parameters import StackedParameter

CHUNK, CHUNKS = 100, 20
SET_ASIDE = 5  # cases of a chunk that may be ill-conditioned in part; it is one of a hundred on average


@pytest.mark.parametrize("start", range(0, CHUNK * CHUNKS, CHUNK))
def test_all_ways_to_train_agree(start: int) -> None:
    reports = [checked(seed) for seed in range(start, start + CHUNK)]
    failures = [f"case {report.seed}: {failure}" for report in reports for failure in report.failures]
    assert not failures, "\n".join(failures)
    assert sum(bool(report.set_aside) for report in reports) <= SET_ASIDE
    facts = [fact for report in reports for fact in report.facts]
    assert facts.count("trained") > len(facts) / 2  # most cases say something


def test_a_seed_is_a_case() -> None:
    assert str(make_case(7)) == str(make_case(7))
    assert str(make_case(7)) != str(make_case(8))


def test_every_kind_of_case_occurs() -> None:
    cases = [make_case(seed) for seed in range(600)]
    assert {case.kind for case in cases} == set(KINDS)
    assert {case.link for case in cases} == set(Link)


def momentum_forgotten(patch: pytest.MonkeyPatch) -> None:
    update = StackedParameter.update

    def forgetful(self: StackedParameter, gradient: Tensor, factor: float) -> None:
        if self._velocity is not None:
            self._velocity.zero_()
        update(self, gradient, factor)

    patch.setattr(StackedParameter, "update", forgetful)


def adam_without_correction(patch: pytest.MonkeyPatch) -> None:
    begin = StackedOptimizer.begin_step
    patch.setattr(StackedOptimizer, "begin_step", lambda self, step: begin(self, 1000 if step else 0))


def clipped_together(patch: pytest.MonkeyPatch) -> None:
    factors = optimizers.clip_factors
    patch.setattr(optimizers, "clip_factors", lambda *arguments: torch.ones_like(f := factors(*arguments)) * f.min())


def gradient_off_by_a_thousandth(patch: pytest.MonkeyPatch) -> None:
    gradient = PopulationLoss.gradient
    patch.setattr(PopulationLoss, "gradient", lambda *arguments: 1.001 * gradient(*arguments))


def dropout_not_undone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Dropout, "backward", lambda self, grad_output, inputs, outputs, factor: grad_output)


def words_not_said(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logging.getLogger("glo"), "warning", lambda *arguments: None)


@pytest.mark.parametrize(
    ("fault", "failure"),
    [
        (momentum_forgotten, "population is not the oracle"),
        (adam_without_correction, "population is not the oracle"),
        (clipped_together, "population is not the oracle"),
        (gradient_off_by_a_thousandth, "population is not the module on first outputs"),
        (dropout_not_undone, "population is not the oracle"),
        (words_not_said, "train_networks says []"),
    ],
)
def test_a_fault_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite fails if glo is wrong, in one of the first hundred cases."""
    fault(monkeypatch)
    assert any(failure in found for seed in range(100) for found in checked(seed).failures)
