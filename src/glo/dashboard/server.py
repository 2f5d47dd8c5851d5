"""The web server of the dashboard: addresses, and what may go over them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from glo.dashboard.guard import Guard, is_loopback, known_hosts
from glo.dashboard.pages import Page, Pages
from glo.dashboard.watch import Watch
from glo.errors import ConfigError

HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Address:
    """Where the dashboard listens.

    Attributes:
        host: address; beyond this machine it needs a token.
        port: 0 for any that is free.
        token: that a reader needs; empty for none.
        allowed_hosts: further names in a request's Host header that are answered.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    token: str = ""
    allowed_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.token and not is_loopback(self.host):
            raise ConfigError(f"the dashboard needs a token to be read from other machines (host {self.host})")

    def url(self, port: int) -> str:
        """The address to open in a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        shown = {"0.0.0.0": socket.gethostname(), "[::]": socket.gethostname()}.get(host, host)  # noqa: S104
        return f"http://{shown}:{port}/{f'?token={self.token}' if self.token else ''}"


def _application(watch: Watch, address: Address) -> Starlette:
    """The dashboard as an ASGI application."""
    pages = Pages(watch)
    hosts = known_hosts(address.host, address.allowed_hosts)

    async def shown(make: Callable[[], Page]) -> Response:
        status, html = await run_in_threadpool(make)
        return HTMLResponse(html, status, HEADERS)

    async def index(request: Request) -> Response:
        return await shown(pages.index)

    async def study(request: Request) -> Response:
        return await shown(lambda: pages.study(request.path_params["name"]))

    async def compare(request: Request) -> Response:
        names = list(dict.fromkeys(request.query_params.getlist("study")))
        if len(names) < 2:
            return RedirectResponse("/", 303)
        return await shown(lambda: pages.compared(names))

    async def events(request: Request) -> Response:
        names = request.query_params.getlist("study")
        return StreamingResponse(watch.events(names), media_type="text/event-stream", headers=HEADERS)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(watch.run())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        watch.close()

    return Starlette(
        routes=[
            Route("/", index),
            Route("/studies/{name}", study),
            Route("/compare", compare),
            Route("/events", events),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False),
            Middleware(Guard, token=address.token),
            Middleware(GZipMiddleware),
        ],
        lifespan=lifespan,
    )


class _Server(uvicorn.Server):
    """Ends the streams of events before it shuts down: it would wait for them."""

    def __init__(self, config: uvicorn.Config, watch: Watch) -> None:
        super().__init__(config)
        self._watch = watch

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._watch.end()
        await super().shutdown(sockets)


def serve(storage: str | Path, address: Address, on_start: Callable[[str], None]) -> None:
    """Serve the dashboard until the process is interrupted.

    Args:
        storage: of the studies; it is only read, and need not exist yet.
        address: where to listen.
        on_start: is called with the address to open in a browser.

    Raises:
        ConfigError: if nothing can listen there.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((address.host, address.port))
            listening.listen()
        except OSError as error:
            where = f"{address.host}, port {address.port}"
            raise ConfigError(f"the dashboard cannot listen on {where} ({error.strerror}): choose another --port") from error
        watch = Watch(storage)
        config = uvicorn.Config(
            _application(watch, address), log_level="warning", timeout_graceful_shutdown=1, server_header=False
        )
        on_start(address.url(listening.getsockname()[1]))
        _Server(config, watch).run([listening])
