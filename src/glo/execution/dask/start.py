"""Start the scheduler and the workers of a cluster, by kind of cluster."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import dask.config
import psutil
import torch
from distributed import Security
from distributed.core import Status
from distributed.deploy.spec import SpecCluster
from distributed.deploy.ssh import Worker as SSHWorker
from distributed.deploy.subprocess import Subprocess

from glo.errors import ClusterError, ConfigError
from glo.execution.dask.config import (
    LOOPBACK,
    ClusterConfig,
    HTCondorConfig,
    JobsConfig,
    LocalConfig,
    SharedConfig,
    SlurmConfig,
    SSHConfig,
)
from glo.execution.dask.hosts import read_hosts
from glo.execution.dask.servers import NANNY, WORKER, QuietScheduler
from glo.execution.dask.worker import named_gpus


def start(config: ClusterConfig, security: Mapping[str, Any], folder: Path) -> SpecCluster:
    """Start a scheduler in this process, and workers; `close` ends them.

    Args:
        security: options of `Security`; empty for plain text.
        folder: for scratch files of processes on this machine.
    """
    if isinstance(config, LocalConfig):
        return _start_local(config, security, folder)
    if isinstance(config, SSHConfig):
        return _start_ssh(config, security, folder)
    if isinstance(config, JobsConfig):
        return _start_jobs(config, security, folder)
    raise TypeError(f"{type(config).__name__} cannot be started by glo")


def settings(config: ClusterConfig) -> dict[str, Any]:
    """Settings of dask for the scheduler and the workers."""
    return {
        "distributed.worker.daemon": False,  # a worker trains in child processes
        "distributed.worker.profile.enabled": False,  # it would sample every 10 ms a thread that waits for its child
        "distributed.admin.tick.interval": "1s",  # the default measures the event loop's lag 50 times a second
        "distributed.admin.system-monitor.interval": "10s",
        "distributed.scheduler.allowed-failures": config.allowed_failures,
        "distributed.deploy.lost-worker-timeout": f"{config.lost_after}s",
        "distributed.scheduler.unknown-task-duration": "60s",  # so that a few pending trainings justify another job
        "distributed.admin.large-graph-warning-threshold": "1TB",  # a pickled task contains its data
    }


SCRATCH_OF_JOB = ['export TMPDIR="$(mktemp -d)"', """trap 'rm -rf "$TMPDIR"' EXIT"""]  # lines of a shell script
SECONDS_TO_END = 5.0  # for a worker of this machine; then it is killed


class LocalWorker(Subprocess):
    """A worker process on this machine.  Unlike those of dask's LocalCluster it does not run the user's script again."""

    def __init__(self, scheduler: str, options: Mapping[str, Any], folder: str, name: str | int) -> None:
        self._scheduler, self._options, self._folder = scheduler, {**options, "name": name}, folder
        super().__init__()

    async def _start(self) -> None:
        inherited = dask.config.serialize(dask.config.global_config)
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "distributed.cli.dask_spec", self._scheduler),
            *("--spec", json.dumps({"cls": NANNY, "opts": self._options})),
            env={
                **os.environ,
                "DASK_INTERNAL_INHERIT_CONFIG": inherited,
                "DASK_LOGGING__DISTRIBUTED": "critical",  # a worker that is closed reports that its scheduler is
                "PYTHONPATH": path,
                "TMPDIR": self._folder,
            },
            stdin=asyncio.subprocess.DEVNULL,
            stdout=2,  # to stderr: the output of a worker is not the driver's
            start_new_session=True,  # Ctrl-C is for the driver, which then closes the workers
        )

    async def close(self) -> None:
        """End the nanny, which ends its worker.  dask would kill them at once, and leave their semaphores behind."""
        if self.process is not None and self.process.returncode is None:
            everything = psutil.Process(self.process.pid).children(recursive=True)
            self.process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), SECONDS_TO_END)
            for process in everything:
                with suppress(psutil.NoSuchProcess):
                    if "resource_tracker" not in " ".join(process.cmdline()):  # which ends last, and deletes semaphores
                        process.kill()
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        self.process = None
        await super().close()


def _start_local(config: LocalConfig, security: Mapping[str, Any], folder: Path) -> SpecCluster:
    cards = visible_gpus()
    workers: dict[Any, Any] = {}
    for number in range(config.workers):
        options = _worker(1, security, _card(cards, number), config.workers, here=True)
        workers[number] = {"cls": LocalWorker, "options": {"options": options, "folder": str(folder)}}
    return _spec_cluster(workers, {"host": LOOPBACK}, security, folder)


def _start_ssh(config: SSHConfig, security: Mapping[str, Any], folder: Path) -> SpecCluster:
    connect = {} if config.ssh_config is None else {"config": [str(config.ssh_config)]}
    workers: dict[Any, Any] = {}
    for host in read_hosts(config.hosts):
        cards = [str(card) for card in range(host.gpus)]
        for number in range(max(1, host.gpus)):
            slots = 1 if cards else host.slots
            options = _worker(slots, security, _card(cards, number), max(1, host.gpus), _is_local(config))
            name = f"{host.address}-{len(workers)}"
            workers[name] = {
                "cls": SSHWorker,
                "options": {
                    "address": host.address,
                    "connect_options": {**connect, **host.connect},
                    "kwargs": {**options, "name": name},
                    "remote_python": config.python,
                    "worker_class": NANNY,
                },
            }
    return _spec_cluster(workers, _listening(config), security, folder)


def _start_jobs(config: JobsConfig, security: Mapping[str, Any], folder: Path) -> SpecCluster:
    from dask_jobqueue.htcondor import HTCondorCluster
    from dask_jobqueue.slurm import SLURMCluster

    local = ["--host", LOOPBACK] if _is_local(config) else []
    prologue = ["export DASK_DISTRIBUTED__WORKER__DAEMON=False", *config.prologue]
    common: dict[str, Any] = {
        "cores": config.slots,
        "processes": 1,
        "memory": config.memory,
        "job_name": "glo",
        "job_script_prologue": prologue,
        "worker_extra_args": [*local, "--no-dashboard", "--worker-class", WORKER],
        "log_directory": str(config.log_directory.absolute()),
        "python": config.python,
        "interface": config.interface,
        "protocol": "tls" if security else "tcp",
        "security": Security(**security) if security else None,
        "scheduler_cls": QuietScheduler,
        "scheduler_options": {**_listening(config), "port": 0, "dashboard": False, "local_directory": str(folder)},
        "n_workers": 0,
    }
    if isinstance(config, SlurmConfig):
        common["job_script_prologue"] = [*SCRATCH_OF_JOB, *prologue]  # HTCondor makes a folder for each job itself
        directives = [f"--gres=gpu:{config.gpus}"] * bool(config.gpus) + [*config.directives]
        return SLURMCluster(
            **common,
            queue=config.queue,
            account=config.account,
            walltime=config.walltime,
            job_cpu=config.cores,
            job_extra_directives=directives,
        )
    assert isinstance(config, HTCondorConfig)  # noqa: S101 - the only other kind
    directives = dict(_pair(line) for line in config.directives)
    asked = {"RequestCpus": config.cores, **({"request_gpus": config.gpus} if config.gpus else {})}
    return HTCondorCluster(**common, disk=config.disk, job_extra_directives={**asked, **directives})


def submit(cluster: SpecCluster, jobs: int) -> None:
    """Submit the first jobs to the batch system.  Errors of later jobs, which `adapt` submits, are not reported.

    Raises:
        ClusterError: if the batch system refuses them, with its message.
    """
    for _ in range(jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        cluster.sync(cluster._correct_state)
    except FileNotFoundError as error:
        raise ClusterError(
            f"there is no {error.filename} on this machine: start glo on a machine that can submit jobs"
        ) from None
    except RuntimeError as error:
        message = " ".join(str(error).rpartition("stderr:")[2].split())
        raise ClusterError(f"the batch system refuses the job: {message}") from None


def close(cluster: SpecCluster) -> None:
    """Close a cluster and its workers.

    Its own `close` asserts that all workers are closing, a status that jobs of a batch system never report.
    """
    for worker in list(cluster._created):
        worker.status = Status.closing
    cluster.close()


def _pair(line: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals:
        raise ConfigError(f"a directive of HTCondor is KEY = VALUE, not {line!r}")
    return key.strip(), value.strip()


def _worker(slots: int, security: Mapping[str, Any], gpu: str | None, siblings: int, here: bool) -> dict[str, Any]:
    """Options of a worker's nanny, as JSON-like data.  Each worker may use its share of the machine's memory.

    Args:
        slots: number of concurrent trainings.
        siblings: number of workers on its machine, with this one.
        here: whether only this machine can reach it.
    """
    return {
        **({"host": LOOPBACK} if here else {}),
        "nthreads": slots,
        "memory_limit": 0.9 / siblings,
        "security": dict(security) or None,
        "env": {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu},
    }


def _spec_cluster(
    workers: dict[Any, Any], listening: Mapping[str, Any], security: Mapping[str, Any], folder: Path
) -> SpecCluster:
    secured = Security(**security) if security else None
    options = {
        **listening,
        "port": 0,
        "protocol": "tls" if security else "tcp",
        "security": secured,
        "dashboard": False,
        "local_directory": str(folder),
    }
    try:
        return SpecCluster(workers, {"cls": QuietScheduler, "options": options}, security=secured, name="glo")
    except Exception as error:
        raise ClusterError(
            f"the cluster cannot be started: {str(error) or type(error).__name__} (workers on other machines must be able "
            "to reach the scheduler: give the host or interface of this machine)"
        ) from error


def _listening(config: SharedConfig) -> dict[str, str]:
    return {"interface": config.interface} if config.interface else {"host": config.host}


def _is_local(config: SharedConfig) -> bool:
    """Whether the whole cluster is on this machine."""
    return config.interface is None and config.host == LOOPBACK


def visible_gpus() -> list[str]:
    """The GPUs of this machine that may be used, as CUDA_VISIBLE_DEVICES names them."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return named_gpus()
    return [str(card) for card in range(torch.cuda.device_count())]


def _card(cards: list[str], number: int) -> str | None:
    return cards[number % len(cards)] if cards else None
