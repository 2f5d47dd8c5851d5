"""`glo resume`: go on with a search."""

from __future__ import annotations

from typing import Annotated

import typer

from glo.cli import options
from glo.cli.launch import watched
from glo.cli.output import print_discovery


def resume(
    name: Annotated[str, typer.Argument(help="Name of the run (see: glo runs).")],
    storage: options.Storage = options.DEFAULT_STORAGE,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    slots: options.Slots = None,
    json: options.Json = False,
) -> None:
    """Go on with a search that was interrupted; it ends as if it had never been.

    What is recorded is replayed and checked; a run of another version, or of a task that has changed, is refused.
    """
    from glo.study import resume_run

    discovery = watched(resume_run, name, storage, data_dir, cluster, insecure, device, slots)
    print_discovery(discovery, storage, json)
