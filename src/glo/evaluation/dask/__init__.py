"""Training on a cluster by dask.  Only this package knows dask, and only when a cluster is opened."""

from glo.evaluation.dask.certificates import write_certificates
from glo.evaluation.dask.config import ClusterConfig, read_cluster

__all__ = ["ClusterConfig", "read_cluster", "write_certificates"]
