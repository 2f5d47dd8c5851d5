"""`glo cluster`: is it ready, and certificates for it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from glo.cli import options
from glo.cli.streams import print_json, say

app = typer.Typer(no_args_is_help=True, help="Look after a cluster to train on (see --cluster of the other commands).")


@app.command()
def check(
    cluster: Annotated[str, typer.Argument(metavar="WHERE", help="As --cluster takes it: local:2, or a TOML file.")],
    device: options.Device = "auto",
    insecure: options.Insecure = False,
    json: options.Json = False,
) -> None:
    """Start one worker, train a tiny network there, and say what it is.

    Prints the script of the job first, where there is one.
    """
    from glo.execution.dask import check_cluster, read_cluster
    from glo.training import check_device_name

    check_device_name(device)
    told: list[str] = []

    def tell(script: str) -> None:
        told.append(script)
        if not json:
            typer.echo(script)

    found = check_cluster(read_cluster(cluster, insecure), device, tell)
    if json:
        print_json({"script": told[0] if told else None, **found})
        return
    for worker in found["workers"]:
        say(_line(worker))
    say(f"A tiny training took {found['seconds']:.1f} s and reached accuracy {found['accuracy']:.3f} on digits.")


@app.command()
def certs(
    out: Annotated[Path, typer.Option(help="Folder to write to; tls://HOST:PORT looks for glo-certs.")] = Path("glo-certs"),
    days: Annotated[int, typer.Option(min=1, help="Days for which they are good.")] = 30,
) -> None:
    """Make certificates for the machines of a cluster; the cluster trusts everyone who has these files.

    Only their owner can read the key.  The key that signed them is kept nowhere.
    """
    from glo.execution.dask import write_certificates

    write_certificates(out, days)
    say(f"Written to {out}/: ca.pem, cert.pem, key.pem. A scheduler and workers of your own are given them by")
    names = (("ca-file", "ca"), ("cert", "cert"), ("key", "key"))
    say("  " + " ".join(f"--tls-{option} {out / name}.pem" for option, name in names))


def _line(worker: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in worker["versions"].items())
    gpus = f", GPUs {worker['gpus']}" if worker["gpus"] else ""
    slots = "one training" if worker["threads"] == 1 else f"{worker['threads']} trainings"
    where = f"{worker['address']} on {worker['host']}"
    return f"{where}: {slots} at once on {worker['device']} ({worker['model']}){gpus}; {versions}"
