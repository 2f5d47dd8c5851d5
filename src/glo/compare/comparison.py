"""`compare_losses`: a comparison over one or several lengths of training, with its provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo.catalog import resolve
from glo.compare.config import (
    ADAPTIVE_LADDER,
    ALL_AT_ONE,
    AS_THE_OBJECTIVE,
    DISCOVERED,
    EACH_AT_ITS_OWN,
    LADDER,
    UNIT_LADDER,
    ComparisonConfig,
)
from glo.compare.families import Family, contenders, same_as
from glo.compare.horizons import Agreement, Horizon, agreement, flip_warnings
from glo.compare.procedures import run_all
from glo.compare.protocol import compare
from glo.compare.rows import ComparisonRow, Contender
from glo.errors import ConfigError
from glo.execution import ForkingExecutor, InlineExecutor, Where, open_for, rehearse_for
from glo.expr import Expr
from glo.progress import OnProgress, shown
from glo.provenance import hardware, versions
from glo.records import Direction, TrainingConfig
from glo.tasks import Objective, Problem, load_task, with_label_noise, with_train_fraction
from glo.tasks.training import training_config

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

FIXED = (
    "All losses have the same learning rate: a loss with a larger gradient learns faster at it, whatever else it does. "
    "The comparison is confounded by the scale of the gradients."
)
FIXED_UNIT = (
    "All losses have the same learning rate, and gradients of the same size at the start; each might be better at a rate of "
    "its own."
)
FAILED = (
    "{name}: {count} of {trainings} trainings{length} failed, {on_test} of them on test, and count {worth}; "
    "the first {reason}"
)
EDGE = "the best learning rate found for {name}, {rate:g}, is at the edge of what was tried: give a wider --learning-rates"

SMOOTHED = "training.label_smoothing={amount:g} smooths the labels of all these losses, also of the baselines"
GRID = "the best parameter found for {name}, {variant}, is at the end of what was tried, {tried}"


@dataclass(frozen=True)
class Comparison:
    """The result of `compare_losses`; `print` shows it as a table.

    Attributes:
        config: what was compared, and how.
        task: name of the task.
        metric: name of its metric, which is measured on the test split.
        direction: whether the higher or the lower value of it is better.
        baseline: name of the loss that the others are compared with.
        horizons: the rows of all losses for each length of training, the shortest first; one of 0 steps for an objective.
        agreement: how far the order of the losses agrees between each two lengths.
        warnings: what limits the comparison, a sentence for each.
        training: options of the longest trainings; their ladder and early stopping are not used.
        device: that networks were trained on; of a cluster, that of its workers.
        cluster: whether they were trained by another executor than those of this machine.
        versions, hardware: of the libraries and of this machine.
    """

    config: ComparisonConfig
    task: str
    metric: str
    baseline: str
    horizons: list[Horizon]
    agreement: list[Agreement]
    warnings: list[str]
    training: TrainingConfig
    device: str
    cluster: bool = False
    direction: Direction = Direction.MAXIMIZE
    versions: Mapping[str, str] = field(default_factory=versions)
    hardware: Mapping[str, Any] = field(default_factory=hardware)

    @property
    def rows(self) -> list[ComparisonRow]:
        """A row for each loss after the longest training, the baseline first."""
        return self.horizons[-1].rows

    def row(self, loss: str) -> ComparisonRow:
        """The row of one loss after the longest training.

        Args:
            loss: its name, or else the expression that was measured.

        Raises:
            ConfigError: if there is no such loss; the message lists the names.
        """
        for called in ({row.name: row for row in self.rows}, {row.expression: row for row in reversed(self.rows)}):
            if loss.strip() in called:
                return called[loss.strip()]
        raise ConfigError(f"'{loss}' was not compared; the losses are {', '.join(row.name for row in self.rows)}")

    @property
    def metric_label(self) -> str:
        """The name of the metric, which says so if the lower value is better."""
        return self.metric + " (lower is better)" * (self.direction is Direction.MINIMIZE)

    @property
    def by_objective(self) -> bool:
        """Whether an objective has trained them, in its own way."""
        return not self.horizons[-1].steps

    @property
    def trained_how(self) -> str:
        """At which learning rates the losses were trained, in words."""
        if self.by_objective:
            return AS_THE_OBJECTIVE
        return ALL_AT_ONE if self.config.confounded else EACH_AT_ITS_OWN

    def table(self, steps: int | None = None) -> Table:
        """The losses, and the difference of each to the baseline, as a table for the terminal.

        Args:
            steps: which length of training; by default the longest.

        Raises:
            ConfigError: if there is no such length.
        """
        from glo.compare.tables import comparison_table

        lengths = {horizon.steps: horizon.rows for horizon in self.horizons}
        chosen = self.horizons[-1].steps if steps is None else steps
        if chosen not in lengths:
            raise ConfigError(f"there is no length of {chosen} steps here, only {', '.join(map(str, lengths))}")
        return comparison_table(lengths[chosen], self.metric_label, chosen, self.trained_how)

    def plot(self) -> Figure:
        """A box and the single seeds of each loss, one panel for each length of training."""
        from glo.compare.plots import comparison_figure

        return comparison_figure(self)

    def __str__(self) -> str:
        from glo.compare.tables import as_text

        return as_text(self)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-like data, as in comparison.json; `losses` has the rows by name."""
        horizons = [horizon.to_dict() for horizon in self.horizons]
        return {
            "task": self.task,
            "metric": self.metric,
            "direction": self.direction.value,
            "baseline": self.baseline,
            "baselines": self.config.baselines,
            "losses": horizons[-1]["losses"],
            "horizons": horizons,
            "agreement": [between.to_dict() for between in self.agreement],
            "confounded": self.config.confounded,
            "warnings": list(self.warnings),
            "learning_rates": [] if self.by_objective else list(self.config.ladder),
            "tuning_seeds": self.config.tuning_seeds,
            "run_off": self.config.run_off,
            "repeats": self.config.repeats,
            "seed": self.config.seed,
            "label_noise": self.config.label_noise,
            "train_fraction": self.config.train_fraction,
            "training": self.training.model_dump(
                mode="json",
                include={"class_reduction", "eps", "unit_gradient"}
                if self.by_objective
                else None,  # the rest is the objective's affair
                exclude={"learning_rates", "early_stop", "rungs"},
            ),
            "device": self.device,
            "cluster": self.cluster,
            "versions": dict(self.versions),
            "hardware": dict(self.hardware),
        }


