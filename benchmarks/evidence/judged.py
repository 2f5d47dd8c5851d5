"""One problem: a search as a user would start it, its verdict, and how far the reported fitness was flattered."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.evidence.problems import Problem, Size
from glo.compare import Judgement
from glo.compare.judging import JUDGING
from glo.compare.protocol import scores_of
from glo.compare.verdict import Finding
from glo.execution import Batch, open_executor, train
from glo.expr import parse
from glo.records import Training, derive_seeds
from glo.study import FrozenTrial, Study
from glo.tasks import Task

Found = dict[str, Any]
LEVEL = 0.01


def judged(name: str, problem: Problem, size: Size, data: Path | None, storage: Path, seed: int) -> Found:
    """Search, judge against the whole shelf, and train the best again on fresh seeds."""
    task = problem.load(size, data)
    study = Study(task, name=f"{name}-{seed}", storage=storage, seed=seed, settings=problem.settings)
    seconds, started = dict[str, float](), time.perf_counter()
    result = study.search(generations=size.generations, population=size.population, steps=task.training["steps"])
    seconds["search"], started = time.perf_counter() - started, time.perf_counter()
    judgement = study.judge(JUDGING.model_copy(update={"repeats": size.repeats, "seed": seed}))
    seconds["verdict"] = time.perf_counter() - started
    return {
        "what": problem.what,
        "metric": task.metric_name,
        "direction": task.direction.value,
        "settings": list(problem.settings),
        "samples": {split: len(task.split(split)) for split in ("train", "validation", "test")},
        "steps": task.training["steps"],
        "seconds": seconds,
        "best": {"expression": result.best.expression, "learning_rate": result.best.learning_rate},
        "optimism": optimism(study, task, result.best, size.repeats),
        "verdict": judgement.verdict.to_dict(),
        "losses": {row.name: row.to_dict() for row in judgement.comparison.rows},
        **standing(judgement, task.direction.sign),
    }


def standing(judgement: Judgement, sign: int) -> Found:
    """What counts in the table: the best known loss, and the p-values of being better than all and worse than that one.

    The best known loss is the one that validation prefers.  "Better" needs a gain over each known loss: the largest of their
    p-values (an intersection-union test); "worse" needs a loss against the best known one.
    """
    rows, gains = judgement.comparison.rows, judgement.verdict.gains
    known = {row.name: row for row in rows[1:] if row.name in gains}
    if judgement.verdict.finding is Finding.NOTHING or not known:
        return {"rival": None, "gain": None, "p_better": 1.0, "p_worse": 1.0}
    rival = max(known, key=lambda name: sign * known[name].validation)
    better = max(each.p_value if each.difference > 0 else 1.0 for each in gains.values())
    over = gains[rival]
    worse = over.p_value if over.difference < 0 else 1.0
    return {"rival": rival, "gain": asdict(over), "p_better": better, "p_worse": worse}


def optimism(study: Study, task: Task, best: FrozenTrial, repeats: int) -> Found:
    """The fitness that the search reports of its best, and what fresh seeds give the same loss at the same rate."""
    seeds = derive_seeds(study.result.config.seed, "evidence", repeats)
    training = Training(parse(best.expression), best.learning_rate or 0.0)
    config = study.result.config.training.whole
    with open_executor(None) as executor:
        results = train(executor, Batch(task, config, [training] * repeats, seeds))
    fresh: Sequence[float] = scores_of(task, results, test=False)
    spread = float(np.std(fresh, ddof=1))
    error = spread * float(np.sqrt(1 / repeats + 1 / study.result.seeds))
    flattered = task.direction.sign * (best.fitness - float(np.mean(fresh)))
    return {"reported": best.fitness, "fresh": float(np.mean(fresh)), "flattered": flattered, "error": error}
