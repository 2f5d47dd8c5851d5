"""The command line: one file for each command.  Whatever is slow to import is imported inside the commands."""

from glo.cli.app import main

__all__ = ["main"]
