"""Dask's servers without their web pages, which would answer every user of the machine without authentication."""

from __future__ import annotations

from typing import Any

from distributed import Nanny, Scheduler, Worker

NANNY, WORKER = f"{__name__}.QuietNanny", f"{__name__}.QuietWorker"  # as dask's commands name them


class _NoPages:
    """A server that serves TLS connections of its peers, and no HTTP."""

    def start_http_server(self, *_: Any, **__: Any) -> None:
        """Start none."""


class QuietScheduler(_NoPages, Scheduler):
    """A scheduler without web pages."""


class QuietWorker(_NoPages, Worker):
    """A worker without web pages."""


class QuietNanny(Nanny):
    """The parent of a worker without web pages."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, worker_class=QuietWorker, **options)
