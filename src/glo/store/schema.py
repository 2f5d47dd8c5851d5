"""The tables of a store."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = 5
metadata = MetaData()


def _seal() -> Column:
    """A digest of the other values of the row; see `glo.store.rows`."""
    return Column("seal", String(40), nullable=False)


info = Table("info", metadata, Column("key", String(40), primary_key=True), Column("value", String(80), nullable=False))

runs = Table(
    "runs",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("created", String(40), nullable=False),  # UTC, ISO 8601
    Column("config", Text, nullable=False),  # JSON
    Column("versions", Text, nullable=False),  # JSON
    _seal(),
)

generations = Table(
    "generations",
    metadata,
    Column("run", ForeignKey("runs.name"), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("phase", String(20), nullable=False),
    Column("asked", String(40), nullable=False),  # digest of the expressions that the search asked for
    Column("funnel", Text, nullable=False),  # JSON: the counts of each stage
    Column("seconds", Float, nullable=False),
    Column("outcomes", String(40), nullable=False),  # digest of the seals of its outcomes
    _seal(),
)


def _outcome_columns() -> list[Column]:
    return [
        Column("expression", Text, nullable=False),
        Column("status", String(20), nullable=False),
        Column("stage", String(20), nullable=False),
        Column("reason", Text, nullable=False),
        Column("fitness", Float, nullable=False),
        Column("learning_rate", Float),
        Column("reports", Text, nullable=False),  # JSON
        _seal(),
    ]


outcomes = Table(
    "outcomes",
    metadata,
    Column("run", ForeignKey("runs.name"), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("fingerprint", String(40), nullable=False),
    *_outcome_columns(),
)

# One outcome for each context and fingerprint, shared by all studies.  A context is a digest of all that an outcome depends
# on besides the loss.
fitness_cache = Table(
    "fitness_cache",
    metadata,
    Column("context", String(80), primary_key=True),
    Column("fingerprint", String(40), primary_key=True),
    *_outcome_columns(),
)

# Results of single trainings of experiments; a key is a digest of all that the result depends on.
trainings = Table(
    "trainings",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("result", Text, nullable=False),  # JSON
    _seal(),
)

# How the candidates of a generation were made, as JSON by expression.  A store that an earlier version has written has none.
origins = Table(
    "origins",
    metadata,
    Column("run", ForeignKey("runs.name"), primary_key=True),
    Column("generation", Integer, primary_key=True),
    Column("content", Text, nullable=False),
    _seal(),
)

# The last judgement of each study: whether its loss is better than the known ones.  A store that an earlier version of glo
# has written gets this table with its first judgement.
judgements = Table(
    "judgements",
    metadata,
    Column("run", ForeignKey("runs.name"), primary_key=True),
    Column("created", String(40), nullable=False),  # UTC, ISO 8601
    Column("content", Text, nullable=False),  # JSON
    _seal(),
)