def compare_losses(
    task: Problem | str,
    losses: Sequence[str | Expr],
    config: ComparisonConfig | None = None,
    *,
    training: TrainingConfig | None = None,
    task_options: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    time_limit: float | None = None,
    jobs: int = 1,
    isolate: bool = False,
    discovered: Sequence[Expr] = (),
    on_progress: OnProgress | None = None,
) -> Comparison:
    """Compare losses honestly: each at its own best rate, on fresh seeds and the test split, with the baselines.

    Args:
        task: a `Task`, the name of a built-in one, or "module:attribute"; or a `glo.tasks.Objective`, which is called for
            each loss and fresh seed, and chooses its own learning rate.
        losses: by text or name.
        config: how; by default `ComparisonConfig()`.
        training: options of the trainings, e.g. of the search that found a loss; by default the task's own, with the unit
            gradient.  `config.steps` wins over its steps.
        task_options: of a built-in task, e.g. {"noise": 0.2}.
        data_dir: the folder of the task's data files.
        device: "cpu", "cuda", or "auto" for the GPU if there is one.
        cluster: where to train instead of on this machine, e.g. "local:2" or "cluster.toml"; or an open executor.  The
            numbers are the same.
        time_limit: seconds that one training, or a population that is trained together, may take before it is killed; by
            default that of the cluster, here an hour.
        jobs, isolate: of an objective, as for `Study.search`.
        discovered: losses that a search has found, the best first: they come first, as "discovered", "discovered 2" and so
            on, and all others are compared with the first.
        on_progress: called with a label, how many trainings under it have ended, and how many have been submitted so far;
            by default it shows a progress bar.

    Raises:
        ConfigError, TaskError: for misuse; the message says what to do.
        ClusterError: if the cluster cannot be used, before anything is trained, or if it is lost.

    Example:
        print(glo.compare_losses("digits", ["baikal", "x*sqrt(y)"]))
    """
    config = config or ComparisonConfig()
    loaded = load_task(task, dict(task_options or {}), data_dir) if isinstance(task, str) else task
    changed = _changed(loaded, config)
    families = contenders(changed, losses, config, discovered)
    where = {"where": cluster, "device": device, "time_limit": time_limit, "jobs": jobs, "isolate": isolate}
    with shown(on_progress) as report:
        found = compare_families(loaded, changed, families, config, training, report, where)
    return replace(found, warnings=_repeated(losses, families) + found.warnings)


