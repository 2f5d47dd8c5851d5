"""Open a cluster: start or reach its scheduler, and check that its workers fit the driver."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.config
import torch
from distributed import Client, Security
from distributed.deploy.spec import SpecCluster
from distributed.utils import silence_logging_cmgr

from glo.errors import ClusterError, ConfigError, GloError
from glo.execution.dask.certificates import CERTS, security_options, write_certificates
from glo.execution.dask.config import AddressConfig, ClusterConfig, JobsConfig, LocalConfig, SharedConfig
from glo.execution.dask.executor import DaskExecutor, scheduler_needed
from glo.execution.dask.folder import run_folder
from glo.execution.dask.hosts import only_here
from glo.execution.dask.start import close, settings, start, submit, visible_gpus
from glo.execution.dask.worker import check_versions, describe
from glo.provenance import versions

CONNECT_TIMEOUT = 10.0  # seconds to reach a scheduler that glo has not started
ONE_EACH = (  # docs/decisions/0012-gpu.md
    "trainings that share a GPU are no faster, and were seen to hang: start one worker with one slot for each GPU, or set "
    "share_gpus = true in the cluster's file"
)


@dataclass(frozen=True)
class Cluster:
    """An open cluster.

    Attributes:
        workers: descriptions of the workers that were there at the start, by address.
    """

    executor: DaskExecutor
    workers: dict[str, dict[str, Any]]


@contextmanager
def open_cluster(
    config: ClusterConfig, device: str = "auto", on_script: Callable[[str], None] = lambda script: None
) -> Iterator[Cluster]:
    """Start or reach a cluster, for as long as the context lasts.

    Args:
        device: of the workers: "cpu", "cuda", or "auto" for a GPU if they have one.
        on_script: called with the job script, if the workers are jobs of a batch system.

    Raises:
        ClusterError: if the scheduler cannot be reached, no worker connects, or a worker does not fit the driver.
        ConfigError: for plain text on a network where others may listen.
    """
    _check_local(config, device)
    with ExitStack() as stack:
        folder = stack.enter_context(run_folder(_parent(config)))
        security = _security(config, folder)
        stack.enter_context(dask.config.set(settings(config)))
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))  # glo's own errors say what went wrong
        secured = Security(**security) if security else None
        started: SpecCluster | str
        if isinstance(config, AddressConfig):
            started = config.address
        else:
            started = start(config, security, folder)
            stack.callback(close, started)
        if isinstance(config, JobsConfig):
            assert isinstance(started, SpecCluster)  # noqa: S101 - `start` returned it
            on_script(started.job_script())  # pyright: ignore[reportAttributeAccessIssue]
            submit(started, max(1, config.min_jobs))
        client = stack.enter_context(_connected(started, secured, config.patience))
        cluster = _checked(client, config, device)
        if isinstance(config, JobsConfig) and isinstance(started, SpecCluster):
            started.adapt(minimum_jobs=config.min_jobs, maximum_jobs=config.max_jobs)  # pyright: ignore[reportCallIssue]
        yield cluster


def _check_local(config: ClusterConfig, device: str) -> None:
    """Refuse more workers of this machine than it has GPUs, before they start: they may connect one by one."""
    if not isinstance(config, LocalConfig) or config.share_gpus or device == "cpu" or not torch.cuda.is_available():
        return
    if config.workers > (cards := len(visible_gpus())):
        raise ClusterError(f"{config.workers} workers would train on {cards} GPU{'s' * (cards > 1)}; {ONE_EACH}")


def _parent(config: ClusterConfig) -> Path:
    """Where the folder of the run belongs: all workers must be able to read its certificates."""
    return config.shared.absolute() if isinstance(config, SharedConfig) else Path(tempfile.gettempdir())


def _security(config: ClusterConfig, folder: Path) -> dict[str, Any]:
    """Options of `Security`; none for plain text, if that is allowed.

    Args:
        folder: for certificates that are made for this run.
    """
    if isinstance(config, AddressConfig) and config.address.startswith("tcp://"):
        host = config.address.removeprefix("tcp://").rpartition(":")[0]
        if not config.insecure and not only_here(host):
            raise ConfigError(
                f"{config.address} is plain text, which anyone on the network can read and change: start the scheduler "
                "with --tls-* and certificates of glo cluster certs, or give --insecure"
            )
        return {}
    if isinstance(config, AddressConfig):
        return security_options(config.certs or CERTS)
    if config.insecure:
        return {}
    if config.certs is not None:
        return security_options(config.certs)
    write_certificates(folder)
    return security_options(folder)


@contextmanager
def _connected(started: SpecCluster | str, security: Security | None, patience: float) -> Iterator[Client]:
    """A client of the scheduler."""
    # A scheduler in this process exists, however long it takes to answer on a busy machine.
    where, timeout = (started, CONNECT_TIMEOUT) if isinstance(started, str) else (started.scheduler_address, patience)
    try:
        client = Client(started, security=security, set_as_default=False, timeout=timeout)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"there is no scheduler at {where}, or it does not know this certificate: {error}") from None
    try:
        yield client
    finally:
        client.close()


def _checked(client: Client, config: ClusterConfig, device: str) -> Cluster:
    """The cluster, once at least one worker is there and all fit the driver and each other."""
    workers: dict[str, dict[str, Any]] = {}
    while not workers:
        workers = _described(client, config, device)
    for address, worker in workers.items():
        check_versions(versions(), worker["versions"], f"{address} on {worker['host']}")
        if "error" in worker:
            raise ClusterError(f"worker {address} on {worker['host']} cannot train: {worker['error']}")
    devices = {worker["device"] for worker in workers.values()}
    if len(devices) > 1:
        raise ClusterError("some workers have a GPU and some have none, so results would differ: give --device cpu or cuda")
    if not config.share_gpus and (shared := shared_gpu(workers)) is not None:
        raise ClusterError(f"{shared}; {ONE_EACH}")
    max_slots = config.max_jobs * config.slots if isinstance(config, JobsConfig) else 0
    return Cluster(DaskExecutor(client, config, devices.pop(), max_slots), workers)


def shared_gpu(workers: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Which trainings would share a GPU, in words; None if none would.

    Args:
        workers: what `describe` says of each, by address.
    """
    users: dict[str, str] = {}
    for address, worker in workers.items():
        cards, here = set(worker["cards"]), f"{address} on {worker['host']}"
        if cards and worker["threads"] > len(cards):
            return f"worker {here} has {worker['threads']} slots and {len(cards)} GPU{'s' * (len(cards) > 1)} to train on"
        for card in cards:
            if card in users:
                return f"workers {users[card]} and {here} have the same GPU"
            users[card] = here
    return None


def _described(client: Client, config: ClusterConfig, device: str) -> dict[str, dict[str, Any]]:
    """Descriptions of the workers by address; empty if all workers have gone in the meantime."""
    try:
        client.wait_for_workers(1, timeout=config.patience)
    except TimeoutError:
        logs = f"the batch system and {config.log_directory}/" if isinstance(config, JobsConfig) else "the machines"
        raise ClusterError(
            f"no worker has connected within {config.patience:g} s: see what {logs} report, and whether workers can reach "
            "the host or interface of the scheduler (to wait longer, set patience)"
        ) from None
    with scheduler_needed(client):
        answers: Any = client.run(describe, device, on_error="return")
        there: Any = client.nthreads()
    for address, answer in answers.items():
        if isinstance(answer, Exception) and address in there:
            hint = "" if isinstance(answer, GloError) else "; install the same there as here"
            raise ClusterError(f"worker {address} cannot work for this driver: {answer}{hint}")
    return {address: answer for address, answer in answers.items() if not isinstance(answer, Exception)}
