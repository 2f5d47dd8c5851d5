"""Where networks are trained: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from glo.execution import MakeTrainer, Trainer
from glo.execution.dask import ClusterConfig, cluster_trainers, read_cluster
from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training import choose_device

# None for this machine; a cluster by text, file or configuration, to be opened; or what makes trainers already.
Where = str | ClusterConfig | MakeTrainer | None


@dataclass(frozen=True)
class Here:
    """Makes trainers for this machine, which is for one of them at a time."""

    device: str = "cpu"

    @property
    def abreast(self) -> bool:
        return False

    def __call__(self, task: Task, config: TrainingConfig, /) -> Trainer:
        return Trainer(task, config, self.device)


@contextmanager
def trainers(where: Where = None, device: str = "auto") -> Iterator[MakeTrainer]:
    """What makes trainers, for as long as the context lasts.

    Args:
        where: None for this machine; a cluster such as "local:2" or "cluster.toml"; or what another `trainers` gave, so
            that several runs share one cluster.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises:
        ConfigError: for a cluster or device that there is not.
        ClusterError: if the cluster cannot be opened.
    """
    if where is None:
        yield Here(str(choose_device(device)))
    elif isinstance(where, (str, ClusterConfig)):
        with cluster_trainers(read_cluster(where), device) as make_trainer:
            yield make_trainer
    else:
        yield where
