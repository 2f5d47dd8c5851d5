"""The exceptions of glo, in one tree.

A failed *candidate* is never an exception: it is an `Outcome` with a `Status`.  An exception reports misuse, such as a bad
expression or option, or a broken environment, such as a damaged store or a lost cluster.  Its message says what was wrong,
where, and what to do about it.
"""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import PurePath

STDLIB = sysconfig.get_path("stdlib")
# What the user's code may raise: sys.exit() is an error of that code; Ctrl-C is not.
RAISED = (Exception, SystemExit)


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


class UserCodeError(TaskError):
    """A model, metric or other function of the user's raised an exception, which is the cause of this one.

    Attributes:
        trace: the traceback of that exception, as text.
    """

    trace = ""

    @classmethod
    def of(cls, error: BaseException, what: str) -> UserCodeError:
        """The error for an exception; `what` says what fails, e.g. "task 'mine': the metric fails"."""
        found = cls(f"{what}: {described(error)}")
        found.trace = "".join(traceback.format_exception(error))
        return found


def visible(text: str) -> str:
    """The text in one line: each character that a terminal would obey or hide is written as its escape sequence.

    A name with a line break could forge a message, and one with an escape sequence could change what was printed before.
    """
    return text if text.isprintable() else "".join(map(_visible, text))


def _visible(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


def described(error: BaseException) -> str:
    """An exception in one line: its type, the first line of its message, and the last line of the user's code it was in."""
    lines = str(error).strip().splitlines()
    name = type(error).__name__
    return (f"{name}: {lines[0]}" if lines else name) + place_of(error)


def place_of(error: BaseException) -> str:
    """The last frame that belongs neither to glo nor to an installed package, as " (in metric, mytask.py:12)"."""
    place = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        path = PurePath(frame.f_code.co_filename)
        installed = {"site-packages", "dist-packages"} & set(path.parts) or path.is_relative_to(STDLIB)
        if not installed and frame.f_globals.get("__name__", "").partition(".")[0] != "glo":
            place = f" (in {frame.f_code.co_name}, {path.name}:{number})"
    return place


class TimeLimitError(TaskError):
    """The code of a task has not ended in time."""


class ModelError(TaskError):
    """A model cannot be trained as part of a population; the message names the module that is not supported."""


class ClusterError(GloError):
    """A cluster cannot be reached, is lost, or runs other versions than the driver."""


class StoreError(GloError):
    """A store cannot be opened, is damaged, read-only or full, or was written by another version."""


class MissingStoreError(StoreError):
    """There is no store at this place yet."""


class LostStoreError(StoreError):
    """The file of a store was deleted, replaced or emptied while it was open.

    Attributes:
        result: the `StudyResult` of the study that ran, whose generations are saved elsewhere then.
    """

    result: object = None


class StudyError(StoreError):
    """A study is unknown, already exists, is in use by another process, or cannot be recorded."""


class ReplayError(StudyError):
    """A recorded study does not match this configuration or this code; the message names the difference."""