def compare_families(
    loaded: Problem,
    changed: Problem,
    families: Mapping[str, Family],
    config: ComparisonConfig,
    training: TrainingConfig | None,
    on_progress: OnProgress,
    where: Mapping[str, Any],
    known: Mapping[str, Contender] | None = None,
) -> Comparison:
    """Compare families of losses; the first is the baseline.

    Args:
        loaded: the task as it was given.
        changed: the same with the label noise and the fraction of training data of the configuration.
        where: arguments of `open_for`.
        known: the choice of some families, made before.
    """
    given = training or _own_training(changed)
    if "learning_rates" not in config.model_fields_set:
        config = config.model_copy(update={"learning_rates": ladder_of(given)})
    own_loop = isinstance(changed, Objective)
    lengths = [0] if own_loop else sorted(set(config.steps)) or [given.steps]
    trainings = [given if own_loop else given.model_copy(update={"steps": steps}) for steps in lengths]
    with open_for(changed, **where) as executor:
        rehearse_for(executor, changed, trainings[0], where.get("time_limit"))
        procedures = [compare(changed, each, families, config, known) for each in trainings]
        horizons = [
            Horizon(steps, rows) for steps, rows in zip(lengths, run_all(executor, procedures, on_progress), strict=True)
        ]
        agreements = agreement(horizons)
        return Comparison(
            config=config,
            task=loaded.source.name if loaded.source else loaded.name,
            metric=loaded.metric_name,
            baseline=next(iter(families)),
            horizons=horizons,
            agreement=agreements,
            warnings=_failure_warnings(horizons, loaded.free_scores)
            + _rate_warnings(config, given, horizons)
            + ([SMOOTHED.format(amount=given.label_smoothing)] if given.label_smoothing else [])
            + _grid_warnings(families, horizons)
            + flip_warnings(agreements),
            training=trainings[-1],
            device=executor.device,
            direction=loaded.direction,
            cluster=not isinstance(executor, (InlineExecutor, ForkingExecutor)),
        )


def _own_training(task: Problem) -> TrainingConfig:
    """The training options of a task, with the unit gradient unless the task says otherwise."""
    if isinstance(task, Objective):
        return TrainingConfig(unit_gradient=True)
    return training_config(task, {"unit_gradient": task.training.get("unit_gradient", True)})


def ladder_of(training: TrainingConfig) -> tuple[float, ...]:
    """The default learning rates."""
    if training.optimizer != "sgd":
        return ADAPTIVE_LADDER
    return UNIT_LADDER if training.unit_gradient else LADDER


def _grid_warnings(families: Mapping[str, Family], horizons: Sequence[Horizon]) -> list[str]:
    """The losses whose parameter is the last that was tried, of three or more: one beyond might be better.

    Before the first there is mostly another loss of the shelf, such as cross-entropy for no label smoothing.
    """
    found: list[str] = []
    for horizon in horizons:
        for row in horizon.rows:
            tried = list(families[row.name])
            if row.name != DISCOVERED and len(tried) > 2 and "," not in row.variant and row.variant == tried[-1]:
                found.append(GRID.format(name=row.name, variant=row.variant, tried=f"{tried[0]} to {tried[-1]}"))
    return list(dict.fromkeys(found))


def _changed(task: Problem, config: ComparisonConfig) -> Problem:
    """The task with the label noise and the fraction of training data that are asked for."""
    if isinstance(task, Objective):
        if config.label_noise or config.train_fraction != 1 or config.steps:
            raise ConfigError("steps, label_noise and train_fraction do nothing for an objective, which has its own data")
        return task
    if config.label_noise:
        task = with_label_noise(task, config.label_noise, config.seed)
    return with_train_fraction(task, config.train_fraction, config.seed) if config.train_fraction != 1 else task


def _repeated(losses: Sequence[str | Expr], families: Mapping[str, Family]) -> list[str]:
    """The given losses that are compared under another name already, and so have no row of their own."""
    names = dict.fromkeys(str(loss).strip() for loss in losses)
    left_out = {name: same_as(resolve(name), families) for name in names if name not in families}
    return [f"{name} is {same}, and has no row of its own" for name, same in left_out.items()]


def _rate_warnings(config: ComparisonConfig, training: TrainingConfig, horizons: Sequence[Horizon]) -> list[str]:
    edges = [
        EDGE.format(name=row.name, rate=row.learning_rate)
        for horizon in horizons
        for row in horizon.rows
        if row.at_edge and not row.failed
    ]
    return [FIXED_UNIT if training.unit_gradient else FIXED] * config.confounded + edges


def _failure_warnings(horizons: Sequence[Horizon], free_scores: bool) -> list[str]:
    """What failed trainings count: see `glo.compare.protocol.scores_of`."""
    worth = "as the worst that was measured" if free_scores else "0"
    return [
        FAILED.format(
            name=row.name, length=f" of {horizon.steps} steps" * bool(horizon.steps), worth=worth, **asdict(row.failures)
        )
        for horizon in horizons
        for row in horizon.rows
        if row.failures.count
    ]
