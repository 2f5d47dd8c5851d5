"""The comparison of a study's best losses, trained as its search trained them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from glo.errors import ConfigError
from glo.expr import Expr, parse
from glo.records import TrainingConfig
from glo.study.config import StudyConfig
from glo.study.result import StudyResult
from glo.tasks import Objective, Problem, Task

if TYPE_CHECKING:
    from glo.compare import Comparison, ComparisonConfig, Judgement, Survey
    from glo.progress import OnProgress


def compare_found(
    result: StudyResult,
    task: Problem,
    losses: Sequence[str | Expr],
    config: ComparisonConfig | None,
    finalists: int,
    where: Mapping[str, Any],
    on_progress: OnProgress,
) -> Comparison:
    """Compare the best losses of a study, and others; see `Study.compare`.  They come first, as in a judgement.

    `where` has the arguments of `compare_losses` that say where and for how long to train.

    Its warnings say where the trainings differ from those of the search.
    """
    from glo.compare import compare_losses  # it imports scipy, which a search does not need

    if finalists < 1:
        raise ConfigError(f"at least 1 finalist is compared, not {finalists}")
    found = [parse(trial.expression) for trial in result.finalists(finalists) or [result.best]]
    comparison = compare_losses(
        task, losses, config, training=result.config.training, discovered=found,
        on_progress=on_progress, **where,
    )  # fmt: skip
    lengths = [horizon.steps for horizon in comparison.horizons]
    return replace(comparison, warnings=_differences(result.config, task, lengths) + comparison.warnings)


def judge_found(
    result: StudyResult,
    task: Problem,
    config: ComparisonConfig | None,
    finalists: int,
    where: Mapping[str, Any],
    on_progress: OnProgress,
    surveyed: Survey | None,
) -> Judgement:
    """Judge the best losses of a study; see `Study.judge`."""
    from glo.compare.judging import judge

    if finalists < 1:
        raise ConfigError(f"at least 1 finalist is judged, not {finalists}")
    found = [parse(trial.expression) for trial in result.finalists(finalists) or [result.best]]
    return judge(_judged_task(task), found, config, result.config.training, where, on_progress, surveyed)


def survey_known(
    task: Problem,
    training: TrainingConfig,
    config: ComparisonConfig | None,
    where: Mapping[str, Any],
    on_progress: OnProgress,
) -> Survey:
    """Train the known losses; see `Study.survey`."""
    from glo.compare.judging import survey

    return survey(_judged_task(task), config, training, where, on_progress)


def _judged_task(task: Problem) -> Task:
    """The task of a study, which glo trains itself.

    Raises:
        ConfigError: for an objective.
    """
    if isinstance(task, Objective):
        raise ConfigError(
            f"objective '{task.name}' is not judged against the shelf, which would take hundreds of its trials: "
            "compare its best loss with study.compare()"
        )
    return task


def _differences(search: StudyConfig, task: Problem, lengths: Sequence[int]) -> list[str]:
    """In which ways the trainings differ from those of the search, a sentence for each."""
    texts: list[str] = []
    others = [str(steps) for steps in lengths if steps != search.training.steps and not isinstance(task, Objective)]
    if others:
        texts.append(f"trained for {' and '.join(others)} steps; the search used {search.training.steps}")
    if task.digest() != search.task.digest:
        texts.append(f"the data, model or metric of task '{task.name}' are not those of the search: they have changed since")
    return texts
