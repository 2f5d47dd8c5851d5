"""Dask's servers without their web pages, which would answer every user of the machine without authentication."""

from __future__ import annotations

import os
import sys
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

    async def start_unsafe(self) -> Any:
        """Start it.  If the scheduler has gone in the meantime, as after Ctrl-C, there is one line and no traceback."""
        try:
            return await super().start_unsafe()
        except OSError as error:
            sys.stderr.write(f"a worker cannot reach its scheduler: {error}\n")
            sys.stderr.flush()
            os._exit(1)  # it has no child yet, and asyncio would print where it was
