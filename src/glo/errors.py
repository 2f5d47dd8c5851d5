"""The exceptions of glo, in one tree.

A failed *candidate* is never an exception: it is an `Outcome` with a `Status`.  An exception reports misuse, such as a bad
expression or option, or a broken environment, such as a damaged store or a lost cluster.  Its message says what was wrong,
where, and what to do about it.
"""

from __future__ import annotations


class GloError(Exception):
    """Base of all exceptions of glo.  The command line prints its message in one line and exits with code 2."""


class ExpressionError(GloError, ValueError):
    """A text is not an expression of the language, or an expression is too large."""


class ConfigError(GloError, ValueError):
    """An option, preset or configuration file is not valid."""


class TaskError(GloError, ValueError):
    """A task is unknown, malformed, or its model and data do not fit together."""


class DataError(TaskError):
    """A data file is missing, truncated or altered, or cannot be downloaded."""


class ModelError(TaskError):
    """A model cannot be trained as part of a population; the message names the module that is not supported."""


class ClusterError(GloError):
    """A cluster cannot be reached, is lost, or runs other versions than the driver."""


class StoreError(GloError):
    """A store cannot be opened, is damaged, read-only or full, or was written by another version."""


class MissingStoreError(StoreError):
    """There is no store at this place yet."""


class StudyError(StoreError):
    """A study is unknown, already exists, is in use by another process, or cannot be recorded."""


class ReplayError(StudyError):
    """A recorded study does not match this configuration or this code; the message names the difference."""
