"""`glo`: collect the commands, and turn misuse into one line and exit code 2."""

from __future__ import annotations

import sys

import typer

from glo.cli import (
    cluster,
    compare,
    dashboard,
    demo,
    enumeration,
    evaluate,
    experiment,
    export,
    importing,
    report,
    resume,
    runs,
    search,
    shelf,
    show,
    tasks,
    tune,
)
from glo.cli.arguments import ExpressionCommand
from glo.cli.signals import was_interrupted
from glo.cli.streams import check_streams, output_reserved, refuse, refuse_file_error
from glo.errors import GloError, TaskError, UserCodeError

app = typer.Typer(
    name="glo",
    help="Discover a loss function for your own task (Genetic Loss-function Optimization).",
    epilog="Start with: glo demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
)
for command in (
    demo.demo,
    search.search,
    tune.tune,
    enumeration.enumerate_,
    compare.compare,
    resume.resume,
    runs.runs,
    report.report,
    dashboard.dashboard,
    shelf.shelf,
    show.show,
    evaluate.evaluate,
    export.export,
    importing.import_,
    tasks.tasks,
):
    cls = ExpressionCommand if "expr" in command.__annotations__ else None
    app.command(command.__name__.rstrip("_"), cls=cls)(command)
app.add_typer(cluster.app, name="cluster")
app.add_typer(experiment.app, name="experiment")


def _version(value: bool) -> None:
    if value:
        from glo.version import __version__

        typer.echo(f"glo {__version__}")
        raise typer.Exit


@app.callback()
def _glo(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Discover a loss function for your own task (Genetic Loss-function Optimization)."""


def main() -> None:
    """Entry point: exit code 0, 1 for what has failed, 2 for misuse, 130 after Ctrl-C."""
    check_streams()
    try:
        with output_reserved("--json" in sys.argv):
            app()
    except GloError as error:
        if isinstance(error, TaskError) and was_interrupted():
            raise KeyboardInterrupt from error
        if isinstance(error, UserCodeError):
            sys.stderr.write(error.trace)  # the user's own error is found by its traceback
        refuse(str(error))
    except OSError as error:
        refuse_file_error(error)
        raise
