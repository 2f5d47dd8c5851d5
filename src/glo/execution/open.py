"""Open an executor: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from glo.errors import ConfigError
from glo.execution.children import can_fork
from glo.execution.dask import ClusterConfig, cluster_executor, read_cluster
from glo.execution.dask.config import LocalConfig
from glo.execution.local import TIME_LIMIT, ForkingExecutor, InlineExecutor, check_time_limit, local_executor
from glo.execution.protocol import Executor
from glo.tasks import Problem, Task
from glo.training import choose_device

# None for this machine; a cluster by text, file or configuration; or an executor that is open already.
Where = str | ClusterConfig | Executor | None


@contextmanager
def open_executor(where: Where = None, device: str = "auto", time_limit: float | None = None) -> Iterator[Executor]:
    """An executor, for as long as the context lasts.

    Args:
        where: None for this machine; a cluster such as "local:2" or "cluster.toml"; or an executor that is open already,
            so that several studies share one cluster; at the end it gives up what is under way, and stays usable.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.
        time_limit: seconds that one training, or a population that is trained together, may take before it is killed; by
            default that of the cluster, here an hour.

    Raises:
        ConfigError: for a cluster or device that does not exist, or a device or time limit beside an executor that is
            open already.
        ClusterError: if the cluster cannot be opened.
    """
    if time_limit is not None:
        check_time_limit(time_limit)
    if isinstance(where, (str, ClusterConfig)):
        config = read_cluster(where)
        if time_limit is not None:
            config = config.model_copy(update={"time_limit": time_limit})
        with cluster_executor(config, device) as executor:
            yield executor
        return
    if where is not None:
        _refuse_unused(where, device, time_limit)
    chosen = local_executor(choose_device(device), time_limit=time_limit or TIME_LIMIT) if where is None else where
    with closing(chosen) as executor:
        yield executor


@contextmanager
def open_for(
    problem: Problem,
    where: Where = None,
    device: str = "auto",
    time_limit: float | None = None,
    jobs: int = 1,
    isolate: bool = False,
) -> Iterator[Executor]:
    """The executor that suits a problem: as `open_executor` for a task.

    An objective is called in this process, one trial at a time; with several jobs, with `isolate` or with a time limit, each
    trial has a process of its own that can be killed.  These are forked, or, where that is not safe because of a GPU, those
    of a cluster on this machine, with one GPU each.

    Args:
        jobs: how many trials of an objective are under way at once.
        isolate: whether each has its own process.

    Raises:
        ConfigError: as `check_jobs` and `open_executor`.
    """
    check_jobs(problem, where, device, jobs, isolate)
    if isinstance(problem, Task) or where is not None:
        with open_executor(where, device, time_limit) as executor:
            yield executor
        return
    limit = TIME_LIMIT if time_limit is None else time_limit
    if jobs == 1 and not isolate and time_limit is None:
        with closing(InlineExecutor()) as executor:
            yield executor
    elif can_fork("cpu"):
        with closing(ForkingExecutor(jobs, limit)) as executor:
            yield executor
    else:
        with cluster_executor(LocalConfig(workers=jobs, time_limit=limit), "cpu") as executor:
            yield executor


def check_jobs(problem: Problem, where: Where, device: str, jobs: int, isolate: bool) -> None:
    """Check options that say how an objective is called; see `open_for`.

    Raises:
        ConfigError: for such options beside a task or a cluster, or a device beside an objective.
    """
    if jobs < 1:
        raise ConfigError(f"jobs are 1 or more, not {jobs}")
    if (jobs > 1 or isolate) and (isinstance(problem, Task) or where is not None):
        what = "a task, which glo trains in processes of its own" if isinstance(problem, Task) else "a cluster"
        raise ConfigError(f"jobs and isolate are for an objective on this machine, not for {what}")
    if device not in ("auto", "cpu") and not isinstance(problem, Task) and where is None:
        raise ConfigError(f"device '{device}' does nothing for an objective, which chooses its own: leave it out")


def _refuse_unused(executor: Executor, device: str, time_limit: float | None) -> None:
    if time_limit is not None:
        raise ConfigError("time_limit does nothing beside an executor that is open already: leave it out")
    if device != "auto" and device.partition(":")[0] != executor.device.partition(":")[0]:
        raise ConfigError(f"device '{device}' does nothing beside an open executor, which trains on {executor.device}")
