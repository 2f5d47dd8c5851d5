"""What the commands that start or go on with a study have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from glo.cli.output import Progress, command_line, read_task_options, resumable, show_generations

if TYPE_CHECKING:
    from glo.execution.dask import ClusterConfig
    from glo.study import Study, StudyResult


def run_new_study(
    start: Callable[[Study], StudyResult],
    task: str,
    *,
    name: str | None,
    preset: str,
    seed: int,
    storage: str,
    settings: list[str] | None,
    config: Path | None,
    task_option: list[str] | None,
    data_dir: Path | None,
    device: str,
    cluster: str | None,
    insecure: bool,
    unused: Mapping[str, str],
    slots: int | None = None,
) -> StudyResult:
    """Run a new study with the options that all such commands have, and show its progress.

    Args:
        start: calls a phase of the study.
        unused: the options, or tables of options, that this command does not read, and why; --set refuses them.
    """
    from glo.study import Study

    refuse_settings(settings, unused)
    check_device(device, cluster)
    with Progress() as progress:
        study = Study(
            task, name=name, storage=storage, seed=seed, preset=preset, settings=settings or [], file=config,
            task_options=read_task_options(task_option), data_dir=data_dir, device=device,
            cluster=chosen_cluster(cluster, insecure), slots=slots, callbacks=[show_generations(progress)],
            load_if_exists=False,
        )  # fmt: skip
        with resumable(lambda: resume_command(study.name, storage, data_dir, device, cluster, insecure, slots)):
            return start(study)


def resume_study(
    name: str,
    storage: str,
    data_dir: Path | None,
    device: str,
    cluster: str | None,
    insecure: bool,
    slots: int | None,
) -> StudyResult:
    """Go on with a recorded study, and show its progress."""
    from glo.study import load_study

    check_device(device, cluster)
    with Progress() as progress:
        study = load_study(
            name, storage, data_dir=data_dir, device=device, cluster=chosen_cluster(cluster, insecure), slots=slots,
            callbacks=[show_generations(progress)],
        )  # fmt: skip
        with resumable(lambda: resume_command(name, storage, data_dir, device, cluster, insecure, slots)):
            return study.resume()


def resume_command(
    name: str, storage: str, data_dir: Path | None, device: str, cluster: str | None, insecure: bool, slots: int | None
) -> str:
    """The command that goes on with a study, with the same options as this one."""
    from glo.store import without_password

    return command_line(
        "glo resume", name, storage=without_password(storage), data_dir=data_dir, device=unless_auto(device),
        cluster=cluster, insecure=insecure, slots=slots,
    )  # fmt: skip


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
    from glo.study.config import StudyConfig, refuse_unused

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
