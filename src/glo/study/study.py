"""A study: one search for one problem, named, in a store.  It is the public object of the library."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo.catalog import resolve
from glo.catalog.shelf import start_expressions
from glo.errors import ConfigError, LostStoreError, ReplayError, StudyError, TaskError
from glo.execution import Executor, Trial, Where, check_jobs, open_for, rehearse_for
from glo.execution.dask import read_cluster
from glo.expr import Expr
from glo.progress import OnProgress, Progress, Silent
from glo.provenance import versions
from glo.records import Direction, Link, PhaseKind
from glo.search import Search
from glo.store import DEFAULT_STORAGE, GenerationRecord, Store, StudyRecord, check_name
from glo.study.asking import Asking, TellingExecutor
from glo.study.budget import Budget
from glo.study.callbacks import Callback, check_callbacks
from glo.study.comparing import compare_found, judge_found, survey_known
from glo.study.composing import FOR_ENUMERATION, compose, given_layers, task_options, validated
from glo.study.config import StudyConfig, TaskConfig, given_again, objective_by_name, task_config
from glo.study.feasibility import check_feasible, exclusion
from glo.study.following import ShowProgress
from glo.study.history import in_generations
from glo.study.loop import Listener, Loop
from glo.study.names import default_name, short_name
from glo.study.pareto import pareto_front
from glo.study.reading import RecordedStudy
from glo.study.record import continued, find_record, refusal, rescue
from glo.study.result import FrozenTrial, StudyResult
from glo.study.timeouts import how_time_ended, seconds_of
from glo.tasks import Objective, Problem, Scores, as_problem, load_task
from glo.tasks.trust import is_trusted
from glo.training import choose_device

if TYPE_CHECKING:
    from glo.compare import Comparison, ComparisonConfig, Judgement, Survey

logger = logging.getLogger("glo")
ASKED = 1000  # trials of a study that is asked for them


class Study(RecordedStudy):
    """One search for one problem, recorded in a store under a name.

    Nothing is written before a phase starts.  `search`, `tune`, `enumerate` and `run` are phases: each goes on where it
    stopped if it is called again, also in another process; `tune` after another phase starts from its best loss.

    Args:
        task: a `Task`, the name of a built-in one, or "module:attribute"; or an objective: a function from a `Trial` to a
            score.
        name: by default made of the task, the first phase and the seed, e.g. "digits-default-0".
        storage: an SQLite file or a PostgreSQL database (postgresql://user@host/database).
        seed: from which every random number is derived.
        preset: "default", or "paper" for the paper's method to the letter.
        settings: any other option, e.g. ["training.batch_size=50", "genetic.crossover=0.9"].
        file: a TOML file of options.
        task_options: of a built-in task, e.g. {"noise": 0.2}.
        data_dir: the folder of the task's data files.
        device: "cpu", "cuda", or "auto" for the GPU if there is one.
        cluster: where to train instead of on this machine, e.g. "local:2" or "cluster.toml"; or an open executor.
        slots: of a steady-state search, how many candidates are under way at once; by default as many as are trained at
            once.  With 1, the history depends on the seed alone; with more, on the order in which outcomes arrive, which is
            recorded.
        time_limit: seconds that one training, or a population that is trained together, may take before it is killed; by
            default that of the cluster, here an hour.
        callbacks: follow the study while it runs.
        load_if_exists: whether a recorded study of this name may go on; if not, its existence is an error.
        link, classes, direction, version: of an objective; see `glo.tasks.Objective`.
        max_failures: of an objective, how many trials in a row may fail before the study ends with the first traceback.
        progress: whether long calls show how far they are: bars on a terminal or in a notebook, else a line for each
            generation in the log `glo.progress` (level INFO).

    Raises:
        ConfigError: for slots below 1, or a callback that is none.

    Example:
        study = glo.Study("digits", seed=1)
        study.search(generations=5)
        criterion = study.loss()
    """

    def __init__(
        self,
        task: Problem | str | Callable[[Trial], Scores],
        *,
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
        time_limit: float | None = None,
        callbacks: Sequence[Callback] = (),
        load_if_exists: bool = True,
        link: Link | str | None = None,
        classes: int | None = None,
        direction: Direction | str | None = None,
        version: str | None = None,
        max_failures: int = 10,
        progress: bool | Progress = True,
    ) -> None:
        if slots is not None and slots < 1:
            raise ConfigError(f"slots are 1 or more, not {slots}")
        check_callbacks(callbacks)
        if max_failures < 1:
            raise ConfigError(f"max_failures is 1 or more, not {max_failures}")
        self.storage, self.seed, self.preset = storage, seed, preset
        self._given = as_problem(task, {"link": link, "classes": classes, "direction": direction, "version": version})
        self._name, self._max_failures = name, max_failures
        self._settings, self._file = settings, file
        self._task_options, self._data_dir = task_options, data_dir
        self._device, self._cluster, self._slots, self._time_limit = device, cluster, slots, time_limit
        self._progress = progress if isinstance(progress, Progress) else Progress(None if progress else Silent())
        self._callbacks, self._load_if_exists = (ShowProgress(self._progress), *callbacks), load_if_exists
        self._stopped, self._by_name, self._named = False, True, True
        self._asking: Asking | None = None
        self._running: Loop | None = None  # while a phase runs
        self._out_of_time = False
        self._recorded_task: TaskConfig | None = None  # of a study that was loaded

    def __repr__(self) -> str:
        return f"Study({self.name!r}, storage={str(self.storage)!r})"

    @property
    def name(self) -> str:
        """The name in the store."""
        return self._name or default_name(self._task_name, self.preset, self.seed)

    @cached_property
    def task(self) -> Problem:
        """The task, loaded when it is first used; or the objective.

        Raises:
            TaskError: if it cannot be loaded.
        """
        if not isinstance(self._given, str):
            return self._given
        if not self._by_name:
            raise StudyError(
                f"study '{self.name}' was started with a Task object in a script, or a function, and not by its name: "
                f"go on there, with glo.load_study('{self.name}', ..., task=...)"
            )
        if not self._named and not is_trusted(self._given):
            raise TaskError(
                f"study '{self.name}' names the task {self._given}, and to import a task is to run its code: if you trust "
                f"that module, give --task {self._given} too, in Python task={self._given!r}"
            )
        if self._recorded_task is not None and self._recorded_task.objective:
            return objective_by_name(self._recorded_task)
        options = {**task_options(self._file, self._settings), **(self._task_options or {})}
        return load_task(self._given, options, self._data_dir)

    @classmethod
    def _recorded(
        cls,
        name: str,
        storage: str | Path,
        task: Problem | str | Callable[[Trial], Scores] | None,
        options: Mapping[str, Any],
    ) -> Study:
        """A study as it is recorded; see `load_study`."""
        with closing(Store(storage, create=False)) as store:
            config = validated(store.study(name).config)
        if isinstance(task, str) and task != config.task.name:
            raise ConfigError(f"study '{name}' is for the task {config.task.name}, not {task}")
        study = cls(
            given_again(config.task, task), name=name, storage=storage, seed=config.seed, preset=config.preset,
            task_options=config.task.options, **options,
        )  # fmt: skip
        study._by_name, study._named = config.task.by_name, task is not None or ":" not in config.task.name
        study._recorded_task = config.task
        return study

    def search(
        self,
        *,
        generations: int | None = None,
        population: int | None = None,
        steps: int | None = None,
        steady_state: bool | None = None,
        tune: bool = False,
        trials: int | None = None,
        target: float | None = None,
        patience: int | None = None,
        start: Sequence[str | Expr] | None = None,
        constraints: Sequence[str] | None = None,
        forbidden: Sequence[str] | None = None,
        confirm: int | None = None,
        timeout: float | str | None = None,
        jobs: int = 1,
        isolate: bool = False,
    ) -> StudyResult:
        """Search for a loss by genetic programming (paper, section III.A).

        An option that is None has its recorded value if the study was begun before, else the preset's.

        Args:
            generations, population: of the genetic algorithm.
            steps: of each training.
            steady_state: whether each outcome makes room for the next candidate at once, without generations.
            tune: whether the coefficients of the best loss are then tuned, as in the paper's Figure 1.
            trials: how many candidates to evaluate in all.  If generations are given too, what is reached first ends the
                search; if not, there are as many as the trials need.
            target: a fitness at which the search ends; with its confirmation, as any other.
            patience: how many generations without progress end it.
            start: losses that are evaluated first, beside random ones: expressions, names, or "shelf" for all published
                ones that the constraints allow.
            constraints: properties that every loss must have: "bounded", "monotone", "convex".
            forbidden: nestings that no loss may have: "log(exp)" means that exp may not occur anywhere below log.
            confirm: how many of the best candidates are trained again on fresh seeds at the end; 0 for none.
            timeout: seconds, or "90s", "30m", "2h", within which the search and its confirmation end.  Call this again to
                search on and to confirm the best once more, and then to tune.
            jobs: how many trials of an objective are under way at once, each in a process of its own if there are several.
            isolate: whether a single trial too has its own process, which can be killed (`time_limit` of `Study`).

        Raises:
            ConfigError, TaskError, StoreError: for misuse; the message says what to do.
            ReplayError: if the study was recorded with another configuration or version; it names the difference.
        """
        overrides: dict[str, Any] = {
            "generations": generations,
            "trials": trials,
            "genetic": {
                "population": population,
                "steady_state": steady_state,
                "target": target,
                "patience": patience,
                "forbidden": forbidden,
            },
            "funnel": {"constraints": constraints},
            "confirmation": {"candidates": confirm},
            "training": {"steps": steps},
        }
        overrides["genetic"]["start"] = self._starting(start, overrides)
        kinds = [PhaseKind.GENETIC, PhaseKind.COEFFICIENTS] if tune else [PhaseKind.GENETIC]
        what = f"{self.preset}-steady" if steady_state else self.preset
        return self._run(kinds, overrides, what, how=(timeout, jobs, isolate))

    def ask(self) -> Trial:
        """The next trial of an objective that you judge in a loop of your own: train with `trial.loss()`, then `tell`.

        The study is begun with the first call (`search` describes it) and belongs to this process until `close`.  Every
        outcome is recorded when it is told.  After a crash, trials that were not told are asked for again.

        Raises:
            StudyError: if there is no further trial.
            ConfigError: if the study is for a task.

        Example:
            study = glo.Study(objective, name="mine", classes=10)
            trial = study.ask()
            study.tell(trial, score(fit(trial.loss(), trial.seed)))
        """
        if self._asking is None:
            self._asking = self._opened()
        return self._asking.ask()

    def tell(self, trial: Trial, score: object = None, *, failed: str | None = None) -> None:
        """The score of a trial that was asked for, or why it has none.

        Args:
            score: as an objective returns it.
            failed: the reason.

        Raises:
            StudyError: if the trial was told already.
        """
        if self._asking is None:
            raise StudyError(f"study '{self.name}' was not asked for a trial in this process")
        if (score is None) == (failed is None):
            raise ConfigError("tell takes a score, or failed='reason'")
        self._asking.tell(trial, score, failed)

    def close(self) -> None:
        """End asking: another process may go on with the study."""
        if self._asking is not None:
            self._asking.close()
            self._asking = None

    def tune(
        self,
        expression: str | Expr | None = None,
        *,
        which: str | None = None,
        iterations: int | None = None,
        population: int | None = None,
        repeats: int | None = None,
        steps: int | None = None,
        learning_rates: Sequence[float] | None = None,
        timeout: float | str | None = None,
        jobs: int = 1,
        isolate: bool = False,
    ) -> StudyResult:
        """Tune the coefficients of a loss by CMA-ES (paper, section III.B); otherwise as `search`.

        Args:
            expression: a loss, by text or name; by default the best that the study has found.
            which: "effective" or "all" coefficients.
            iterations, population: of CMA-ES.
            repeats: seeds over which each fitness is averaged; more than one is worth its time where fitness is noisy.
            steps, learning_rates: of each training; with several rates, each candidate counts at its best.
            timeout, jobs, isolate: as for `search`.

        Raises:
            ConfigError: if the loss has no coefficient to tune; and as `search`.
        """
        loss = None if expression is None else resolve(expression)
        text = None if loss is None else str(loss)
        overrides = {
            "repeats": repeats,
            "coefficients": {"expression": text, "which": which, "iterations": iterations, "population": population},
            "training": {"steps": steps, "learning_rates": learning_rates},
        }
        return self._run(
            [PhaseKind.COEFFICIENTS],
            overrides,
            "tune" if loss is None else f"tune-{short_name(loss)}",
            how=(timeout, jobs, isolate),
        )

    def enumerate(
        self,
        *,
        max_depth: int | None = None,
        repeats: int | None = None,
        steps: int | None = None,
        learning_rates: Sequence[float] | None = None,
        timeout: float | str | None = None,
        jobs: int = 1,
        isolate: bool = False,
    ) -> StudyResult:
        """Evaluate every loss up to a depth; otherwise as `search`.

        Args:
            max_depth: of the trees; by default 2.
            repeats: seeds over which each fitness is averaged; by default 3.
            steps, learning_rates: of each training.
            timeout, jobs, isolate: as for `search`.
        """
        overrides = {
            "repeats": repeats,
            "enumeration": {"max_depth": max_depth},
            "training": {"steps": steps, "learning_rates": learning_rates},
        }
        return self._run([PhaseKind.ENUMERATION], overrides, "enumerate", FOR_ENUMERATION, how=(timeout, jobs, isolate))

    def run(
        self,
        search: Search,
        *,
        repeats: int | None = None,
        steps: int | None = None,
        learning_rates: Sequence[float] | None = None,
    ) -> StudyResult:
        """Run a search of your own; otherwise as `search`.

        To go on with it, call this again with a search in the same initial state: it is told what is recorded, and must ask
        for the same expressions.  `glo.testing.SearchContract` tests that.

        Args:
            search: asks for expressions and is told their outcomes, a generation at a time.
            repeats: seeds over which each fitness is averaged; by default 1.
            steps, learning_rates: of each training.
        """
        overrides = {"repeats": repeats, "training": {"steps": steps, "learning_rates": learning_rates}}
        return self._run([PhaseKind.OWN], overrides, "own", own=search)

    def resume(
        self,
        *,
        generations: int | None = None,
        timeout: float | str | None = None,
        jobs: int = 1,
        isolate: bool = False,
    ) -> StudyResult:
        """Go on with the phases that are recorded; the study ends as if it had never been interrupted.

        Args:
            generations: of a search, more than are recorded as its end: it searches on until then, and confirms again.
            timeout, jobs, isolate: as for `search`.

        Raises:
            StudyError: if the study is not in the store.
            ReplayError: if the study cannot have so many generations: they are fewer, it is no search, or was given trials.
        """
        return self._run([], {"generations": generations}, self.preset, how=(timeout, jobs, isolate))

    @property
    def out_of_time(self) -> bool:
        """Whether the timeout of the last call has ended it before the study was complete."""
        return self._out_of_time

    @property
    def time_left(self) -> float | None:
        """While a search or tuning runs: expected seconds until its end, with its confirmation; None if nobody knows."""
        return None if self._running is None else self._running.time_left

    def stop(self) -> None:
        """End the study after the generation or arrival that is under way; to be called by a callback."""
        self._stopped = True

    def compare(
        self,
        losses: Sequence[str | Expr] = (),
        config: ComparisonConfig | None = None,
        *,
        finalists: int = 1,
        jobs: int = 1,
        isolate: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Comparison:
        """Compare the best loss of this study with the baselines on the test split, trained as in the search.

        Batch size, momentum, schedule, eps and so on are those of the search.  Each loss has its own learning rate chosen
        from `config.learning_rates`, and none is stopped early.

        Args:
            losses: more losses to compare, by text or name.
            config: how; by default `ComparisonConfig()`.  If its steps are not those of the search, a warning says so.
            finalists: how many of the best losses of the search to compare.
            jobs, isolate: of an objective, as for `search`.
            on_progress: as in `compare_losses`; by default, the progress of the study.

        Raises:
            ConfigError: for less than one finalist, or as `compare_losses`.
            TaskError: if the task has no test split.
            StudyError: if the study has found no loss yet.
        """
        where: dict[str, Any] = {"device": self._device, "cluster": self._cluster, "time_limit": self._time_limit}
        where |= {"jobs": jobs, "isolate": isolate}
        with self._progress:
            report = on_progress or self._progress.show
            return compare_found(self.result, self.task, losses, config, finalists, where, report)

    def survey(self, config: ComparisonConfig | None = None, *, on_progress: OnProgress | None = None) -> Survey:
        """What there is to beat: the known losses at their best on validation, and how far seeds change the metric.

        Args:
            config: how; its baselines are the known losses, by default those of the shelf.
            on_progress: as in `compare_losses`; by default, the progress of the study.

        Raises:
            ConfigError: for an objective.
        """
        known = self.result.config if self.is_recorded else self._composed([PhaseKind.GENETIC], {}, None)
        with self._progress:
            return survey_known(self.task, known.training, config, self._where, on_progress or self._progress.show)

    def judge(
        self,
        config: ComparisonConfig | None = None,
        *,
        finalists: int = 3,
        surveyed: Survey | None = None,
        on_progress: OnProgress | None = None,
    ) -> Judgement:
        """Say in words whether to use the loss that was found: compare it with the standard loss and the shelf on test.

        The judgement is recorded in the store, in place of an earlier one; a report (`report`) shows it.  `print` shows the
        comparison and the verdict; `.verdict` has the loss to use and what that rests on.

        Args:
            config: how to compare; its baselines are what the loss has to beat, by default those of the shelf.
            finalists: of how many of the best losses validation chooses one.
            surveyed: the survey of the known losses, made before the search with the same options.
            on_progress: as in `compare_losses`; by default, the progress of the study.

        Raises:
            ConfigError: for an objective, or less than one finalist.
            TaskError: if the task has no test split.
            StudyError: if the study has found no loss yet.
        """
        result = self.result
        with self._progress:
            report = on_progress or self._progress.show
            judgement = judge_found(result, self.task, config, finalists, self._where, report, surveyed)
        with closing(Store(self.storage, create=False)) as store:
            store.record_judgement(self.name, {**judgement.to_dict(), "history_digest": result.history_digest()})
        return judgement

    def pareto(self, metrics: Sequence[str] = (), *, on_progress: OnProgress | None = None) -> list[FrozenTrial]:
        """The candidates that no other beats in both size and fitness; or the finalists that none beats in several metrics.

        A search selects by the metric of the task alone.  To measure others, the candidates that were confirmed, else the
        best twelve, are trained once more, each with all seeds of the last round of the confirmation.

        Args:
            metrics: their names, e.g. ["accuracy", "ece"]; each has the direction of its definition.  The best by the first
                comes first, and `metrics` of a trial has its means on validation.
            on_progress: as in `compare_losses`; by default, the progress of the study.

        Raises:
            ConfigError: for metrics of an objective.
            TaskError: for a metric that does not exist or does not fit the task.
        """
        if not metrics:
            return self.result.pareto()
        with self._progress:
            return pareto_front(self.result, self.task, metrics, self._where, on_progress or self._progress.show)

    def _starting(self, start: Sequence[str | Expr] | None, overrides: Mapping[str, Any]) -> list[str] | None:
        """The expressions of `search(start=...)`; None if it was not given.

        Args:
            overrides: as for `_run`; of a family of losses, the constraints may exclude some.
        """
        if start is None:
            return None
        if isinstance(start, str):
            raise ConfigError(f"start is a list of losses, e.g. start=[{start!r}]")
        known = self.result.config if self.is_recorded else self._composed([PhaseKind.GENETIC], overrides, None)
        reason_against = exclusion(known, self.task)
        allowed: Callable[[Expr], bool] = lambda loss: reason_against(loss) is None  # noqa: E731
        found = start_expressions(start, self.task.link.value, self.task.classes, self.task.prior, allowed)
        if start and not found:
            raise ConfigError("the constraints exclude all losses of the shelf: leave out start, or drop a constraint")
        return [str(loss) for loss in found]

    @property
    def _where(self) -> dict[str, Any]:
        """Where to train, as arguments of `open_for`."""
        where = self._running.executor if self._running else self._cluster
        return {"where": where, "device": self._device, "time_limit": self._time_limit}

    @property
    def _task_name(self) -> str:
        return self._given if isinstance(self._given, str) else self._given.name

    def _run(
        self,
        kinds: Sequence[PhaseKind],
        overrides: Mapping[str, Any],
        what: str,
        defaults: Mapping[str, Any] | None = None,
        own: Search | None = None,
        how: tuple[float | str | None, int, bool] = (None, 1, False),
    ) -> StudyResult:
        """Start the study, or go on with it, and end it.

        Args:
            kinds: of the phases; those that are not recorded yet are added.
            overrides: values of `StudyConfig` that win over preset, file and settings; None means not given.
            what: the first phase does, as part of the default name.
            defaults: values of `StudyConfig` that everything else wins over.
            own: the search of a phase of this kind.
            how: timeout, jobs and isolate, as for `search`.
        """
        timeout, jobs, isolate = how
        if isinstance(self.task, Objective) and any(value is not None for value in overrides.get("training", {}).values()):
            raise ConfigError(
                "steps and learning rates do nothing for an objective, which trains as it likes: leave them out"
            )
        self._stopped = self._out_of_time = False
        budget = Budget(math.inf if timeout is None else seconds_of(timeout))
        self._name = self._name or default_name(self._task_name, what, self.seed)
        check_name(self._name)
        record = find_record(self.storage, self._name)
        config, new = self._configuration(record, kinds, overrides, defaults)
        check_jobs(self.task, self._cluster, self._device, jobs, isolate)
        self._check_options(config)
        with (
            closing(Store(self.storage)) as store,
            store.lock(self.name),
            open_for(self.task, self._cluster, self._device, self._time_limit, jobs, isolate) as executor,
            self._progress,
        ):
            rehearse_for(executor, self.task, config.training, self._time_limit)
            if record is None or new:
                store.create_study(self.name, config.model_dump(mode="json"), versions(), replace_empty=True)
            elif config != validated(record.config):
                store.extend_study(self.name, config.model_dump(mode="json"))
            loop = self._loop(config, store, executor, own, budget)
            known = versions() if record is None or new else record.versions
            self._running = loop
            try:
                with self._telling_exceptions():
                    self._tell(lambda callback: callback.on_begin(self))
                    history = loop.run()
                    store.check_there()
            except LostStoreError as error:
                raise self._rescued(error, config, known, loop.history) from error
            finally:
                self._running = None
        self._out_of_time = budget.spent
        if budget.spent:
            logger.warning("%s", how_time_ended(self.name, config, history, timeout))
        result = StudyResult(self.name, config, known, in_generations(config, history))
        self._tell(lambda callback: callback.on_end(self, result))
        return result

    def _loop(
        self,
        config: StudyConfig,
        store: Store,
        executor: Executor,
        own: Search | None = None,
        budget: Budget | None = None,
    ) -> Loop:
        limit = self._max_failures if isinstance(self.task, Objective) else None
        budget = budget or Budget()
        return Loop(self.name, config, self.task, store, executor, self._slots, self._listener(), own, limit, budget)

    def _opened(self) -> Asking:
        """Begin or go on with a study that is asked for its trials."""
        if not isinstance(self.task, Objective):
            raise ConfigError(f"ask and tell are for an objective; task '{self.task.name}' is trained by glo: use search")
        self._name = self._name or default_name(self._task_name, self.preset, self.seed)
        record = find_record(self.storage, check_name(self._name))
        config, new = self._configuration(record, [PhaseKind.GENETIC], {}, {"trials": ASKED})
        check_feasible(config, self.task)
        with ExitStack() as stack:
            store = stack.enter_context(closing(Store(self.storage)))
            stack.enter_context(store.lock(self.name))
            if record is None or new:
                store.create_study(self.name, config.model_dump(mode="json"), versions(), replace_empty=True)
            executor = TellingExecutor()
            asking = Asking(self._loop(config, store, executor), executor)
            asking.cleanup = stack.pop_all()
            return asking

    def _rescued(
        self, error: LostStoreError, config: StudyConfig, known: Mapping[str, str], history: Sequence[GenerationRecord]
    ) -> LostStoreError:
        """Save the generations so far in a new store beside the lost one; the error says where, and has the result."""
        path = rescue(self.storage, self.name, config, known, history)
        saved = LostStoreError(
            f"{error}; study '{self.name}' is saved in {path}: go on with glo resume {self.name} --storage {path}"
        )
        saved.result = StudyResult(self.name, config, known, in_generations(config, history))
        return saved

    def _configuration(
        self,
        record: StudyRecord | None,
        kinds: Sequence[PhaseKind],
        overrides: Mapping[str, Any],
        defaults: Mapping[str, Any] | None,
    ) -> tuple[StudyConfig, bool]:
        """The configuration, and whether the study begins with it; a record without generations is no obstacle."""
        empty = record is not None and record.generations == 0 and bool(kinds)
        if record is not None and (self._load_if_exists or not kinds):
            try:
                config = self._continued(record, kinds, overrides)
                if not empty or config.phases == validated(record.config).phases:
                    return config, False
            except (ConfigError, ReplayError):
                if not empty:
                    raise
        elif not (kinds and (record is None or empty)):
            raise refusal(record, self.name, self.storage)
        return self._composed(kinds, overrides, defaults), True

    def _check_options(self, config: StudyConfig) -> None:
        """Check what needs no executor yet, so that a mistake leaves nothing behind."""
        if self._slots is not None and not config.steady:
            raise ConfigError("slots are for a steady-state search: add --steady-state, in Python steady_state=True")
        check_feasible(config, self.task)
        if self._cluster is None:
            choose_device(self._device)
        elif isinstance(self._cluster, str):
            read_cluster(self._cluster)

    def _composed(
        self, kinds: Sequence[PhaseKind], overrides: Mapping[str, Any], defaults: Mapping[str, Any] | None
    ) -> StudyConfig:
        """The configuration of a new study."""
        chosen = {**overrides, "phases": list(kinds), "seed": self.seed}
        return compose(self.task, self.preset, self._file, self._settings, chosen, defaults)

    def _continued(self, record: StudyRecord, kinds: Sequence[PhaseKind], overrides: Mapping[str, Any]) -> StudyConfig:
        """The recorded configuration, with a further phase if one of `kinds` is not recorded."""
        own = {"seed": self.seed, "preset": self.preset, "task": task_config(self.task).model_dump(mode="json")}
        given = (*given_layers(self._file, self._settings), overrides, own)
        return continued(record, kinds, given)

    def _listener(self) -> Listener:
        """Forwards the loop's events to all callbacks."""

        return Listener(
            lambda generation: self._tell(lambda callback: callback.on_replay(self, generation)),
            lambda outcome: self._tell(lambda callback: callback.on_outcome(self, outcome)),
            lambda generation: self._tell(lambda callback: callback.on_generation(self, generation)),
            lambda: self._stopped,
        )

    @contextmanager
    def _telling_exceptions(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            for callback in self._callbacks:
                callback.on_exception(self, error)
            raise

    def _tell(self, call: Callable[[Callback], None]) -> None:
        for callback in self._callbacks:
            call(callback)


def load_study(
    name: str,
    storage: str | Path = DEFAULT_STORAGE,
    *,
    task: Problem | str | Callable[[Trial], Scores] | None = None,
    data_dir: str | Path | None = None,
    device: str = "auto",
    cluster: Where = None,
    slots: int | None = None,
    time_limit: float | None = None,
    callbacks: Sequence[Callback] = (),
    progress: bool | Progress = True,
) -> Study:
    """A recorded study, to look at or to go on with (`resume`).

    Args:
        name, storage: where it is recorded.
        task: needed to go on with a study that was started with a `Task` object, or an objective of a script.  One with a
            built-in task finds it itself.  Any other task or objective, "module:attribute", is imported only if you name it
            here, or have named it on the command line in this folder: a store may come from somebody else.
        data_dir, device, cluster, slots, time_limit, callbacks, progress: as for `Study`.

    Raises:
        StudyError: if there is no such study.
        ConfigError: if it is for another task.
    """
    options = {
        "data_dir": data_dir, "device": device, "cluster": cluster, "slots": slots, "time_limit": time_limit,
        "callbacks": callbacks, "progress": progress,
    }  # fmt: skip
    return Study._recorded(name, storage, task, options)
