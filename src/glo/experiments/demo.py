"""`glo demo`: discover a loss for digits with wrong labels, and ask honestly whether it is better."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glo.errors import ConfigError
from glo.experiments.comparison import LADDER, measure, seeds_for, tune
from glo.experiments.statistics import welch
from glo.expr import describe, parse
from glo.losses import cross_entropy, smoothed_cross_entropy
from glo.report import loss_figure, progress_figure, save
from glo.run import Discovery, discover
from glo.store import GenerationRecord
from glo.tasks import Task, load_task

TASK = "noisy-digits"
SMOOTHINGS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


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


# report(phase, done, total)
Report = Callable[[str, int, int], None]


def run_demo(config: DemoConfig, out: Path, report: Report = lambda phase, done, total: None) -> dict[str, Any]:
    """Search, choose on validation, compare on test; write summary.json, loss.png and progress.png to `out`.

    Returns:
        What is in summary.json.
    """
    _make_room(out)
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(phase: str) -> None:
        nonlocal clock
        seconds[phase] = time.perf_counter() - clock
        clock = time.perf_counter()

    task = load_task(TASK)
    discovery = _search(config, out, report)
    lap("search")
    losses = _compare(task, discovery, config, report)
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
    draft = out / ".summary.json.part"
    draft.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    draft.replace(out / "summary.json")
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


def _search(config: DemoConfig, out: Path, report: Report) -> Discovery:
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
        on_generation=on_generation,
    )


def _compare(task: Task, discovery: Discovery, config: DemoConfig, report: Report) -> dict[str, dict[str, Any]]:
    """Each loss at its best on validation, then all on test over fresh seeds; keyed by the loss's name."""
    training = discovery.config.training.model_copy(update={"early_stop": 0.0})
    finalists = discovery.finalists(config.finalists) or [discovery.best]  # which says that there is none
    variants = {
        "discovered": {outcome.expression: parse(outcome.expression) for outcome in finalists},
        "cross_entropy": {"": cross_entropy},
        "label_smoothing": {f"{s:g}": smoothed_cross_entropy(s, task.classes) for s in SMOOTHINGS},
    }
    tuning = seeds_for(config.seed, "tuning", config.tuning_seeds)
    total, done = len(variants) * len(tuning) + config.repeats, 0

    def step() -> None:
        nonlocal done
        done += 1
        report("comparison", done, total)

    contenders = {name: tune(task, v, training, tuning, on_seed=step) for name, v in variants.items()}
    fresh = seeds_for(config.seed, "test", config.repeats)
    samples = measure(task, list(contenders.values()), training, fresh, on_seed=step)
    fitness = {outcome.expression: outcome.fitness for outcome in finalists}
    rows: dict[str, dict[str, Any]] = {}
    for (name, contender), sample in zip(contenders.items(), samples, strict=True):
        rows[name] = {
            **describe(contender.expression),
            "learning_rate": contender.learning_rate,
            "validation": contender.validation,
            "mean": sample.mean,
            "sd": sample.sd,
            "n": sample.n,
            "values": list(sample.values),
            "p_value": welch(samples[0].values, sample.values) if name != "discovered" else None,
        }
    rows["discovered"]["fitness"] = fitness[str(contenders["discovered"].expression)]
    rows["label_smoothing"]["smoothing"] = float(contenders["label_smoothing"].variant)
    return rows
