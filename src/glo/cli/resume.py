"""`glo resume`: go on with a study."""

from __future__ import annotations

from typing import Annotated

import typer

from glo.cli import comparing, options
from glo.cli.comparing import Baselines
from glo.cli.judging import Judging
from glo.cli.launch import Where, resume_study
from glo.cli.output import print_result, read_names


def resume(
    name: Annotated[str, typer.Argument(help="Name of the study (see: glo runs).")],
    storage: options.Storage = options.DEFAULT_STORAGE,
    task: options.RecordedTaskName = None,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    slots: options.Slots = None,
    time_limit: options.TimeLimit = None,
    generations: Annotated[
        int | None, typer.Option(min=1, help="Of a search: more than it was to have; it searches on, and confirms again.")
    ] = None,
    timeout: options.Timeout = None,
    jobs: options.Jobs = 1,
    isolate: options.Isolate = False,
    baselines: comparing.Judged = Baselines.shelf,
    repeats: Annotated[int, typer.Option(min=2, help="Fresh seeds of the verdict's measurement on test.")] = 10,
    metrics: options.Metrics = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Go on with a study that was interrupted; it ends as if it had never been.

    The recorded part is replayed and checked: a study of another version, or of a task that has changed, is refused.  A task
    that is not built in is code, which a store may name but not choose: it is imported only if you have named it in this
    folder, in this command (--task) or one before.
    """
    where = Where(device, cluster, insecure, slots, time_limit, data_dir)
    how = {"generations": generations, "timeout": timeout, "jobs": jobs, "isolate": isolate}
    judging = Judging(baselines, repeats, json, metrics=read_names(metrics))
    resume_study(
        name, storage, task, where, lambda result: print_result(result, storage, json, judging), how, judging, quiet
    )
