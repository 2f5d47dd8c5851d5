"""Every error that glo raises for misuse, in one tree.

A failed *candidate* is never an exception: it is an `Outcome` with a `Status`.  What is raised here is misuse: a bad
expression, option, file or store.  Each message says what was wrong, where, and what to do about it.
"""

from __future__ import annotations


class GloError(Exception):
    """Root of all errors raised by glo.  The command line turns it into one line and exit code 2."""


class ExpressionError(GloError, ValueError):
    """A text is not an expression of the language, or an expression is too large."""


class ConfigError(GloError, ValueError):
    """An option, preset or configuration file is not valid."""


class TaskError(GloError, ValueError):
    """A task is unknown, malformed, or its model and data do not fit together."""


class DataError(TaskError):
    """A data file is missing, truncated or altered."""


class ModelError(TaskError):
    """A model cannot be trained as part of a population; the message names the module."""


class ClusterError(GloError):
    """A cluster cannot be reached, is lost, or does not run what the driver runs."""


class StoreError(GloError):
    """The store is corrupt, read-only, full or of another version."""


class RunError(StoreError):
    """A run is unknown, already exists, or is in use by another process."""


class ReplayError(RunError):
    """A recorded run does not match this configuration or this code; the message names the difference."""
