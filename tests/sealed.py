"""Change a store behind glo's back, with right seals: as a person would who wants to deceive it, or a fault in glo."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from glo.records import digest
from glo.store.rows import sealed


def execute(storage: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    """Execute a statement that changes something, and renew all seals of studies and their generations."""
    with closing(sqlite3.connect(storage)) as connection, connection:
        connection.row_factory = sqlite3.Row
        assert connection.execute(statement, values).rowcount > 0
        reseal(connection)


def reseal(connection: sqlite3.Connection) -> None:
    seals: dict[tuple[str, int], list[str]] = {}
    for row in _rows(connection, "outcomes", "ORDER BY run, generation, position"):
        seals.setdefault((row["run"], row["generation"]), []).append(row["seal"])
    for row in connection.execute("SELECT run, generation FROM generations").fetchall():
        outcomes = digest(seals.get((row["run"], row["generation"]), []))
        connection.execute(
            "UPDATE generations SET outcomes = ? WHERE run = ? AND generation = ?", (outcomes, row["run"], row["generation"])
        )
    _rows(connection, "generations")
    _rows(connection, "runs")


def _rows(connection: sqlite3.Connection, table: str, order: str = "") -> list[dict[str, Any]]:
    """The rows of a table, with new seals."""
    found: list[dict[str, Any]] = []
    for row in connection.execute(f"SELECT rowid, * FROM {table} {order}").fetchall():  # noqa: S608
        values = {key: row[key] for key in row.keys() if key not in ("rowid", "seal")}  # noqa: SIM118 - a row is no mapping
        renewed = sealed(values)
        connection.execute(f"UPDATE {table} SET seal = ? WHERE rowid = ?", (renewed["seal"], row["rowid"]))  # noqa: S608
        found.append(renewed)
    return found
