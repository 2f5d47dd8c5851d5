"""The story of `glo demo`: discover a loss for digits with wrong labels, and test honestly whether it is better."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glo.catalog import cross_entropy
from glo.cli.output import check_writable
from glo.compare import ComparisonConfig, ComparisonRow
from glo.errors import ConfigError
from glo.execution import Executor, Where, open_executor
from glo.expr import parse
from glo.progress import Progress
from glo.provenance import hardware
from glo.records import PhaseKind
from glo.report import loss_figure, progress_figure, save, write_text
from glo.study import Study, StudyResult

TASK = "noisy-digits"
FINALISTS = 99  # all that were confirmed


@dataclass(frozen=True)
class DemoConfig:
    """The size of the demo.

    Attributes:
        finalists: how many of the best losses of the search are trained again on fresh seeds.
        tuning_seeds: trainings over which learning rates, parameters and the finalist are chosen.
        run_off: further trainings of the best three of each.
        repeats: fresh seeds of the final comparison.
    """

    seed: int = 0
    generations: int = 15
    population: int = 40
    steps: int = 600
    finalists: int = 12
    tuning_seeds: int = 2
    run_off: int = 6
    repeats: int = 10


@dataclass(frozen=True)
class DemoResult:
    """The result of the demo.

    Attributes:
        summary: the content of summary.json.
        rows: the final comparison.
    """

    summary: dict[str, Any]
    rows: list[ComparisonRow]


def run_demo(
    config: DemoConfig,
    out: Path,
    progress: bool | Progress = False,
    cluster: Where = None,
) -> DemoResult:
    """Search, choose on validation, compare on test; write summary.json, pictures and report.html to `out`.

    Args:
        progress: as for `Study`.
        cluster: where to train instead of on this machine; the numbers are the same.

    Raises:
        ConfigError: if the folder cannot be written.
        ClusterError: if the cluster cannot be used, before any file is changed, or if it is lost.
    """
    with open_executor(cluster) as executor:
        return _run(config, out, progress, executor)


def _run(config: DemoConfig, out: Path, progress: bool | Progress, executor: Executor) -> DemoResult:
    _make_room(out)
    seconds: dict[str, float] = {}
    clock = time.perf_counter()

    def lap(part: str) -> None:
        nonlocal clock
        seconds[part] = time.perf_counter() - clock
        clock = time.perf_counter()

    study = _study(config, out, progress, executor)
    judging = ComparisonConfig(
        baselines="shelf", tuning_seeds=config.tuning_seeds, run_off=config.run_off, repeats=config.repeats, seed=config.seed
    )
    result = study.search(
        generations=config.generations, population=config.population, steps=config.steps, confirm=config.finalists
    )
    lap("search")
    judgement = study.judge(judging)
    rows, verdict = judgement.comparison.rows, judgement.verdict
    lap("comparison")
    losses = _losses(rows, result)
    found = losses["discovered"]
    summary = {
        "task": TASK,
        **{key: value for key, value in result.summary().items() if key != "seconds"},
        "hardware": hardware(),
        **{key: found[key] for key in ("expression", "canonical", "latex", "learning_rate", "scale", "fitness")},
        "losses": losses,
        "verdict": verdict.to_dict(),
        "p_value": losses["cross_entropy"]["p_value"],
        "margin": found["mean"] - losses["cross_entropy"]["mean"],
        "seed": config.seed,
        "ladder": list(judgement.comparison.config.ladder),
    }
    save(loss_figure({"discovered": parse(found["expression"]), "cross-entropy": cross_entropy}), out / "loss.png")
    searched = [record for record in result.history if record.phase is PhaseKind.GENETIC]
    save(progress_figure(searched, f"validation {study.task.metric_name}"), out / "progress.png")
    study.report(out / "report.html")
    lap("pictures")
    summary["seconds"] = seconds
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")
    return DemoResult(summary, rows)


def _make_room(out: Path) -> None:
    """Make the folder.  A demo that had ended starts again from nothing; one that was interrupted goes on."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        check_writable(out)
        if (out / "summary.json").exists():
            for path in (out / "summary.json", *out.glob("glo.db*")):
                path.unlink()
    except OSError as error:
        raise ConfigError(f"{out} cannot be written ({error.strerror}): choose another --out") from None


def _study(config: DemoConfig, out: Path, progress: bool | Progress, executor: Executor) -> Study:
    return Study(
        TASK,
        seed=config.seed,
        name="demo",
        storage=out / "glo.db",
        cluster=executor,
        progress=progress,
    )


def _losses(rows: list[ComparisonRow], result: StudyResult) -> dict[str, dict[str, Any]]:
    """The rows by name, with the fitness of the discovered loss and the amount of label smoothing."""
    losses = {row.name: row.to_dict() for row in rows}
    fitness = {trial.expression: trial.fitness for trial in result.finalists(FINALISTS)}
    losses["discovered"]["fitness"] = fitness[losses["discovered"]["expression"]]
    losses["label_smoothing"]["smoothing"] = float(losses["label_smoothing"]["variant"])
    return losses
