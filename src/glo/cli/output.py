"""The output of the commands: JSON for machines on stdout; tables, progress and hints for people."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import typer

from glo.cli.options import DEFAULT_STORAGE
from glo.cli.streams import print_json, say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from glo.cli.judging import Judging
    from glo.progress import Progress
    from glo.study import StudyResult

ATLAS_ROWS = 20  # shown of an enumeration


@contextmanager
def folder_for_output(path: Path) -> Iterator[None]:
    """A folder to write to.  If the command is refused, a folder made for it is removed again, unless it has files.

    Raises:
        ConfigError: if it cannot be made or written to, before anything is trained.
    """
    from glo.errors import ConfigError, GloError

    try:
        existed = path.exists()
        path.mkdir(parents=True, exist_ok=True)
        check_writable(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): choose another --out") from None
    try:
        yield
    except GloError:
        if not existed and not any(path.iterdir()):
            path.rmdir()
        raise


def check_writable(folder: Path) -> None:
    """Check that a folder takes a file: one that is there already may be read-only.

    Raises:
        OSError: if it does not.
    """
    with TemporaryFile(dir=folder):
        pass


def check_output(file: Path) -> None:
    """Check before a long command that its output can be written.

    Raises:
        ConfigError: if it cannot.
    """
    from glo.errors import ConfigError

    try:
        if file.is_dir():
            raise IsADirectoryError(EISDIR, "it is a folder")
        check_writable(file.parent)  # the file itself is replaced only when its new content is complete
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None


def table_width() -> int:
    """The width of tables: that of $COLUMNS, else of the terminal; without both, wide enough for any table."""
    return shutil.get_terminal_size((140, 24)).columns


def print_table(table: RenderableType) -> None:
    """Print a table, `table_width` wide."""
    plain_console().print(table)


def plain_console() -> Console:
    """A console for tables.

    Their texts may come from a store: they are printed as they are, without the markup of rich and without escape sequences.
    """
    from rich.console import Console
    from rich.text import Text

    from glo.errors import visible

    class Plain(Console):
        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(visible(text), **options)

    return Plain(width=table_width(), markup=False, emoji=False)


def progress_of(quiet: bool) -> Progress:
    """The progress of a command: bars on a terminal, else lines on standard error; nothing if the user wants none."""
    from glo.progress import Bars, Lines, Progress, Silent

    if quiet:
        return Progress(Silent())
    return Progress(Bars() if sys.stderr.isatty() else Lines(_note))


def _note(line: str) -> None:
    with suppress(OSError):  # a log that is full or gone ends no search
        say(line, err=True)


def command_line(command: str, *words: object, **options: object) -> str:
    """A command to type, quoted where needed.

    Args:
        options: True is a flag; None and False are left out.
    """
    given = [*words]
    for name, value in options.items():
        if value is not None and value is not False:
            given += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return f"{command} {shlex.join(map(str, given))}"


@contextmanager
def resumable(hint: Callable[[], str | None]) -> Iterator[None]:
    """After Ctrl-C or the loss of a cluster, finished work is kept, and the message says how to go on.

    Args:
        hint: returns the command that goes on, or None if nothing is recorded yet; called when it is needed.
    """
    from glo.errors import ClusterError

    try:
        yield
    except ClusterError as error:
        command = hint()
        raise ClusterError(
            f"{error}; finished trainings are kept: go on with {command}" if command else str(error)
        ) from error
    except KeyboardInterrupt:
        typer.echo(err=True)
        command = hint()
        kept = f"finished generations are kept. Go on with: {command}" if command else "nothing was recorded yet."
        say(f"Interrupted; {kept}", err=True)
        raise


def read_numbers(text: str | None, what: str, example: str = "0.01,0.1") -> list[float] | None:
    """Numbers from a text such as "0.01,0.1".

    Raises:
        ConfigError: naming the option, if a part is not a number.
    """
    from glo.errors import ConfigError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{what} takes numbers separated by commas, e.g. {example}, not {text!r}") from None


def read_names(text: str | None) -> list[str]:
    """Names from a text such as "accuracy,ece"; none if it is not given."""
    return [] if text is None else [name.strip() for name in text.split(",")]


def print_result(result: StudyResult, storage: str, as_json: bool, judging: Judging | None = None) -> None:
    """The result of a study: the funnel, the outcome of its last phase, the best loss, and the verdict on it."""
    from glo.provenance import hardware
    from glo.records import PhaseKind
    from glo.report import atlas_rows, atlas_table, funnel_counts_table, tuning_table
    from glo.store import without_password

    summary = {**result.summary(), "hardware": hardware(), "storage": without_password(storage)}
    if judging is not None:
        summary |= judging.to_dict()
    atlas = atlas_rows(result.enumerated)
    if atlas:
        summary["atlas"] = atlas
    if as_json:
        print_json(summary)
        return
    print_table(funnel_counts_table(summary["funnel"], result.config.task.objective, found=summary["fitness"] is not None))
    if atlas:
        print_table(atlas_table(atlas, ATLAS_ROWS))
    if result.tuning:
        print_table(tuning_table(result.tuning))
    if summary["expression"] is None:
        say(f"No candidate could be trained: {result.why_nothing_trained}.")
        return
    say(f"best loss      minus the sum over classes of {summary['expression']}")
    seeds = "one seed" if result.seeds == 1 else f"mean of {result.seeds} seeds"
    rate = summary["learning_rate"]
    at = "" if rate is None else f", learning rate {rate:g}"
    say(f"fitness        {summary['fitness']:.4f} on validation, {seeds}{at}")
    say(f"study          {summary['name']} in {summary['storage']}, {summary['generations']} generations")
    if result.target_reached is False:
        say(f"The target of {result.config.genetic.target:g} was not reached.")
    where = None if storage == DEFAULT_STORAGE else summary["storage"]
    if judging is not None:
        judging.show(summary["name"], where)
    if judging is None or judging.judgement is None:
        if result.best.phase is not PhaseKind.CONFIRMATION:
            say("This fitness is the best of many, so chance flatters it.")
        say("To compare the loss with others on the test split:")
        say(command_line("glo compare", study=summary["name"], storage=where))


def read_task_options(texts: list[str] | None) -> dict[str, Any]:
    from glo.study.composing import read_settings

    return read_settings(texts or [])
