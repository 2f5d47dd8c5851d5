"""The metric of a split without each group of its samples, which says how far its samples decide the result.

That is the delete-a-group jackknife (Kott 2001).  It needs only the metric itself, so it works for the area under a curve as
well as for a mean.  A sample with several labels, such as an image with one for each pixel, is in one group as a whole.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from glo.errors import RAISED
from glo.tasks import Task

GROUPS = 40
SMALL = 100  # samples up to which each is a group of its own


def groups_of(samples: int) -> Tensor:
    """The group of each sample, shape (samples): always the same for so many samples, and not in their order."""
    generator = torch.Generator().manual_seed(20200719)
    return torch.randperm(samples, generator=generator) % (samples if samples <= SMALL else GROUPS)


def without_each_group(task: Task, predictions: Tensor, targets: Tensor, fitted: float | None) -> tuple[float, ...]:
    """The metric without each group of samples; empty if it is not a finite number for each, as for a single class.

    Args:
        task: with the metric.
        predictions, targets, fitted: as for `Task.score`.
    """
    samples = len(targets)
    if samples < 2:
        return ()
    group = groups_of(samples).to(targets.device)
    of_rows = group.repeat_interleave(len(predictions) // samples)
    try:
        found = [
            task.score(predictions[of_rows != each], targets[group != each], fitted) for each in range(int(group.max()) + 1)
        ]
    except RAISED:  # of a metric that needs more samples; it has given the score of all of them
        return ()
    return tuple(found) if all(map(math.isfinite, found)) else ()
