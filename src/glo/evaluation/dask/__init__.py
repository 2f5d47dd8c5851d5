"""Training on a cluster by dask.  Only this package knows dask, and only when a cluster is opened."""

from glo.evaluation.dask.certificates import write_certificates
from glo.evaluation.dask.config import ClusterConfig, read_cluster
from glo.evaluation.dask.open import check_cluster, cluster_trainers

__all__ = ["ClusterConfig", "check_cluster", "cluster_trainers", "read_cluster", "write_certificates"]
