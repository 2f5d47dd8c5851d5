"""`glo compare`: a whole comparison, over one or several lengths of training, with its provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glo.catalog import resolve
from glo.compare.horizons import agreement, warnings_of
from glo.compare.protocol import LADDER, SMOOTHINGS, Family, Protocol, Report, baselines, compare
from glo.errors import ConfigError
from glo.execution import Where
from glo.execution.concurrent import shares, workplace
from glo.expr import Expr
from glo.records import TrainingConfig
from glo.study import hardware, training_config, versions
from glo.tasks import Task, load_task, with_label_noise, with_train_fraction

FIXED = (
    "All losses have the same learning rate: a loss with a larger gradient learns faster at it, whatever else it does. "
    "The comparison is confounded by the scale of the gradients."
)
EDGE = "the best learning rate found for {name}, {rate:g}, is at the edge of what was tried: give a wider --learning-rates"


@dataclass(frozen=True)
class Study:
    """What is compared, and how.

    Attributes:
        steps: lengths of training, each a comparison of its own; none for the task's.
        learning_rates: the ladder; one rate alone is fixed for all, and confounds the comparison.
        tuning_seeds, repeats, seed: as in `Protocol`.
        smoothings: of label smoothing, from which the best on validation is taken.
        baselines: whether cross-entropy and label smoothing are always among the losses.
        label_noise: fraction of the training labels that are made wrong.
        train_fraction: fraction of the training data that is kept.
    """

    steps: tuple[int, ...] = ()
    learning_rates: tuple[float, ...] = LADDER
    tuning_seeds: int = 3
    repeats: int = 10
    seed: int = 0
    smoothings: tuple[float, ...] = SMOOTHINGS
    baselines: bool = True
    label_noise: float = 0.0
    train_fraction: float = 1.0


def compare_losses(
    task: Task | str,
    losses: Sequence[str | Expr],
    study: Study | None = None,
    *,
    task_options: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    report: Report = lambda phase, done, total: None,
) -> dict[str, Any]:
    """Compare losses honestly: each at its own best rate, on fresh seeds and the test split, with the baselines.

    Args:
        task: a `Task`, the name of a built-in one, or "module:attribute".
        losses: by text or name.
        study: how; by default `Study()`.
        task_options, data_dir, device, cluster: as in `glo.discover`.  On a cluster the lengths of training are compared
            side by side, all losses, rates and seeds of each at once; the numbers are those of one machine.
        report: called with phase, done and total.

    Returns:
        JSON-like: `losses` has a row for each loss by name, the baseline first (of the longest training), `horizons` the
        rows for each number of steps, `agreement` how far the order holds between them, `warnings` what to mind.  `device`
        is what networks were trained on, on a cluster that of its workers; `hardware` is this machine.

    Raises:
        ConfigError, TaskError: for misuse; the message says what to do.
        ClusterError: if the cluster cannot be used, before anything is trained, or if it is lost.
    """
    study = study or Study()
    protocol = Protocol(study.learning_rates, study.tuning_seeds, study.repeats, study.seed)
    loaded = task if isinstance(task, Task) else load_task(task, dict(task_options or {}), data_dir)
    changed = _changed(loaded, study)
    families = contenders(changed, losses, study)
    trainings = [training_config(changed, {"steps": steps}) for steps in sorted(set(study.steps)) or [None]]
    with workplace(cluster, device) as place:

        def horizon(training: TrainingConfig, tell: Report) -> tuple[int, dict[str, dict[str, Any]]]:
            return training.steps, compare(changed, families, training, protocol, place.trainer, tell)

        horizons = place.map(horizon, trainings, shares(report, len(trainings)))
    agreements = agreement(horizons)
    return {
        "task": loaded.name if isinstance(task, Task) else task,
        "metric": str(loaded.metric) if isinstance(loaded.metric, str) else getattr(loaded.metric, "__name__", "metric"),
        "baseline": next(iter(families)),
        "losses": horizons[-1][1],
        "horizons": [{"steps": steps, "losses": rows} for steps, rows in horizons],
        "agreement": agreements,
        "confounded": protocol.fixed,
        "warnings": _warnings(protocol, horizons) + warnings_of(agreements),
        "learning_rates": list(protocol.ladder),
        "tuning_seeds": study.tuning_seeds,
        "repeats": study.repeats,
        "seed": study.seed,
        "label_noise": study.label_noise,
        "train_fraction": study.train_fraction,
        "training": trainings[-1].model_dump(mode="json", exclude={"learning_rates", "early_stop"}),
        "device": place.device,
        "cluster": place.elsewhere,
        "versions": versions(),
        "hardware": hardware(),
    }


def _changed(task: Task, study: Study) -> Task:
    if study.label_noise:
        task = with_label_noise(task, study.label_noise, study.seed)
    return with_train_fraction(task, study.train_fraction, study.seed) if study.train_fraction != 1 else task


def contenders(task: Task, losses: Sequence[str | Expr], study: Study) -> dict[str, Family]:
    """The families of a study by name, the baseline first.

    Raises:
        ConfigError: if there is nothing to compare with.
    """
    given: dict[str, Family] = {str(loss).strip(): {"": resolve(loss)} for loss in losses}
    standard = baselines(task, study.smoothings) if study.baselines else {}
    known = [family[""] for family in standard.values() if "" in family]
    families = standard | {name: family for name, family in given.items() if family[""] not in known}
    if len(families) < 2:
        raise ConfigError("there is only one loss: give another to compare it with, or leave the baselines in")
    return families


def _warnings(protocol: Protocol, horizons: Sequence[tuple[int, Mapping[str, Mapping[str, Any]]]]) -> list[str]:
    edges = [
        EDGE.format(name=name, rate=row["learning_rate"])
        for _, rows in horizons
        for name, row in rows.items()
        if row["at_edge"]
    ]
    return [FIXED] * protocol.fixed + edges
