"""The descent probe: a check of candidates that trains free outputs instead of a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from glo.evaluation.checks import probe_points
from glo.evaluation.threads import one_thread
from glo.expr import Expr, fingerprint
from glo.loss import LINKS, PopulationLoss
from glo.records import Link, TrainingConfig

SAMPLES = 40
STEPS = 60
STEP_SIZE = 0.2
PASS_SCORE = 0.9


class DescentProbe:
    """Checks whether minimising the loss over free outputs makes them right.

    The outputs z of a few samples are moved down each candidate's gradient; its length is normalised, so that the loss's
    scale does not matter.  The check is whether the decisions become right, not where the minimum lies: Baikal's minimum is
    not at y = 1, and Baikal passes.  All candidates descend together.  For losses that use them, all classes have the same
    prior, and the progress goes from 0 to 1 on the way.

    Args:
        link: of the task.
        classes: number of outputs.
        training: for eps and the reduction over classes.
    """

    def __init__(self, link: Link, classes: int, training: TrainingConfig) -> None:
        self._link, self._training = link, training
        self._points = probe_points(link, soft=False)
        self._known: dict[str, str | None] = {}
        generator = torch.Generator().manual_seed(20200719)
        if link is Link.SOFTMAX:
            self._target = torch.arange(SAMPLES) % classes
        elif link is Link.SIGMOID:
            self._target = (torch.rand(SAMPLES, classes, generator=generator) > 0.5).float()
        else:
            self._target = torch.randn(SAMPLES, classes, generator=generator)
        self._start = torch.randn(SAMPLES, classes, generator=generator)

    def __call__(self, expressions: Sequence[Expr]) -> list[str | None]:
        keys = [fingerprint(expression, self._points) for expression in expressions]
        new = {key: e for key, e in zip(keys, expressions, strict=True) if key not in self._known}
        if new:
            with one_thread():
                self._known |= dict(zip(new, self._probe(list(new.values())), strict=True))
        return [self._known[key] for key in keys]

    def _probe(self, expressions: list[Expr]) -> list[str | None]:
        what = "fit" if self._link is Link.IDENTITY else "decisions"
        return [
            None if score >= PASS_SCORE else f"minimising it does not make the {what} right ({score:.0%} are)"
            for score in self._descend(expressions).tolist()
        ]

    def _descend(self, expressions: list[Expr]) -> Tensor:
        """The best score of each candidate, shape (P), on the way down from decisions that are mostly wrong."""
        classes = self._target.shape[1] if self._target.dim() == 2 else self._start.shape[1]
        loss = PopulationLoss(
            expressions, self._link, self._training.class_reduction, self._training.eps, prior=(1 / classes,) * classes
        )
        # In memory, classes come before samples, as in the gradient.
        z = self._start.T.repeat(len(expressions), 1, 1).transpose(1, 2)
        outputs = z.numpy()
        best = self._score(z)
        with np.errstate(all="ignore"):
            for step in range(STEPS):
                loss.progress.fill_(step / (STEPS - 1))
                gradient = loss.gradient(z, self._target)
                array = gradient.numpy()  # numpy's calls cost less, and these are exact
                length = torch.from_numpy(np.square(array)).mean((1, 2), keepdim=True).sqrt_()
                array /= np.maximum(length.numpy(), 1e-30)
                gradient.nan_to_num_()
                array *= STEP_SIZE
                outputs -= array
                if step % 10 == 9:
                    best = torch.maximum(best, self._score(z))
        return best

    def _score(self, z: Tensor) -> Tensor:
        y = LINKS[self._link].predict(z, -1)
        if self._link is Link.SOFTMAX:
            return (y.argmax(-1) == self._target).float().mean(1)
        if self._link is Link.SIGMOID:
            return ((y > 0.5) == (self._target > 0.5)).float().mean((1, 2))
        error = (y - self._target).square().mean((1, 2)) / self._target.square().mean()
        return (1 - error).clamp_min(0)
