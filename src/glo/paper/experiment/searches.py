"""The searches of an experiment: their size, and how they are published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import PositiveInt

from glo.paper.experiment.context import ExperimentContext
from glo.progress import OnProgress
from glo.records import Config, PhaseKind, Rate, digest
from glo.store import GenerationRecord
from glo.study import Callback, Study, StudyResult, discover


class SearchPlan(Config):
    """A search for a loss; an option that is None has the preset's value.

    Attributes:
        preset: "paper" or "default".
        task: a built-in one.
        samples: how many of each split are used; None for all.
        steps, batch_size: of each training.
        ladder: learning rates of each candidate.
        generations, population: of the genetic algorithm.
        iterations: of CMA-ES, with which the best loss is then tuned; 0 for none.
        confirmations: seeds on which start and end of the tuning are compared.
    """

    preset: str
    task: str
    samples: PositiveInt | None = None
    steps: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    ladder: tuple[Rate, ...] | None = None
    generations: PositiveInt | None = None
    population: PositiveInt | None = None
    iterations: int = 0
    confirmations: PositiveInt = 5


class _Progress(Callback):
    """Reports how many generations have ended."""

    def __init__(self, on_progress: OnProgress) -> None:
        self._on_progress = on_progress

    def on_replay(self, study: Study, generation: GenerationRecord) -> None:
        self.on_generation(study, generation)

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:
        self._on_progress(f"search on {study.task.name}, preset {study.preset}", generation.generation + 1, 0)


def search(context: ExperimentContext, plan: SearchPlan) -> StudyResult:
    """Run the search, or go on with it; it is a study in the store of the context."""
    settings: list[str] = []
    if plan.batch_size:
        settings.append(f"training.batch_size={plan.batch_size}")
    if plan.ladder:
        settings.append(f"training.learning_rates={list(plan.ladder)}")
    if plan.iterations:
        settings += [f"coefficients.iterations={plan.iterations}", f"coefficients.confirmations={plan.confirmations}"]
    return discover(
        context.task(plan.task, plan.samples),
        generations=plan.generations,
        population=plan.population,
        steps=plan.steps,
        tune=plan.iterations > 0,
        preset=plan.preset,
        seed=context.seed,
        name=f"{plan.task}-{plan.preset}-{context.seed}-{digest(plan.model_dump(mode='json'))}",
        storage=context.storage,
        settings=settings,
        cluster=context.executor,
        callbacks=[_Progress(context.on_progress)],
        progress=False,
    )


def best_before_tuning(result: StudyResult) -> str:
    """The best loss of the genetic algorithm, whose coefficients are then tuned."""
    genetic = [record for record in result.history if record.phase is PhaseKind.GENETIC]
    return replace(result, history=genetic).expression


def published(result: StudyResult) -> dict[str, Any]:
    """A search as it is published: its configuration and its result, without its candidates."""
    summary = result.summary()
    kept = (
        "expression",
        "fitness",
        "learning_rate",
        "tuning",
        "generations",
        "history_digest",
        "funnel",
        "seconds",
        "config",
    )
    return {key: summary[key] for key in kept}


def candidates(result: StudyResult, **labels: Any) -> list[dict[str, Any]]:
    """Every candidate of a search, failed ones too."""
    return [{**labels, **row} for row in result.history_rows()]
