"""Shortcuts: a study and its first phase in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glo.execution import Where
from glo.expr import Expr
from glo.progress import Progress
from glo.store import DEFAULT_STORAGE
from glo.study.callbacks import Callback
from glo.study.result import StudyResult
from glo.study.study import Study
from glo.tasks import Task


def discover(
    task: Task | str,
    *,
    generations: int | None = None,
    population: int | None = None,
    steps: int | None = None,
    steady_state: bool | None = None,
    tune: bool = False,
    target: float | None = None,
    patience: int | None = None,
    start: Sequence[str | Expr] | None = None,
    constraints: Sequence[str] | None = None,
    forbidden: Sequence[str] | None = None,
    confirm: int | None = None,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    seed: int = 0,
    preset: str = "default",
    settings: Sequence[str] = (),
    file: str | Path | None = None,
    task_options: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    slots: int | None = None,
    callbacks: Sequence[Callback] = (),
    load_if_exists: bool = True,
    progress: bool | Progress = True,
) -> StudyResult:
    """Search for a loss: `Study(task, ...).search(...)`, whose documentation has the arguments and errors."""
    return Study(
        task, name=name, storage=storage, seed=seed, preset=preset, settings=settings, file=file, task_options=task_options,
        data_dir=data_dir, device=device, cluster=cluster, slots=slots, callbacks=callbacks, load_if_exists=load_if_exists,
        progress=progress,
    ).search(
        generations=generations, population=population, steps=steps, steady_state=steady_state, tune=tune, start=start,
        constraints=constraints, forbidden=forbidden, confirm=confirm, target=target, patience=patience,
    )  # fmt: skip


def tune_coefficients(
    task: Task | str,
    expression: str | Expr,
    *,
    which: str | None = None,
    iterations: int | None = None,
    population: int | None = None,
    repeats: int | None = None,
    steps: int | None = None,
    learning_rates: Sequence[float] | None = None,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    seed: int = 0,
    preset: str = "default",
    settings: Sequence[str] = (),
    file: str | Path | None = None,
    task_options: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    callbacks: Sequence[Callback] = (),
    load_if_exists: bool = True,
    progress: bool | Progress = True,
) -> StudyResult:
    """Tune the coefficients of a loss: `Study(task, ...).tune(...)`, whose documentation has the arguments and errors."""
    return Study(
        task, name=name, storage=storage, seed=seed, preset=preset, settings=settings, file=file, task_options=task_options,
        data_dir=data_dir, device=device, cluster=cluster, callbacks=callbacks, load_if_exists=load_if_exists,
        progress=progress,
    ).tune(
        expression, which=which, iterations=iterations, population=population, repeats=repeats, steps=steps,
        learning_rates=learning_rates,
    )  # fmt: skip


def enumerate_losses(
    task: Task | str,
    *,
    max_depth: int | None = None,
    repeats: int | None = None,
    steps: int | None = None,
    learning_rates: Sequence[float] | None = None,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    seed: int = 0,
    preset: str = "default",
    settings: Sequence[str] = (),
    file: str | Path | None = None,
    task_options: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    callbacks: Sequence[Callback] = (),
    load_if_exists: bool = True,
    progress: bool | Progress = True,
) -> StudyResult:
    """Evaluate every small loss: `Study(task, ...).enumerate(...)`, whose documentation has the arguments and errors."""
    return Study(
        task, name=name, storage=storage, seed=seed, preset=preset, settings=settings, file=file, task_options=task_options,
        data_dir=data_dir, device=device, cluster=cluster, callbacks=callbacks, load_if_exists=load_if_exists,
        progress=progress,
    ).enumerate(max_depth=max_depth, repeats=repeats, steps=steps, learning_rates=learning_rates)  # fmt: skip
