"""Searches that an experiment makes: their size, and how they are published."""

from __future__ import annotations

from typing import Any

from pydantic import PositiveInt

from glo.paper.experiment.context import Lab
from glo.records import Config, Phase, Rate, digest
from glo.store import GenerationRecord
from glo.study import Discovery, discover


class SearchPlan(Config):
    """A search for a loss; what is None is the preset's.

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


def search(lab: Lab, plan: SearchPlan) -> Discovery:
    """Make the search, or go on with it; it is a run of the lab's store."""
    settings: list[str] = []
    if plan.batch_size:
        settings.append(f"training.batch_size={plan.batch_size}")
    if plan.ladder:
        settings.append(f"training.learning_rates={list(plan.ladder)}")
    if plan.iterations:
        settings += [f"coefficients.iterations={plan.iterations}", f"coefficients.confirmations={plan.confirmations}"]

    def on_generation(record: GenerationRecord, replayed: bool) -> None:
        lab.report(f"search on {plan.task}, preset {plan.preset}", record.generation + 1, 0)

    return discover(
        lab.task(plan.task, plan.samples),
        generations=plan.generations,
        population=plan.population,
        steps=plan.steps,
        tune=plan.iterations > 0,
        preset=plan.preset,
        seed=lab.seed,
        name=f"{plan.task}-{plan.preset}-{lab.seed}-{digest(plan.model_dump(mode='json'))}",
        storage=lab.storage,
        settings=settings,
        cluster=lab.place.make_trainer,
        on_generation=on_generation,
    )


def best_before_tuning(discovery: Discovery) -> str:
    """The best loss of the genetic algorithm, which the coefficients are then tuned of."""
    genetic = [record for record in discovery.history if record.phase is Phase.GENETIC]
    return Discovery(discovery.name, discovery.config, genetic).expression


def published(discovery: Discovery) -> dict[str, Any]:
    """A search as it is published: how it was made and what it came to, without its candidates."""
    summary = discovery.summary()
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


def candidates(discovery: Discovery, **labels: Any) -> list[dict[str, Any]]:
    """Every candidate of a search, failed ones too."""
    return [{**labels, **row} for row in discovery.history_rows()]
