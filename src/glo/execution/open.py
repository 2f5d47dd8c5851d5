"""Open an executor: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from glo.errors import ConfigError
from glo.execution.dask import ClusterConfig, cluster_executor, read_cluster
from glo.execution.local import TIME_LIMIT, check_time_limit, local_executor
from glo.execution.protocol import Executor
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


def _refuse_unused(executor: Executor, device: str, time_limit: float | None) -> None:
    if time_limit is not None:
        raise ConfigError("time_limit does nothing beside an executor that is open already: leave it out")
    if device != "auto" and device.partition(":")[0] != executor.device.partition(":")[0]:
        raise ConfigError(f"device '{device}' does nothing beside an open executor, which trains on {executor.device}")
