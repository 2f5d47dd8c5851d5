"""The private PostgreSQL works with SQLAlchemy and psycopg 3."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from cluster.services.postgresql import Postgresql


def test_rows_that_one_connection_commits_are_visible_in_another(postgresql: Postgresql) -> None:
    engine = sa.create_engine(postgresql.new_database(), poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE losses (expression text)"))
        connection.execute(sa.text("INSERT INTO losses VALUES ('x*log(y)')"))
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT expression FROM losses")).scalars().all() == ["x*log(y)"]


def test_each_new_database_is_empty(postgresql: Postgresql) -> None:
    for _ in range(2):
        engine = sa.create_engine(postgresql.new_database(), poolclass=sa.NullPool)
        assert sa.inspect(engine).get_table_names() == []
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE TABLE losses (expression text)"))


def test_a_wrong_password_is_refused(postgresql: Postgresql) -> None:
    url = sa.make_url(postgresql.url("postgres")).set(password=postgresql.password[::-1])
    with pytest.raises(OperationalError, match="password authentication failed"):
        sa.create_engine(url).connect()
