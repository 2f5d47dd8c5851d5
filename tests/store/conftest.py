"""One PostgreSQL server for all tests of the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from store.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A private server, or a skip where PostgreSQL is not installed."""
    with postgres_server() as server:
        yield server
