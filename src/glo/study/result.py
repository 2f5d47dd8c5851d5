"""What a run found."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

import glo
from glo.errors import RunError
from glo.expr import describe, parse
from glo.loss import ExpressionLoss
from glo.records import FunnelCounts, Outcome, Phase, Stage, StageCount, new_counts
from glo.search import tuned_positions
from glo.store import GenerationRecord
from glo.study.config import RunConfig
from glo.study.loop import asked_digest
from glo.study.phases import rank


@dataclass(frozen=True)
class Discovery:
    """A run that has ended, and the best loss it found.

    Attributes:
        name: of the run in its store.
        config: all it depended on.
        history: the generations, in order (of a steady-state search, `population` arrivals at a time).
    """

    name: str
    config: RunConfig
    history: list[GenerationRecord]

    @property
    def best(self) -> Outcome:
        """The trained candidate of highest fitness; of equals the smallest expression, then the earliest.

        Raises:
            RunError: if nothing could be trained.
        """
        finalists = self.finalists(1)
        if not finalists:
            raise RunError(f"run '{self.name}' found no loss that trains: search longer, or with other options")
        return finalists[0]

    @property
    def expression(self) -> str:
        """The best loss, as text: minus the sum over classes of this is minimised."""
        return self.best.expression

    @property
    def fitness(self) -> float:
        return self.best.fitness

    @property
    def learning_rate(self) -> float | None:
        """The learning rate at which the best loss reached its fitness."""
        return self.best.learning_rate

    @property
    def funnel(self) -> FunnelCounts:
        """What each stage of the funnel did, over all generations."""
        return _summed(self.history)

    def finalists(self, count: int) -> list[Outcome]:
        """The best trained candidates, best first, each fingerprint once.

        Where a phase has confirmed some on fresh seeds, only these: its means are not flattered by having been the best.
        """
        confirmed = [record for record in self.history if record.phase is Phase.CONFIRMATION]
        outcomes = [outcome for record in confirmed or self.history for outcome in record.outcomes]
        return rank(outcomes)[:count]

    @property
    def seeds(self) -> int:
        """Over how many seeds the fitness of the best is averaged."""
        return self.config.repeats if self.tuning is None else self.config.coefficients.confirmations

    @property
    def enumerated(self) -> list[Outcome]:
        """What the enumeration judged, if there was one: the best first, those that failed last."""
        records = [record for record in self.history if record.phase is Phase.ENUMERATION]
        outcomes = [outcome for record in records for outcome in record.outcomes]
        ranked = rank(outcomes)
        return ranked + [outcome for outcome in outcomes if outcome not in ranked]

    @property
    def tuning(self) -> dict[str, Any] | None:
        """What tuning the coefficients came to, as JSON-like data; None if it has not ended, or there was none.

        Mean fitness over fresh seeds of the start, the best sample and the mean of the search distribution.
        """
        confirmed = next((record for record in self.history if record.phase is Phase.CONFIRMATION), None)
        if confirmed is None:
            return None
        start = parse(confirmed.outcomes[0].expression)
        options = self.config.coefficients
        positions = tuned_positions(start, options.which, self.config.on_ladder)
        return {
            "start": str(start),
            "which": options.which,
            "coefficients": len(positions),
            "scale_only": positions == [0],
            "seeds": options.confirmations,
            "confirmation": [
                {"candidate": candidate, **asdict(outcome)}
                for candidate, outcome in zip(("start", "best sample", "mean"), confirmed.outcomes, strict=True)
            ],
        }

    def loss(self) -> ExpressionLoss:
        """The best loss as a module, in place of `nn.CrossEntropyLoss`."""
        return ExpressionLoss(self.expression, class_reduction=self.config.training.class_reduction)

    def history_rows(self) -> list[dict[str, Any]]:
        """Every candidate of every generation; the same whenever the run is repeated."""
        return [
            {"generation": record.generation, "phase": record.phase.value, "position": position, **asdict(outcome)}
            for record in self.history
            for position, outcome in enumerate(record.outcomes)
        ]

    def history_lines(self) -> list[str]:
        """The history as tab-separated text, the names of the columns first; the same to the byte for a repeated run."""
        rows = self.history_rows()
        return ["\t".join(rows[0])] + ["\t".join(map(str, row.values())) for row in rows] if rows else []

    def history_digest(self) -> str:
        """sha256 of `history_lines`, joined by newlines."""
        return hashlib.sha256("\n".join(self.history_lines()).encode()).hexdigest()

    def summary(self) -> dict[str, Any]:
        """All of the above as JSON-like data; without an expression if nothing could be trained."""
        best = next(iter(self.finalists(1)), None)
        return {
            "name": self.name,
            **(describe(parse(best.expression)) if best else {"expression": None, "canonical": None, "latex": None}),
            "fingerprint": best.fingerprint if best else None,
            "fitness": best.fitness if best else None,
            "learning_rate": best.learning_rate if best else None,
            "tuning": self.tuning,
            "generations": len(self.history),
            "history_digest": self.history_digest(),
            "funnel": funnel_table(self.funnel),
            "seconds": sum(record.seconds for record in self.history),
            "config": self.config.model_dump(mode="json"),
            "versions": versions(),
            "hardware": hardware(),
        }


def in_generations(config: RunConfig, history: Sequence[GenerationRecord]) -> list[GenerationRecord]:
    """A history as it is shown: arrivals of a steady-state phase in the order in which they came, `population` at a time."""
    if not config.genetic.steady_state:
        return list(history)
    size = config.genetic.population
    arrivals = [record for record in history if record.phase is Phase.GENETIC]
    blocks = [_together(arrivals[start : start + size]) for start in range(0, len(arrivals), size)]
    records = blocks + [record for record in history if record.phase is not Phase.GENETIC]
    return [replace(record, generation=number) for number, record in enumerate(records)]


def _together(records: Sequence[GenerationRecord]) -> GenerationRecord:
    outcomes = [outcome for record in records for outcome in record.outcomes]
    asked = asked_digest([parse(outcome.expression) for outcome in outcomes])
    seconds = sum(record.seconds for record in records)
    return replace(records[0], asked=asked, outcomes=outcomes, funnel=_summed(records), seconds=seconds)


def _summed(records: Sequence[GenerationRecord]) -> FunnelCounts:
    total = new_counts()
    for record in records:
        for stage, count in record.funnel.items():
            total[stage].add(count)
    return total


def versions() -> dict[str, str]:
    """The versions that a history depends on."""
    return {
        "glo": glo.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cma": importlib.metadata.version("cma"),
    }


def hardware() -> dict[str, str | int]:
    """The machine, for the provenance of a number."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {"platform": platform.platform(), "cores": os.cpu_count() or 1, "threads": torch.get_num_threads(), **gpu}


def funnel_table(funnel: FunnelCounts) -> dict[str, dict[str, float]]:
    """For each stage: candidates, rejected, seconds spent, and seconds saved.

    What a stage saves is what its rejects would have cost in training, at the mean cost of those that were trained.
    """
    training = funnel[Stage.TRAINING]
    trained = training.candidates + funnel[Stage.EARLY_STOP].rejected
    mean = training.seconds / trained if trained else 0.0
    return {
        stage.value: {
            "candidates": count.candidates,
            "rejected": count.rejected,
            "seconds": count.seconds,
            "saved": _saved(stage, count, mean),
        }
        for stage, count in funnel.items()
    }


def _saved(stage: Stage, count: StageCount, mean: float) -> float:
    return 0.0 if stage in (Stage.TRAINING, Stage.EARLY_STOP) else count.rejected * mean
