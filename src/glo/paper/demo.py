"""`glo demo`: discover a loss for digits with wrong labels, and ask honestly whether it is better."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glo.catalog import cross_entropy
from glo.compare.protocol import LADDER, Protocol, Report, baselines, compare
from glo.errors import ConfigError
from glo.execution import Where
from glo.execution.concurrent import Workplace, workplace
from glo.expr import parse
from glo.report import loss_figure, progress_figure, save, write_text
from glo.store import GenerationRecord
from glo.study import Discovery, discover
from glo.tasks import Task, load_task

TASK = "noisy-digits"


@dataclass(frozen=True)
class DemoConfig:
    """The size of the demo.

    Attributes:
        finalists: best candidates of the search that are trained again, with the tuning seeds, before one is chosen.
        tuning_seeds: trainings over which the learning rate (and the smoothing, and the finalist) is chosen.
        repeats: fresh seeds of the final comparison.
    """

    seed: int = 0
    generations: int = 15
    population: int = 40
    steps: int = 600
    finalists: int = 12
    tuning_seeds: int = 5
    repeats: int = 10


def run_demo(
    config: DemoConfig, out: Path, report: Report = lambda phase, done, total: None, cluster: Where = None
) -> dict[str, Any]:
    """Search, choose on validation, compare on test; write summary.json, loss.png and progress.png to `out`.

    Args:
        cluster: where to train, instead of on this machine (see `glo.execution.place`); the result is the same.

    Returns:
        What is in summary.json.

    Raises:
        ConfigError: if the folder cannot be written.
        ClusterError: if the cluster cannot be used, before anything is changed, or if it is lost.
    """
    with workplace(cluster) as place:
        return _demo(config, out, report, place)


def _demo(config: DemoConfig, out: Path, report: Report, place: Workplace) -> dict[str, Any]:
    _make_room(out)
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(phase: str) -> None:
        nonlocal clock
        seconds[phase] = time.perf_counter() - clock
        clock = time.perf_counter()

    task = load_task(TASK)
    discovery = _search(config, out, report, place)
    lap("search")
    losses = _compare(task, discovery, config, report, place)
    lap("comparison")
    found = losses["discovered"]
    summary = {
        "task": TASK,
        **{key: value for key, value in discovery.summary().items() if key != "seconds"},
        **{key: found[key] for key in ("expression", "canonical", "latex", "learning_rate", "fitness")},
        "losses": losses,
        "p_value": losses["cross_entropy"]["p_value"],
        "margin": found["mean"] - losses["cross_entropy"]["mean"],
        "seed": config.seed,
        "ladder": list(LADDER),
    }
    save(loss_figure({"discovered": parse(found["expression"]), "cross-entropy": cross_entropy}), out / "loss.png")
    save(progress_figure(discovery.history, f"validation {task.metric}"), out / "progress.png")
    lap("pictures")
    summary["seconds"] = seconds
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary


def _make_room(out: Path) -> None:
    """A folder to write to; a demo that has ended is made anew, one that was interrupted goes on."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        if (out / "summary.json").exists():
            for path in (out / "summary.json", *out.glob("glo.db*")):
                path.unlink()
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written ({error.strerror}): choose another --out") from None


def _search(config: DemoConfig, out: Path, report: Report, place: Workplace) -> Discovery:
    def on_generation(record: GenerationRecord, replayed: bool) -> None:
        report("search", record.generation + 1, config.generations)

    report("search", 0, config.generations)
    return discover(
        TASK,
        seed=config.seed,
        generations=config.generations,
        population=config.population,
        steps=config.steps,
        name="demo",
        storage=out / "glo.db",
        cluster=place.make_trainer,
        on_generation=on_generation,
    )


def _compare(
    task: Task, discovery: Discovery, config: DemoConfig, report: Report, place: Workplace
) -> dict[str, dict[str, Any]]:
    """Each loss at its best on validation, then all on test over fresh seeds; keyed by the loss's name.

    The discovered loss is what the others are compared with.
    """
    finalists = discovery.finalists(config.finalists) or [discovery.best]  # which says that there is none
    discovered = {outcome.expression: parse(outcome.expression) for outcome in finalists}
    protocol = Protocol(LADDER, config.tuning_seeds, config.repeats, config.seed)
    families = {"discovered": discovered, **baselines(task)}
    losses = compare(task, families, discovery.config.training, protocol, place.trainer, report)
    fitness = {outcome.expression: outcome.fitness for outcome in finalists}
    losses["discovered"]["fitness"] = fitness[losses["discovered"]["expression"]]
    losses["label_smoothing"]["smoothing"] = float(losses["label_smoothing"]["variant"])
    return losses
