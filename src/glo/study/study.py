"""Discover a loss: the front door of the library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, Unpack

from glo.catalog import NAMED, resolve
from glo.errors import ReplayError, RunError
from glo.execution import Where, trainers
from glo.expr import Expr
from glo.records import Phase, digest
from glo.store import DEFAULT_STORAGE, RunRecord, Store
from glo.study.config import RunConfig, compose, differences, read_settings, validated
from glo.study.judges import Judges
from glo.study.loop import OnGeneration, run_loop
from glo.study.result import Discovery, in_generations, versions
from glo.tasks import Task, load_task


class RunOptions(TypedDict, total=False):
    """What every run can be given.

    preset: "default", or "paper" for the paper's method to the letter.
    seed: of everything random; by default 0.
    name: of the run; by default made of what it does.
    storage: the store, an SQLite file or a PostgreSQL database (postgresql://user@host/database).
    settings: any other option, e.g. ["training.batch_size=50", "genetic.crossover=0.9"].
    file: a TOML file of options.
    task_options: of a built-in task, e.g. {"noise": 0.2}.
    data_dir: where the task's files are.
    device: "cpu", "cuda", or "auto" for the GPU if there is one.
    cluster: where to train, instead of on this machine: "local:2", "cluster.toml" (see `glo.execution.place`).
    slots: of a steady-state search, how many candidates are trained at once; by default one for each core.  With one, the
        history depends on the seed alone; with more, on the order in which outcomes arrive, which is recorded.
    on_generation: called after each generation, of a steady-state search after each arrival.
    resume: whether a recorded run of this name may go on (the default); if not, that it exists is an error.
    """

    preset: str
    seed: int
    name: str | None
    storage: str | Path
    settings: Sequence[str]
    file: str | Path | None
    task_options: Mapping[str, Any] | None
    data_dir: str | Path | None
    device: str
    cluster: Where
    slots: int | None
    on_generation: OnGeneration
    resume: bool


def discover(
    task: Task | str,
    *,
    generations: int | None = None,
    population: int | None = None,
    steps: int | None = None,
    steady_state: bool | None = None,
    tune: bool = False,
    **options: Unpack[RunOptions],
) -> Discovery:
    """Search for a loss for a task; an unfinished run of the same name and configuration goes on where it stopped.

    Args:
        task: a `Task`, the name of a built-in one, or "module:attribute".
        generations, population: of the genetic algorithm.
        steps: of each training.
        steady_state: whether each outcome makes room for the next candidate at once, without generations.
        tune: whether the coefficients of the best loss are then tuned, as in the paper's Figure 1.
        options: `RunOptions`.

    Raises:
        ConfigError, TaskError, StoreError: for misuse; the message says what to do.
        ReplayError: if a run of this name was recorded with another configuration or version; it names the difference.
    """
    overrides = {
        "phases": [Phase.GENETIC, Phase.COEFFICIENTS] if tune else [Phase.GENETIC],
        "generations": generations,
        "genetic": {"population": population, "steady_state": steady_state},
        "training": {"steps": steps},
    }
    return start_run(task, overrides, search_name(options.get("preset", "default"), steady_state), **options)


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
    **options: Unpack[RunOptions],
) -> Discovery:
    """Tune the coefficients of a loss by CMA-ES (paper, section III.B); otherwise as `discover`.

    Args:
        expression: a loss, by text or name.
        which: "effective" or "all" coefficients.
        iterations, population: of CMA-ES.
        repeats: seeds over which each fitness is averaged; more than one is worth its time where fitness is noisy.
        steps, learning_rates: of each training; with several rates, each candidate counts at its best.

    Raises:
        ConfigError: if the loss has no coefficient to tune; and as `discover`.
    """
    loss = resolve(expression)
    tuning = {"expression": str(loss), "which": which, "iterations": iterations, "population": population}
    overrides = {
        "phases": [Phase.COEFFICIENTS],
        "repeats": repeats,
        "coefficients": tuning,
        "training": {"steps": steps, "learning_rates": learning_rates},
    }
    return start_run(task, overrides, f"tune-{short_name(loss)}", **options)


def enumerate_losses(
    task: Task | str,
    *,
    max_depth: int | None = None,
    repeats: int | None = None,
    steps: int | None = None,
    learning_rates: Sequence[float] | None = None,
    **options: Unpack[RunOptions],
) -> Discovery:
    """Judge every loss up to a depth; otherwise as `discover`.

    Args:
        max_depth: of the trees; by default 2.
        repeats: seeds over which each fitness is averaged; by default 3.
        steps, learning_rates: of each training.
    """
    overrides = {
        "phases": [Phase.ENUMERATION],
        "repeats": repeats,
        "enumeration": {"max_depth": max_depth},
        "training": {"steps": steps, "learning_rates": learning_rates},
    }
    return start_run(task, overrides, "enumerate", {"repeats": 3}, **options)


def start_run(
    task: Task | str,
    overrides: Mapping[str, Any],
    what: str,
    defaults: Mapping[str, Any] | None = None,
    *,
    preset: str = "default",
    seed: int = 0,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    settings: Sequence[str] = (),
    file: str | Path | None = None,
    task_options: Mapping[str, Any] | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    slots: int | None = None,
    on_generation: OnGeneration = lambda record, replayed: None,
    resume: bool = True,
) -> Discovery:
    """Start a run, or go on with it, and end it; the arguments are those of `RunOptions`.

    Args:
        task: what is searched for.
        overrides: values of `RunConfig` that win over preset, file and settings; None for not given.
        what: the run does, as part of its default name.
        defaults: values of `RunConfig` that everything else wins over.
    """
    chosen = {**read_settings(settings).get("task", {}).get("options", {}), **(task_options or {})}
    task_name = task.name if isinstance(task, Task) else task
    loaded = task if isinstance(task, Task) else load_task(task, chosen, data_dir)
    config = compose(loaded, task_name, chosen, preset, file, settings, {"seed": seed, **overrides}, defaults)
    store = Store(storage)
    try:
        name = name or default_name(config.task.name, what, seed)
        with store.lock(name):
            if any(record.name == name for record in store.runs()):
                _check_same(store.run(name), config)
                if not resume:
                    raise RunError(f"there is already a run '{name}' in {store}: glo resume {name}, or use another --name")
            else:
                store.create_run(name, config.model_dump(mode="json"), versions())
            return _run(store, name, config, loaded, cluster, device, slots, on_generation)
    finally:
        store.close()


def resume_run(
    name: str,
    storage: str | Path = DEFAULT_STORAGE,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    slots: int | None = None,
    on_generation: OnGeneration = lambda record, replayed: None,
) -> Discovery:
    """Go on with a recorded run; it ends as if it had never been interrupted.

    Raises:
        RunError: if there is no such run, or another process works on it.
        ReplayError: if the code, its libraries or the task's data have changed; the message names the difference.
    """
    store = Store(storage, create=False)
    try:
        record = store.run(name)
        config = validated(record.config)
        with store.lock(name):
            task = load_task(config.task.name, config.task.options, data_dir)
            current = config.model_copy(update={"task": config.task.model_copy(update={"digest": task.digest()})})
            _check_same(record, current)
            return _run(store, name, config, task, cluster, device, slots, on_generation)
    finally:
        store.close()


def recorded_discovery(store: Store, name: str) -> Discovery:
    """A run as far as it is recorded; nothing is computed.

    Raises:
        RunError: if there is no such run.
    """
    config = validated(store.run(name).config)
    return Discovery(name, config, in_generations(config, store.generations(name)))


def run_states(store: Store) -> list[dict[str, Any]]:
    """What runs a store has, how far they have come, and the best loss of each so far."""
    states: list[dict[str, Any]] = []
    for record in store.runs():
        discovery = recorded_discovery(store, record.name)
        best = next(iter(discovery.finalists(1)), None)
        states.append(
            {
                "name": record.name,
                "task": discovery.config.task.name,
                "preset": discovery.config.preset,
                "seed": discovery.config.seed,
                "generations": len(discovery.history),
                "planned": discovery.config.planned,
                "fitness": best.fitness if best else None,
                "expression": best.expression if best else None,
                "created": record.created,
            }
        )
    return states


def _run(
    store: Store,
    name: str,
    config: RunConfig,
    task: Task,
    cluster: Where,
    device: str,
    slots: int | None,
    on_generation: OnGeneration,
) -> Discovery:
    with trainers(cluster, device) as make_trainer:
        judges = Judges(task, config.funnel, make_trainer, store, slots)
        history = run_loop(config, judges, store, name, on_generation)
    return Discovery(name, config, in_generations(config, history))


def _check_same(record: RunRecord, config: RunConfig) -> None:
    changed = [f"{key} {before} there and {now} here" for key, before, now in _changed_versions(record.versions)]
    # An option that the record does not know had its default then.
    changed += differences(validated(record.config).model_dump(mode="json"), config.model_dump(mode="json"))
    if changed:
        raise ReplayError(
            f"run '{record.name}' was recorded differently: {'; '.join(changed)}; "
            "use what was recorded, or start a new run under another name"
        )


def _changed_versions(recorded: Mapping[str, str]) -> list[tuple[str, str, str]]:
    return [(key, recorded.get(key, "?"), now) for key, now in versions().items() if recorded.get(key) != now]


def search_name(preset: str, steady_state: bool | None) -> str:
    """What a search is called in its run's name."""
    return f"{preset}-steady" if steady_state else preset


def default_name(task: str, what: str, seed: int) -> str:
    """The name of a run that was given none, e.g. "digits-default-0"."""
    return f"{task.replace(':', '.')}-{what}-{seed}"


def short_name(loss: Expr) -> str:
    """What a loss is called in a run's name: its own name, else a hash of its text."""
    return next((name for name, named in NAMED.items() if named == loss), digest(str(loss))[:8])
