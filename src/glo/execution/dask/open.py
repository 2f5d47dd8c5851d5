"""The way in; dask is imported when a cluster is opened, and not before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from glo.catalog import cross_entropy
from glo.errors import ClusterError, ConfigError
from glo.execution import MakeTrainer
from glo.execution.dask.config import MORE_PACKAGES, ClusterConfig, JobsConfig, LocalConfig
from glo.records import TrainingConfig
from glo.tasks import load_task
from glo.training import Training

if TYPE_CHECKING:
    from glo.execution.dask.cluster import Cluster


@contextmanager
def cluster_trainers(config: ClusterConfig, device: str = "auto") -> Iterator[MakeTrainer]:
    """What makes trainers on a cluster, which is open for as long as the context lasts; see `open_cluster`."""
    with _open(config, device, lambda script: None) as cluster:
        yield cluster


def check_cluster(
    config: ClusterConfig, device: str = "auto", on_script: Callable[[str], None] = lambda script: None
) -> dict[str, Any]:
    """Start one worker, train a tiny network there, and say what came of it, as JSON-like data.

    Args:
        on_script: told the script of the jobs, where there are jobs.

    Raises:
        ClusterError: if it does not work; the message says what to do.
    """
    one = {LocalConfig: {"workers": 1}, JobsConfig: {"min_jobs": 1, "max_jobs": 1}}
    few = next((update for kind, update in one.items() if isinstance(config, kind)), {})
    with _open(config.model_copy(update=few), device, on_script) as cluster:
        started = time.perf_counter()
        trainer = cluster(load_task("digits"), TrainingConfig(steps=100))
        (result,) = trainer.train([Training(cross_entropy, 1.0)], seed=0)
        if isinstance(result, str):
            raise ClusterError(f"a tiny training failed there: {result}")
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
