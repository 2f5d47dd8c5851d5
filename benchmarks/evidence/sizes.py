"""The size of the suite: how much data and training there is at each scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Size:
    """The suite at one scale.

    Attributes:
        images: training images of MNIST and CIFAR-10.
        tail: training images of the long-tailed problem, before its classes are thinned.
        rows: training and validation rows of the problems that scikit-learn generates; their test split has twice as many.
        validation: images that fitness is measured on.
        test: images of the test split.
        mnist, cifar: side of an image after neighbouring pixels are averaged; 28 and 32 as they are.
        hidden: units of the networks.
        steps: of a training.
        search: arguments of `Study.search`; empty for the defaults.
        baselines: what the discovered loss has to beat.
        tuning: seeds over which rates and parameters are chosen.
        run_off: further seeds for the best three of each loss.
        repeats: fresh seeds of each measurement on test.
        fresh: fresh seeds by which the reported fitness is checked.
        races: seeds of the time to quality.
        race_steps: of its trainings; None for those of the task.
    """

    images: int
    tail: int
    rows: int
    validation: int
    test: int
    mnist: int
    cifar: int
    hidden: int
    steps: int = 600
    search: Mapping[str, Any] = field(default_factory=dict[str, Any])
    baselines: Literal["standard", "shelf"] = "shelf"
    tuning: int = 2
    run_off: int = 6
    repeats: int = 10
    fresh: int = 20
    races: int = 3
    race_steps: int | None = None

    @property
    def training(self) -> dict[str, int]:
        """What a task says of its training."""
        return {"steps": self.steps}


SIZES = {
    # seconds, for the tests
    "tiny": Size(
        images=200, tail=1000, rows=200, validation=200, test=200, mnist=7, cifar=4, hidden=8, steps=30,
        search={"generations": 2, "population": 6, "confirm": 2},
        baselines="standard", tuning=1, run_off=1, repeats=3, fresh=3, races=1, race_steps=30,
    ),
    # less than half an hour on two cores
    "small": Size(images=4000, tail=10_000, rows=2000, validation=1000, test=10_000, mnist=14, cifar=8, hidden=64),
    # hours on two cores: all pixels, ten times the images, longer trainings
    "full": Size(
        images=40_000, tail=40_000, rows=20_000, validation=5000, test=10_000, mnist=28, cifar=32, hidden=256, steps=3000,
        repeats=20, races=5,
    ),
}  # fmt: skip
