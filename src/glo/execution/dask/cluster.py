"""A cluster that is open: its scheduler is reached, its workers are like the driver, and it trains."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.config
from distributed import Client, Security
from distributed.deploy.spec import SpecCluster
from distributed.utils import silence_logging_cmgr

from glo.errors import ClusterError, ConfigError, GloError
from glo.execution.dask.certificates import CERTS, security_options, write_certificates
from glo.execution.dask.config import AddressConfig, ClusterConfig, JobsConfig, SharedConfig
from glo.execution.dask.courier import asking
from glo.execution.dask.hosts import only_here
from glo.execution.dask.start import close, settings, start, submit
from glo.execution.dask.trainer import ClusterTrainer
from glo.execution.dask.worker import check_versions, describe, versions
from glo.records import TrainingConfig
from glo.tasks import Task

CONNECT = 10.0  # seconds that reaching a scheduler may take which somebody else started


@dataclass(frozen=True)
class Cluster:
    """Makes trainers: a `glo.training.MakeTrainer`.

    Attributes:
        workers: what those are that were there at first, by address.
        device: where they train.
    """

    client: Client
    config: ClusterConfig
    workers: dict[str, dict[str, Any]]
    device: str
    most: int = field(default=0)

    @property
    def abreast(self) -> bool:
        return True

    def __call__(self, task: Task, config: TrainingConfig, /) -> ClusterTrainer:
        return ClusterTrainer(self.client, self.config, self.device, self.slots, task, config)

    def slots(self) -> int:
        """How many parts are trained at once, or may be when all jobs run that are allowed."""
        with asking(self.client):
            there: Any = self.client.nthreads()
        return max(self.most, sum(there.values()))


@contextmanager
def open_cluster(
    config: ClusterConfig, device: str = "auto", on_script: Callable[[str], None] = lambda script: None
) -> Iterator[Cluster]:
    """Start or reach a cluster, for as long as the context lasts.

    Args:
        device: of the workers: "cpu", "cuda", or "auto" for a GPU if they have one.
        on_script: told the script of the jobs, where there are jobs.

    Raises:
        ClusterError: if it cannot be reached, if no worker comes, or if one is not like the driver.
        ConfigError: for plain text where others may listen.
    """
    with ExitStack() as stack:
        security = _security(config, stack)
        stack.enter_context(dask.config.set(settings(config)))
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL))  # what is to be known is said by errors of glo
        secured = Security(**security) if security else None
        started: SpecCluster | str
        if isinstance(config, AddressConfig):
            started = config.address
        else:
            started = start(config, security)
            stack.callback(close, started)
        if isinstance(config, JobsConfig):
            assert isinstance(started, SpecCluster)  # noqa: S101 - it was started here
            on_script(started.job_script())  # pyright: ignore[reportAttributeAccessIssue]
            submit(started, max(1, config.min_jobs))
        client = stack.enter_context(_connected(started, secured, config.patience))
        cluster = _inspected(client, config, device)
        if isinstance(config, JobsConfig) and isinstance(started, SpecCluster):
            started.adapt(minimum_jobs=config.min_jobs, maximum_jobs=config.max_jobs)  # pyright: ignore[reportCallIssue]
        yield cluster


def _security(config: ClusterConfig, stack: ExitStack) -> dict[str, Any]:
    """Options of `Security`; empty for plain text, where that is allowed.

    Certificates that are made for the run are deleted at its end.
    """
    if isinstance(config, AddressConfig) and config.address.startswith("tcp://"):
        host = config.address.removeprefix("tcp://").rpartition(":")[0]
        if not config.insecure and not only_here(host):
            raise ConfigError(
                f"{config.address} is plain text, which anyone on the way can read and change: start the scheduler with "
                "--tls-* and certificates of glo cluster certs, or say --insecure"
            )
        return {}
    if isinstance(config, AddressConfig):
        return security_options(config.certs or CERTS)
    if config.insecure:
        return {}
    if config.certs is not None:
        return security_options(config.certs)
    shared = str(config.shared.absolute()) if isinstance(config, SharedConfig) else None
    folder = Path(tempfile.mkdtemp(prefix=".glo-certs-", dir=shared))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    write_certificates(folder)
    return security_options(folder)


@contextmanager
def _connected(started: SpecCluster | str, security: Security | None, patience: float) -> Iterator[Client]:
    """Its client; a scheduler in this process is there, however long a busy machine takes to say so."""
    where, timeout = (started, CONNECT) if isinstance(started, str) else (started.scheduler_address, patience)
    try:
        client = Client(started, security=security, set_as_default=False, timeout=timeout)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"there is no scheduler at {where}, or it does not know this certificate: {error}") from None
    try:
        yield client
    finally:
        client.close()


def _inspected(client: Client, config: ClusterConfig, device: str) -> Cluster:
    workers: dict[str, dict[str, Any]] = {}
    while not workers:
        workers = _described(client, config, device)
    for address, worker in workers.items():
        check_versions(versions(), worker["versions"], f"{address} on {worker['host']}")
        if "error" in worker:
            raise ClusterError(f"worker {address} on {worker['host']} cannot train: {worker['error']}")
    devices = {worker["device"] for worker in workers.values()}
    if len(devices) > 1:
        raise ClusterError("some workers have a GPU and some have none, and would not train alike: say --device cpu or cuda")
    most = config.max_jobs * config.slots if isinstance(config, JobsConfig) else 0
    return Cluster(client, config, workers, devices.pop(), most)


def _described(client: Client, config: ClusterConfig, device: str) -> dict[str, dict[str, Any]]:
    """What those workers are that are there, by address; none if all that were have gone meanwhile."""
    try:
        client.wait_for_workers(1, timeout=config.patience)
    except TimeoutError:
        raise ClusterError(
            f"no worker has come within {config.patience:g} s: look at what {_witnesses(config)} say, and whether workers "
            "can reach host or interface of the scheduler (more time: patience)"
        ) from None
    with asking(client):
        answers: Any = client.run(describe, device, on_error="return")
        there: Any = client.nthreads()
    for address, answer in answers.items():
        if isinstance(answer, Exception) and address in there:
            hint = "" if isinstance(answer, GloError) else "; install the same there as here"
            raise ClusterError(f"worker {address} cannot work for this driver: {answer}{hint}")
    return {address: answer for address, answer in answers.items() if not isinstance(answer, Exception)}


def _witnesses(config: ClusterConfig) -> str:
    return f"the batch system and {config.log_directory}/" if isinstance(config, JobsConfig) else "the machines"
