"""What can be seen of a run from outside while another process writes to its store."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

GENERATIONS = "SELECT * FROM generations"


def rows(storage: Path, query: str) -> int:
    """How many rows a query finds; none while there is no such table."""
    if not storage.exists():
        return 0
    try:
        with closing(sqlite3.connect(storage)) as connection:
            return len(connection.execute(query).fetchall())
    except sqlite3.OperationalError:  # its tables are being made at this moment
        return 0
