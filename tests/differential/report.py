"""What the check of a case found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

TOLERANCE = 1e-4  # of scores; of values and gradients of a loss, relative to the largest: some hundred roundings of float32
PERTURBATION = 1e-6  # relative, of initial weights or outputs
PROBES = 6  # perturbations that are tried


@dataclass
class Report:
    """What a case showed.

    A difference above the tolerance is a failure, unless the case is ill-conditioned: the oracle itself changes by at least
    a tenth of the difference if the initial weights (or the outputs) change by a millionth, or the oracle or the population
    if the loss is computed in float64, which does not overflow.  Such differences are set aside and counted.

    Attributes:
        seed: of the case.
        failures: what differs, and by how much.
        set_aside: differences of ill-conditioned trainings and losses.
        compared: the number of comparisons, those set aside included.
        facts: for the summary, e.g. "diverged".
    """

    seed: int
    failures: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    compared: int = 0
    facts: list[str] = field(default_factory=list)

    def compare(self, what: str, difference: float, sensitivity: Callable[[], float], tolerance: float = TOLERANCE) -> None:
        """Note a difference above the tolerance; `sensitivity` is how much the compared ways change by themselves."""
        self.compared += 1
        if difference <= tolerance:
            return
        own = sensitivity()
        if own >= difference / 10:
            self.set_aside.append(f"{what}: {difference:.3g}, and {own:.3g} by a small perturbation")
        else:
            self.failures.append(f"{what}: differs by {difference:.3g}, and by {own:.3g} by a small perturbation")
