"""Training on a cluster by dask.  Only this package imports dask, and only when a cluster is opened."""

from glo.execution.dask.certificates import write_certificates
from glo.execution.dask.config import ClusterConfig, read_cluster
from glo.execution.dask.open import check_cluster, cluster_executor

__all__ = ["ClusterConfig", "check_cluster", "cluster_executor", "read_cluster", "write_certificates"]
