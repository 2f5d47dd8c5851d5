"""Training on a cluster by dask.  Only this package knows dask, and only when a cluster is opened."""

from glo.execution.dask.certificates import write_certificates
from glo.execution.dask.config import ClusterConfig, read_cluster
from glo.execution.dask.open import check_cluster, cluster_trainers

__all__ = ["ClusterConfig", "check_cluster", "cluster_trainers", "read_cluster", "write_certificates"]
