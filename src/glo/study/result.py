"""The result of a study: its history, the best loss, and what the phases found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo.errors import ConfigError, StudyError
from glo.expr import Expr, describe, parse, with_coefficients
from glo.loss import unit_factor
from glo.records import FunnelCounts, Link, Origin, Outcome, PhaseKind, Stage, Status
from glo.search import tuned_positions
from glo.store import GenerationRecord
from glo.study.config import StudyConfig
from glo.study.explanation import explained
from glo.study.history import confirmation_rounds, funnel_table, rank, summed_counts

if TYPE_CHECKING:
    import pandas
    import torch

    from glo.compare import Judgement
    from glo.loss import ExpressionLoss

HIDDEN = ("options", "unit", "prior", "reports", "metrics")  # of a trial, in a table


@dataclass(frozen=True)
class FrozenTrial:
    """One candidate of a study and its outcome.  (A `Trial` is one that an objective is to judge.)

    Attributes:
        number: in the study, from 0.
        generation, phase, position: where it was asked for.
        expression: the loss is minus its sum over classes.
        fingerprint: of its derivative; losses with the same fingerprint train alike.
        status: how the candidate ended.
        stage: the stage of the funnel that decided.
        reason: why it was not trained to the end; empty if it was.
        fitness: validation metric, higher is better and 0 for an invalid candidate; or the score of an objective.
        learning_rate: the rate of the ladder that reached the fitness; None for an objective, which has its own.
        reports: (step, value) pairs that an objective has reported.
        options: of `ExpressionLoss`, with which the study computes the loss.
        unit: link, classes and prior, by which the loss is scaled to the unit gradient; None if it is trained as written.
        prior: of the training labels (`Task.prior`), for a loss that uses it.
        metrics: means over seeds on validation, of those that `Study.pareto` has measured.
    """

    number: int
    generation: int
    phase: PhaseKind
    position: int
    expression: str
    fingerprint: str
    status: Status
    stage: Stage
    reason: str
    fitness: float
    learning_rate: float | None
    reports: tuple[tuple[int, float], ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False, compare=False)
    unit: tuple[Link, int, tuple[float, ...]] | None = field(default=None, repr=False, compare=False)
    prior: tuple[float, ...] = field(default=(), repr=False, compare=False)
    metrics: Mapping[str, float] = field(default_factory=dict[str, float], compare=False)

    def loss(self, **options: Any) -> ExpressionLoss:
        """The loss as a module, in place of `nn.CrossEntropyLoss`, computed as in the study.

        Args:
            options: of `ExpressionLoss`, such as weight or ignore_index.
        """
        from glo.loss import ExpressionLoss

        trained = self.trained
        known = {} if not trained.uses("prior") else {"prior": list(self.prior)}
        return ExpressionLoss(trained, **{**self.options, **known, **options})

    @property
    def scale(self) -> float:
        """What the loss is multiplied by: its factor for the unit gradient (`glo.unit_gradient`), or 1."""
        return 1.0 if self.unit is None else unit_factor(parse(self.expression), *self.unit) or 1.0

    @property
    def trained(self) -> Expr:
        """The expression whose negation the study minimised: `scale` times that which it found."""
        return with_coefficients(parse(self.expression), {0: self.scale})

    def row(self) -> dict[str, Any]:
        """What it is as a flat dictionary, with the size of the expression."""
        return {**asdict(replace(self, options={}, unit=None, prior=())), "scale": self.scale, "nodes": self.nodes}

    @property
    def nodes(self) -> int:
        """The size of the expression."""
        return parse(self.expression).nodes


@dataclass(frozen=True)
class StudyResult:
    """A study as far as it is recorded.

    Attributes:
        name: of the study in its store.
        config: all that the history depends on.
        versions: of glo and the libraries, with which the study was begun.
        history: the generations, in order (of a steady-state search, `population` arrivals at a time).
    """

    name: str
    config: StudyConfig
    versions: Mapping[str, str]
    history: list[GenerationRecord]

    @property
    def trials(self) -> list[FrozenTrial]:
        """Every candidate of every generation, in order."""
        placed = [(record, position, outcome) for record in self.history for position, outcome in enumerate(record.outcomes)]
        known = {"options": self._loss_options, "unit": self.config.unit, "prior": self.config.task.prior}
        return [
            FrozenTrial(number, record.generation, record.phase, position, **asdict(outcome), **known)
            for number, (record, position, outcome) in enumerate(placed)
        ]

    @property
    def best(self) -> FrozenTrial:
        """The trained candidate of highest fitness; of several the smallest expression, then the earliest.

        Raises:
            StudyError: if nothing could be trained.
        """
        finalists = self.finalists(1)
        if not finalists:
            raise StudyError(f"study '{self.name}' found no loss that trains: {self.why_nothing_trained}")
        return finalists[0]

    @property
    def why_nothing_trained(self) -> str:
        """Of a study without a best loss: how many candidates ended in which way, the reasons, and what to change."""
        confirmed = [trial for trial in self.trials if trial.phase is PhaseKind.CONFIRMATION]
        return explained(confirmed or self.trials)

    @property
    def expression(self) -> str:
        """The best loss, as text: minus the sum over classes of this is minimised."""
        return self.best.expression

    @property
    def fitness(self) -> float:
        """The validation metric of the best loss."""
        return self.best.fitness

    @property
    def learning_rate(self) -> float | None:
        """The learning rate at which the best loss reached its fitness."""
        return self.best.learning_rate

    def finalists(self, count: int) -> list[FrozenTrial]:
        """The best trained candidates, best first, each fingerprint once.

        Where a phase has confirmed some on fresh seeds, only these: their means are not the best of many.  Those of a later
        round come first, whose means are over more seeds.
        """
        direction, trials = self.config.task.direction, self.trials
        confirmed = [trial for trial in trials if trial.phase is PhaseKind.CONFIRMATION]
        rounds = sorted({trial.generation for trial in confirmed}, reverse=True)
        found: dict[str, FrozenTrial] = {}
        for trial in (t for number in rounds for t in rank([t for t in confirmed if t.generation == number], direction)):
            found.setdefault(trial.fingerprint, trial)
        return (list(found.values()) if confirmed else rank(trials, direction))[:count]

    def pareto(self) -> list[FrozenTrial]:
        """The trained candidates that no other beats in both size and fitness: smallest first, fitter with size."""
        front: list[FrozenTrial] = []
        direction = self.config.task.direction
        for trial in sorted(rank(self.trials, direction), key=lambda t: (t.nodes, -direction.sign * t.fitness)):
            if not front or direction.sign * trial.fitness > direction.sign * front[-1].fitness:
                front.append(trial)
        return front

    def to_frame(self) -> pandas.DataFrame:
        """The trials as a pandas DataFrame, a row for each.

        Raises:
            ConfigError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ConfigError("a data frame needs pandas: pip install pandas, or use .trials") from None
        rows = [trial.row() for trial in self.trials]
        return pandas.DataFrame([{name: value for name, value in row.items() if name not in HIDDEN} for row in rows])

    def loss(self, weight: torch.Tensor | None = None, *, trial: FrozenTrial | None = None) -> ExpressionLoss:
        """The best loss as a module, in place of `nn.CrossEntropyLoss`.

        It computes the loss as the search did: with the unit gradient if the search had it, so that a learning rate that
        suits cross-entropy suits it too; with the task's link, class weights and ignore_index, and the search's eps,
        class reduction and label smoothing.  Other options of the trainings are not part of a loss: the learning rate is in
        the trial; batch size, momentum, weight decay, schedule, steps and precision (such as bfloat16) are in
        `config.training`.

        Args:
            weight: of each class, shape (C), instead of the task's.
            trial: another candidate of this study than the best, such as `finalists(3)[1]`.
        """
        return (trial or self.best).loss(**({} if weight is None else {"weight": weight}))

    def report(self, path: str | Path = "report.html", judgement: Judgement | None = None) -> Path:
        """Write the result as one HTML file; see `Study.report`.

        Args:
            path: of the file.
            judgement: of the study, for the verdict.

        Raises:
            ConfigError: if the file cannot be written.
        """
        from glo.study.reporting import study_content, write_report

        return write_report(study_content(self, judgement and judgement.to_dict()), path)

    def _repr_html_(self) -> str:
        """The result in short, as a notebook shows it."""
        from glo.report.page import study_card
        from glo.study.reporting import study_content

        return study_card(study_content(self, None))

    @property
    def _loss_options(self) -> dict[str, Any]:
        """Of `ExpressionLoss`, with which the study computes its losses."""
        training, task = self.config.training, self.config.task
        found = {"class_reduction": training.class_reduction, "eps": training.eps, "link": task.link, **task.loss_options}
        return {**found, "label_smoothing": training.label_smoothing} if training.label_smoothing else found

    @property
    def target_reached(self) -> bool | None:
        """Whether a candidate of the search has reached its target, in one training; None if there is no target."""
        target, sign = self.config.genetic.target, self.config.task.direction.sign
        if target is None:
            return None
        searched = (trial for trial in self.trials if trial.phase is PhaseKind.GENETIC)
        return any(trial.status is Status.TRAINED and sign * (trial.fitness - target) >= 0 for trial in searched)

    @property
    def funnel(self) -> FunnelCounts:
        """The counts of each stage of the funnel, over all generations."""
        return summed_counts(self.history)

    @property
    def origins(self) -> dict[str, Origin]:
        """How the candidates of a search were made when they were asked for first, by expression."""
        found: dict[str, Origin] = {}
        for record in self.history:
            for text, origin in record.origins.items():
                found.setdefault(text, origin)
        return found

    @property
    def seeds(self) -> int:
        """The number of seeds over which the fitness of the best is averaged."""
        if self.tuning is not None:
            return self.config.coefficients.confirmations
        best = next(iter(self.finalists(1)), None)
        rounds = confirmation_rounds(self.history[: best.generation + 1]) if best else []
        return self.config.confirmation.seeds_of(len(rounds) - 1) if rounds else self.config.repeats

    @property
    def enumerated(self) -> list[Outcome]:
        """The outcomes of the enumeration, if there was one: the best first, those that failed last."""
        records = [record for record in self.history if record.phase is PhaseKind.ENUMERATION]
        outcomes = [outcome for record in records for outcome in record.outcomes]
        ranked = rank(outcomes, self.config.task.direction)
        return ranked + [outcome for outcome in outcomes if outcome not in ranked]

    @property
    def tuning(self) -> dict[str, Any] | None:
        """What tuning the coefficients found, as JSON-like data; None if it has not ended, or there was none.

        It has the mean fitness over fresh seeds of the start, the best sample and the mean of the search distribution.
        """
        tuned = any(record.phase is PhaseKind.COEFFICIENTS for record in self.history)
        confirmed = self.history[-1] if tuned else None
        if confirmed is None or confirmed.phase is not PhaseKind.CONFIRMATION:
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
                {"candidate": candidate, **_told(outcome)}
                for candidate, outcome in zip(("start", "best sample", "mean"), confirmed.outcomes, strict=True)
            ],
        }

    def history_rows(self) -> list[dict[str, Any]]:
        """Every candidate of every generation; the same whenever the study is repeated."""
        return [
            {"generation": record.generation, "phase": record.phase.value, "position": position, **_told(outcome)}
            for record in self.history
            for position, outcome in enumerate(record.outcomes)
        ]

    def history_lines(self) -> list[str]:
        """The history as tab-separated text, column names first; the same to the byte for a repeated study."""
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
            "scale": best.scale if best else None,
            "tuning": self.tuning,
            "target_reached": self.target_reached,
            "generations": len(self.history),
            "history_digest": self.history_digest(),
            "funnel": funnel_table(self.funnel),
            "seconds": sum(record.seconds for record in self.history),
            "config": self.config.model_dump(mode="json"),
            "versions": dict(self.versions),
        }


def _told(outcome: Outcome) -> dict[str, Any]:
    """What a search is told of an outcome, by name."""
    values = asdict(outcome)
    del values["reports"]
    return values
