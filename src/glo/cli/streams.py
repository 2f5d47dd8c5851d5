"""Standard output and error that are closed, full, or of another encoding."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer

from glo.errors import visible

_output: TextIO | None = None  # standard output, if it is reserved
UNWRITABLE = (errno.EBADF, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC)


def check_streams() -> None:
    """Refuse to run without a standard output; with another encoding, print what it lacks as an escape sequence."""
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - it stays open to the end
    if sys.stdout is None:
        refuse("standard output is closed: send it to a file or to /dev/null")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_OneLine())


class _OneLine(logging.Formatter):
    """Formats a warning like everything else that is printed."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def say(text: str, err: bool = False) -> None:
    """Print a line.  The text may come from a store or a file: nothing in it is obeyed by the terminal."""
    typer.echo(visible(text), err=err)


@contextmanager
def output_reserved(reserved: bool) -> Iterator[None]:
    """Reserve standard output for `print_json`: what the code of a task prints goes to standard error instead.

    Args:
        reserved: whether to do so.
    """
    global _output
    real = _output = sys.stdout
    if reserved:
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout, _output = real, None
        if reserved:
            _discard_if_broken(real)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    typer.echo(dump(value), nl=False, file=_output)


def dump(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def refuse(message: str) -> NoReturn:
    """Print a message on standard error, as well as that goes, and exit with code 2."""
    try:
        say(f"Error: {message}", err=True)
    except OSError:
        _discard_if_broken(sys.stderr)
    sys.exit(2)


def refuse_file_error(error: OSError) -> None:
    """Exit with code 2 and the reason, if the error is of a named file or of output that cannot be written; else return."""
    if error.filename is not None:
        refuse(f"{os.fsdecode(error.filename)}: {error.strerror}")
    if error.errno in UNWRITABLE:
        _discard_if_broken(sys.stdout)
        refuse(f"the output cannot be written: {error.strerror}")


def _discard_if_broken(stream: TextIO) -> None:
    """Discard what a stream still has to write, since Python would complain of it once more at its end."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError, ValueError):  # a stream that is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
