"""Judge a discovered loss: compare it with the standard loss and the shelf, and say in words which one to use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glo.compare.comparison import Comparison, compare_families, ladder_of
from glo.compare.config import DISCOVERED, ComparisonConfig
from glo.compare.families import BASELINES
from glo.compare.procedures import run_all
from glo.compare.protocol import choose
from glo.compare.rows import Contender
from glo.compare.verdict import Verdict, verdict_of
from glo.execution import open_for, rehearse_for
from glo.expr import Expr
from glo.progress import OnProgress
from glo.records import Direction, TrainingConfig
from glo.tasks import Task

# Two trainings for each rate and variant of the shelf; then the best three of each family have six more.
JUDGING = ComparisonConfig(baselines="shelf", tuning_seeds=2, run_off=6)
RATES = (0.2, 0.4, 0.8)  # of the unit gradient, continued where the best is at an end


@dataclass(frozen=True)
class Judgement:
    """A verdict, and the comparison that it rests on, whose first row is the discovered loss."""

    verdict: Verdict
    comparison: Comparison

    def __str__(self) -> str:
        return f"{self.comparison}\n{self.verdict}"

    def to_dict(self) -> dict[str, Any]:
        """The verdict, the comparison, and what three of its losses predict, as JSON-like data.

        The three are the discovered loss, the standard one, and of the others that which the verdict recommends, else the
        best.
        """
        rows, sign = self.comparison.rows, self.comparison.direction.sign
        best = sorted(rows[2:], key=lambda row: (row.name != self.verdict.use, -sign * row.mean))[:1]
        return {
            "verdict": self.verdict.to_dict(),
            "comparison": self.comparison.to_dict(),
            "predictions": {
                row.name: {**row.sample.predicted.to_dict(), "histogram": list(row.sample.histogram)}
                for row in [*rows[:2], *best]
                if row.sample.predicted is not None
            },
        }


@dataclass(frozen=True)
class Survey:
    """What there is to beat, before anything is searched for: the known losses at their best on validation.

    Attributes:
        known: the choice of each family, the standard loss first.
        metric: its name.
        direction: whether higher or lower is better.
    """

    known: Mapping[str, Contender]
    metric: str
    direction: Direction

    @property
    def best(self) -> tuple[str, Contender]:
        """The best known loss on validation."""
        return max(self.known.items(), key=lambda item: self.direction.sign * item[1].validation)

    def __str__(self) -> str:
        (name, standard), (best, contender) = next(iter(self.known.items())), self.best
        if standard.failures.count == standard.failures.trainings:
            return f"The known losses could not be trained: {standard.failures.reason}"
        spread = f", which seeds change by {standard.spread:.4f}" if standard.spread else ""
        text = f"To beat, on validation: {name} with {self.metric} {standard.validation:.4f}{spread}"
        return text if best == name else f"{text}; {f'{best} {contender.variant}'.strip()} with {contender.validation:.4f}"

    def to_dict(self) -> dict[str, Any]:
        """The validation metric, its spread over seeds, the variant and the rate of each known loss."""
        return {
            name: {
                "validation": each.validation, "spread": each.spread, "variant": each.variant,
                "learning_rate": each.learning_rate, "scale": each.scale, "expression": str(each.expression),
            }
            for name, each in self.known.items()
        }  # fmt: skip


def survey(
    task: Task,
    config: ComparisonConfig | None,
    training: TrainingConfig,
    where: Mapping[str, Any],
    on_progress: OnProgress,
) -> Survey:
    """Train the known losses, each at its best rate and parameter, on a few seeds.

    Args:
        config: how to compare; its baselines are the known losses.
        training, where: as for `judge`.
    """
    config = _rated(config or JUDGING, training)
    with open_for(task, **where) as executor:
        rehearse_for(executor, task, training, where.get("time_limit"))
        (known,) = run_all(
            executor,
            [choose(task, training.whole, BASELINES[config.baselines](task, config.smoothings), config)],
            on_progress,
        )
    return Survey(known, task.metric_name, task.direction)


def judge(
    task: Task,
    finalists: Sequence[Expr],
    config: ComparisonConfig | None,
    training: TrainingConfig,
    where: Mapping[str, Any],
    on_progress: OnProgress,
    surveyed: Survey | None = None,
) -> Judgement:
    """Judge the finalists of a search as one family, of which validation chooses the best, as of each family of the shelf.

    Args:
        config: how to compare; its baselines are what the discovered loss has to beat.
        training: of the search.
        where: as for `compare_families`.
        surveyed: the survey of the known losses with the same configuration and training, if there was one.

    Raises:
        TaskError: if the task has no test split.
    """
    config = _rated(config or JUDGING, training)
    known = BASELINES[config.baselines](task, config.smoothings)
    families = {DISCOVERED: {str(loss): loss for loss in finalists}, **known}
    known_choices = None if surveyed is None else surveyed.known
    comparison = compare_families(task, task, families, config, training, on_progress, where, known_choices)
    verdict = verdict_of(comparison.rows, comparison.metric, comparison.direction)
    return Judgement(replace(verdict, notes=[*verdict.notes, *comparison.warnings]), comparison)


def _rated(config: ComparisonConfig, training: TrainingConfig) -> ComparisonConfig:
    """The configuration with the learning rates that suit the training, unless they were given."""
    if "learning_rates" in config.model_fields_set:
        return config
    few = training.unit_gradient and training.optimizer == "sgd"
    return config.model_copy(update={"learning_rates": RATES if few else ladder_of(training)})
