"""What the commands that start or go on with a study have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo.cli.output import command_line, progress_of, read_task_options, resumable
from glo.cli.signals import time_limited

if TYPE_CHECKING:
    from glo.cli.judging import Judging
    from glo.errors import LostStoreError
    from glo.execution.dask import ClusterConfig
    from glo.study import Study, StudyResult
    from glo.tasks import Objective


@dataclass(frozen=True)
class Where:
    """The options that say where networks are trained, and for how long; no result depends on them.

    Attributes:
        device, cluster, insecure, slots, time_limit: of the command line.
        data_dir: the folder of the task's data files.
    """

    device: str = "auto"
    cluster: str | None = None
    insecure: bool = False
    slots: int | None = None
    time_limit: float | None = None
    data_dir: Path | None = None

    def of_study(self) -> dict[str, Any]:
        """As arguments of `Study`.

        Raises:
            ConfigError: for a device or cluster that cannot be used, before anything is made.
        """
        check_device(self.device, self.cluster)
        return {
            "device": self.device,
            "cluster": chosen_cluster(self.cluster, self.insecure),
            "slots": self.slots,
            "time_limit": self.time_limit,
            "data_dir": self.data_dir,
        }

    def options(self) -> dict[str, Any]:
        """Those that were given, to be repeated on a command line."""
        return {**vars(self), "device": unless_auto(self.device)}


def run_new_study(
    start: Callable[[Study], StudyResult],
    task: str | Objective,
    where: Where,
    *,
    max_failures: int = 10,
    name: str | None,
    preset: str,
    seed: int,
    storage: str,
    settings: list[str] | None,
    config: Path | None,
    task_option: list[str] | None,
    unused: Mapping[str, str],
    show: Callable[[StudyResult], None],
    judging: Judging | None = None,
    quiet: bool = False,
) -> None:
    """Run a new study with the options that all such commands have, and show its progress.

    Args:
        start: calls a phase of the study.
        show: prints the result, also if the store was lost in the meantime.
        unused: the options, or tables of options, that this command does not read, and why; --set refuses them.
        judging: surveys the known losses before, and judges the loss that is found.
        quiet: whether no progress is shown.
    """
    from glo.study import Study
    from glo.tasks.trust import trust

    refuse_settings(settings, unused)
    with progress_of(quiet) as progress:
        callbacks = [judging.surveying()] if judging else []
        study = Study(
            task, name=name, storage=storage, seed=seed, preset=preset, settings=settings or [], file=config,
            task_options=read_task_options(task_option), callbacks=callbacks, load_if_exists=False,
            max_failures=max_failures, progress=progress, **where.of_study(),
        )  # fmt: skip
        named = task if isinstance(task, str) else task.source_name
        if ":" in named:
            trust(named)
        result = _run(study, start, storage, where, named, judging)
    _show(result, show)


def chosen_problem(task: str | None, objective: str | None, options: Mapping[str, Any]) -> str | Objective:
    """The name of a task, or the objective of a command line.

    Args:
        options: of the objective; None for one that was not given.

    Raises:
        ConfigError: for both or neither of them, or options of an objective beside a task.
        TaskError: if there is no such function.
    """
    from glo.errors import ConfigError
    from glo.tasks import Objective, TaskSource, load_objective

    if (task is None) == (objective is None):
        raise ConfigError("give --task, or --objective for a training loop of your own, one of the two")
    if objective is None:
        refuse_given("with --task, which has its own", **options)
        return task or ""
    chosen = {name: value for name, value in options.items() if value is not None}
    return Objective(load_objective(objective), **chosen, source=TaskSource(objective, {}, None))


def resume_study(
    name: str,
    storage: str,
    task: str | None,
    where: Where,
    show: Callable[[StudyResult], None],
    how: Mapping[str, Any],
    judging: Judging,
    quiet: bool = False,
) -> None:
    """Go on with a recorded study, and show its progress.

    Args:
        how: timeout, jobs and isolate, as for `Study.resume`.
        task: that the study names, `module:attribute`, if it is to be imported; see `glo.tasks.trust`.
        judging: judges the loss that is found, if the study is a search.
        quiet: whether no progress is shown.
    """
    from glo.study import load_study

    with progress_of(quiet) as progress:
        study = load_study(name, storage, task=task, progress=progress, **where.of_study())
        result = _run(study, lambda study: study.resume(**how), storage, where, task, judging)
    _show(result, show)


def _run(
    study: Study,
    start: Callable[[Study], StudyResult],
    storage: str,
    where: Where,
    task: str | None,
    judging: Judging | None,
) -> StudyResult | LostStoreError:
    from glo.errors import LostStoreError

    with resumable(lambda: resume_command(study.name, storage, where, task) if study.is_recorded else None):
        with time_limited(where.time_limit):
            study.task  # noqa: B018 - it is loaded here, in the main thread
        try:
            if judging is not None:
                judging.check(study)
            result = start(study)
            if judging is not None:
                judging.judge(study)
            return result
        except LostStoreError as error:
            if error.result is None:
                raise
            return error


def _show(found: StudyResult | LostStoreError, show: Callable[[StudyResult], None]) -> None:
    """Show a result once the progress bars have gone; if the store was lost, say that too, by raising the error."""
    from glo.errors import LostStoreError
    from glo.study import StudyResult

    result = found.result if isinstance(found, LostStoreError) else found
    if isinstance(result, StudyResult):
        show(result)
    if isinstance(found, LostStoreError):
        raise found


def resume_command(name: str, storage: str, where: Where, task: str | None = None) -> str:
    """The command that goes on with a study, with the same options as this one."""
    from glo.store import without_password
    from glo.tasks.trust import is_trusted

    named = task if task is not None and ":" in task and not is_trusted(task) else None
    return command_line("glo resume", name, storage=without_password(storage), task=named, **where.options())


def chosen_cluster(cluster: str | None, insecure: bool) -> ClusterConfig | None:
    """The cluster of --cluster and --insecure.

    Raises:
        ConfigError: if there is no such cluster, or --insecure is given without one.
    """
    from glo.execution.dask import read_cluster

    if cluster is None and insecure:
        refuse_given("without --cluster", insecure=insecure)
    return None if cluster is None else read_cluster(cluster, insecure)


def refuse_given(why: str, **given: object) -> None:
    """Refuse options that would do nothing.

    Args:
        why: "with --study", "without --cluster".
        given: their values by name; None for one that was not given.

    Raises:
        ConfigError: naming the first of those that were given.
    """
    from glo.errors import ConfigError

    for name, value in given.items():
        if value is not None and value != []:
            raise ConfigError(f"--{name.replace('_', '-')} does nothing {why}: leave it out")


def refuse_settings(settings: list[str] | None, unused: Mapping[str, str], only: str | None = None) -> None:
    """Refuse values of --set that a command would ignore; those in a --config file may be for other commands.

    Args:
        unused: the options, or tables of options, that the command does not read, and why.
        only: the one table that the command reads, if it reads no other.

    Raises:
        ConfigError: naming the option and the reason.
    """
    from glo.study.composing import refuse_unused
    from glo.study.config import StudyConfig

    others = [name for name in StudyConfig.model_fields if only and name != only]
    reasons = dict.fromkeys(others, f"this command reads only {only} options")
    refuse_unused(settings or [], {**reasons, **unused})


def check_device(device: str, cluster: str | None) -> None:
    """Refuse a --device that cannot be used, before anything is made.  On a cluster, its workers know what they have."""
    from glo.training import check_device_name, choose_device

    if cluster is None:
        choose_device(device)
    else:
        check_device_name(device)


def unless_auto(device: str) -> str | None:
    """The value of --device, if it was given."""
    return None if device == "auto" else device
