"""What the commands that start or go on with a run have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glo.cli.output import Progress, command_line, read_task_options, resumable, show_generations

if TYPE_CHECKING:
    from glo.execution.dask import ClusterConfig
    from glo.study import Discovery


def launch(
    begin: Callable[..., Discovery],
    name: str,
    *,
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
    slots: int | None = None,
) -> Discovery:
    """A new run from the options that all such commands have.

    Args:
        begin: takes `glo.study.RunOptions`; all else is settled.
        name: of the run.
    """
    options = {"preset": preset, "seed": seed, "settings": settings or [], "file": config, "resume": False}
    options["task_options"] = read_task_options(task_option)
    return watched(begin, name, storage, data_dir, cluster, insecure, device, slots, **options)


def chosen_cluster(cluster: str | None, insecure: bool) -> ClusterConfig | None:
    """What --cluster and --insecure say."""
    from glo.execution.dask import read_cluster

    return None if cluster is None else read_cluster(cluster, insecure)


def unless_auto(device: str) -> str | None:
    """What --device says, if it was given."""
    return None if device == "auto" else device


def watched(
    begin: Callable[..., Discovery],
    name: str,
    storage: str,
    data_dir: Path | None,
    cluster: str | None,
    insecure: bool,
    device: str,
    slots: int | None,
    **options: Any,
) -> Discovery:
    """A run with its progress shown; where it is interrupted, how to go on is said."""
    from glo.store import without_password

    hint = command_line(
        "glo resume", name, storage=without_password(storage), data_dir=data_dir, device=unless_auto(device),
        cluster=cluster, insecure=insecure, slots=slots,
    )  # fmt: skip
    options |= {"cluster": chosen_cluster(cluster, insecure), "device": device, "slots": slots}
    with resumable(hint), Progress() as progress:
        return begin(name=name, storage=storage, data_dir=data_dir, on_generation=show_generations(progress), **options)
