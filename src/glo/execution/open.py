"""Open an executor: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from glo.execution.dask import ClusterConfig, cluster_executor, read_cluster
from glo.execution.local import local_executor
from glo.execution.protocol import Executor
from glo.training import choose_device

# None for this machine; a cluster by text, file or configuration; or an executor that is open already.
Where = str | ClusterConfig | Executor | None


@contextmanager
def open_executor(where: Where = None, device: str = "auto") -> Iterator[Executor]:
    """An executor, for as long as the context lasts.

    Args:
        where: None for this machine; a cluster such as "local:2" or "cluster.toml"; or an executor that is open already,
            so that several studies share one cluster; at the end it gives up what is under way, and stays usable.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises:
        ConfigError: for a cluster or device that does not exist.
        ClusterError: if the cluster cannot be opened.
    """
    if isinstance(where, (str, ClusterConfig)):
        with cluster_executor(read_cluster(where), device) as executor:
            yield executor
    else:
        with closing(local_executor(choose_device(device)) if where is None else where) as executor:
            yield executor
