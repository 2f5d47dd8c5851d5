"""`glo resume`: go on with a study."""

from __future__ import annotations

from typing import Annotated

import typer

from glo.cli import options
from glo.cli.launch import resume_study
from glo.cli.output import print_result


def resume(
    name: Annotated[str, typer.Argument(help="Name of the study (see: glo runs).")],
    storage: options.Storage = options.DEFAULT_STORAGE,
    data_dir: options.DataDir = None,
    device: options.Device = "auto",
    cluster: options.Cluster = None,
    insecure: options.Insecure = False,
    slots: options.Slots = None,
    json: options.Json = False,
) -> None:
    """Go on with a study that was interrupted; it ends as if it had never been.

    The recorded part is replayed and checked: a study of another version, or of a task that has changed, is refused.
    """
    print_result(resume_study(name, storage, data_dir, device, cluster, insecure, slots), storage, json)
