"""Open a cluster.  Dask is imported here, when that happens, and not before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from glo.catalog import cross_entropy
from glo.errors import ClusterError, ConfigError
from glo.execution.dask.config import MORE_PACKAGES, ClusterConfig, JobsConfig, LocalConfig
from glo.execution.protocol import Batch, train
from glo.records import Failure, Training, TrainingConfig
from glo.tasks import load_task

if TYPE_CHECKING:
    from glo.execution.dask.cluster import Cluster
    from glo.execution.dask.executor import DaskExecutor


@contextmanager
def cluster_executor(config: ClusterConfig, device: str = "auto") -> Iterator[DaskExecutor]:
    """An executor on a cluster, which is open for as long as the context lasts; see `open_cluster`."""
    with _open(config, device, lambda script: None) as cluster, closing(cluster.executor):
        yield cluster.executor


def check_cluster(
    config: ClusterConfig, device: str = "auto", on_script: Callable[[str], None] = lambda script: None
) -> dict[str, Any]:
    """Start one worker, train a tiny network on it, and return a report as JSON-like data.

    Args:
        on_script: called with the job script, if the workers are jobs of a batch system.

    Raises:
        ClusterError: if the cluster does not work; the message says what to do.
    """
    one = {LocalConfig: {"workers": 1}, JobsConfig: {"min_jobs": 1, "max_jobs": 1}}
    few = next((update for kind, update in one.items() if isinstance(config, kind)), {})
    with _open(config.model_copy(update=few), device, on_script) as cluster:
        started = time.perf_counter()
        batch = Batch(load_task("digits"), TrainingConfig(steps=100), [Training(cross_entropy, 1.0)], seeds=[0])
        (result,) = train(cluster.executor, batch)
        if isinstance(result, Failure):
            raise ClusterError(f"a tiny training failed there: {result.reason}")
        return {
            "workers": [{"address": address, **about} for address, about in cluster.workers.items()],
            "accuracy": result.validation,
            "seconds": time.perf_counter() - started,
        }


@contextmanager
def _open(config: ClusterConfig, device: str, on_script: Callable[[str], None]) -> Iterator[Cluster]:
    try:
        from glo.execution.dask.cluster import open_cluster
    except ImportError as error:
        raise ConfigError(MORE_PACKAGES.format(error)) from None
    with open_cluster(config, device, on_script) as cluster:
        yield cluster
