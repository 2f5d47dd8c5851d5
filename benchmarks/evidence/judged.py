"""One problem: search and judge by the defaults, as a user would, and check the fitness that the search reports."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.evidence.parts import Report, Run, sparingly
from benchmarks.evidence.problems import Problem
from glo.compare import ComparisonConfig, Judgement
from glo.compare.protocol import scores_of
from glo.errors import GloError
from glo.execution import Batch, local_executor, train
from glo.expr import parse
from glo.records import PhaseKind, Training, derive_seeds
from glo.store import GenerationRecord
from glo.study import Callback, FrozenTrial, Study, StudyResult
from glo.study.history import rank
from glo.tasks import Task


class Following(Callback):
    """Reports each generation, and remembers whether some were made in an earlier run."""

    def __init__(self, report: Report) -> None:
        self.resumed = False
        self._report = report

    def on_replay(self, study: Study, generation: GenerationRecord) -> None:  # noqa: ARG002 - a hook
        self.resumed = True

    def on_generation(self, study: Study, generation: GenerationRecord) -> None:  # noqa: ARG002 - a hook
        self._report(f"{generation.phase.value}: generation {generation.generation + 1}")


def judged(problem: Problem, run: Run) -> dict[str, Any]:
    """Search for a loss, judge it, and measure what its fitness is worth; as JSON-like data.

    What glo refuses or cannot train is a result too, with `error` in place of the rest.
    """
    task = problem.make(run.size, run.data_dir)
    following = Following(run.report)
    started = time.perf_counter()
    study = Study(
        task, name=problem.name, seed=run.seed, storage=run.out / "glo.db", callbacks=[following], data_dir=run.data_dir,
        settings=problem.settings,
    )  # fmt: skip
    try:
        result = study.search(**run.size.search)
        searched = time.perf_counter()
        config = ComparisonConfig(
            baselines=run.size.baselines, tuning_seeds=run.size.tuning, run_off=run.size.run_off, repeats=run.size.repeats,
            seed=run.seed,
        )  # fmt: skip
        judgement = study.judge(config, on_progress=sparingly(run.report))
        ended = time.perf_counter()
        reported = checked(result, task, run)
    except GloError as error:
        return {**_described(problem, task), "error": str(error)}
    return {
        **_described(problem, task),
        "steps": result.config.training.steps,
        **_found(judgement),
        "reported": reported,
        "seconds": {"search": searched - started, "judge": ended - searched},
        "resumed": following.resumed,
    }


def _described(problem: Problem, task: Task) -> dict[str, Any]:
    network = [task.train.first.inputs.shape[1], *(len(each) for each in list(task.model().parameters())[1::2])]
    return {
        "problem": problem.name,
        "what": problem.what,
        "settings": list(problem.settings),
        "data": task.description or "as it comes with scikit-learn",
        "samples": {name: len(split) for name, split in task.splits.items()},
        "network": "-".join(map(str, network)),
        "metric": task.metric_name,
        "direction": task.direction.value,
    }


def _found(judgement: Judgement) -> dict[str, Any]:
    """The verdict, and what each loss reaches on test with the gain of the discovered one over it."""
    verdict = judgement.verdict.to_dict()
    losses: dict[str, Any] = {}
    for row in judgement.comparison.rows:
        values = row.to_dict()
        kept = ("expression", "variant", "learning_rate", "scale", "validation", "mean", "sd", "values")
        losses[row.name] = {name: values[name] for name in kept}
        losses[row.name]["failed"] = row.failures.on_test
        losses[row.name]["gain"] = verdict["gains"].get(row.name)
    return {
        **{name: verdict[name] for name in ("finding", "text", "use", "test_samples")},
        "notes": verdict["notes"],
        "losses": losses,
    }


def checked(result: StudyResult, task: Task, run: Run) -> dict[str, Any]:
    """The fitness that the search reports, and the mean validation metric of the same loss over fresh seeds.

    `confirmed` is the best of the search; `single` what it would have been without the confirmation: the best of all single
    trainings.  An optimism above 0 means that the reported fitness is better than the loss.
    """
    alone = [trial for trial in result.trials if trial.phase is PhaseKind.GENETIC]
    first = rank(alone, task.direction)[0]
    measure = partial(_optimism, result=result, task=task, run=run)
    return {"confirmed": measure(result.best, seeds=result.seeds), "single": measure(first, seeds=1)}


def _optimism(trial: FrozenTrial, result: StudyResult, task: Task, run: Run, seeds: int) -> dict[str, Any]:
    values = _on_fresh_seeds(trial, result, task, derive_seeds(run.seed, "evidence", run.size.fresh))
    mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
    return {
        "expression": trial.expression,
        "fitness": trial.fitness,
        "seeds": seeds,
        "fresh": mean,
        "sd": sd,
        "n": len(values),
        "optimism": task.direction.sign * (trial.fitness - mean),
        "error": sd * (1 / seeds + 1 / len(values)) ** 0.5,
    }


def _on_fresh_seeds(trial: FrozenTrial, result: StudyResult, task: Task, seeds: Sequence[int]) -> list[float]:
    training = Training(parse(trial.expression), trial.learning_rate or 0.0)  # a task's trials have one
    batch = Batch(task, result.config.training.whole, [training] * len(seeds), seeds)
    return scores_of(task, train(local_executor(), batch), test=False)
