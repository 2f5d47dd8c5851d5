"""`glo dashboard`: the studies of a store as live pages."""

from __future__ import annotations

from typing import Annotated

import typer

from glo.cli import options
from glo.cli.streams import say


def dashboard(
    storage: options.Storage = options.DEFAULT_STORAGE,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for other machines, with a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any that is free.")] = 8080,
    token: Annotated[
        str | None, typer.Option(help="What a reader needs; by default a random one for other machines, none for this one.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name of this server, such as that of a proxy; may be repeated.")
    ] = None,
) -> None:
    """Show the studies of a store in a browser, live while they run.  It reads the store and never writes.

    It can start before the search, and survives its end.  Stop it with Ctrl-C.
    """
    import secrets

    from glo.errors import ConfigError

    try:
        from glo.dashboard import Address, is_loopback, serve
    except ImportError as error:
        raise ConfigError(f"the dashboard needs {error.name}: pip install 'glo-torch[dashboard]'") from error
    chosen = token if token is not None else "" if is_loopback(host) else secrets.token_urlsafe(24)
    address = Address(host, port, chosen, tuple(allow_host or ()))
    serve(storage, address, lambda url: say(f"The dashboard is at {url} (Ctrl-C stops it)"))
