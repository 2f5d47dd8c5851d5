"""Who may read the pages: requests by a known name of this server, and beyond this machine with a token."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Sequence
from urllib.parse import urlencode

from starlette.datastructures import URL, Headers, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "glo-token"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether an address to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def known_hosts(host: str, further: Sequence[str] = ()) -> list[str]:
    """The names in a request's Host header that are answered.

    Another name means that a page of another site has led the browser here (DNS rebinding).

    Args:
        host: address that the server listens on.
        further: names under which a proxy or a browser knows it.
    """
    own = () if is_loopback(host) else (socket.gethostname(), socket.getfqdn())
    return list(dict.fromkeys([*LOOPBACK, f"[{host}]" if ":" in host else host, *own, *further]))


class Guard:
    """Lets those in who have the token: once in the address (`?token=...`), then in a cookie.

    Args:
        app: to guard.
        token: empty if nobody needs one.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._token:
            await self._app(scope, receive, send)
            return
        if self._fits(cookie_parser(Headers(scope=scope).get("cookie", "")).get(COOKIE, "")):
            await self._app(scope, receive, send)
        elif self._fits(QueryParams(scope["query_string"]).get("token", "")):
            await self._remembered(scope)(scope, receive, send)
        else:
            refused = "This dashboard needs its token: open the address that glo dashboard has printed."
            await PlainTextResponse(refused, status_code=403)(scope, receive, send)

    def _fits(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())

    def _remembered(self, scope: Scope) -> RedirectResponse:
        """To the same page without the token, which would stay in the browser's history."""
        query = [(key, value) for key, value in QueryParams(scope["query_string"]).multi_items() if key != "token"]
        address = URL(scope["path"]).replace(query=urlencode(query))
        response = RedirectResponse(str(address), status_code=303)
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        return response
