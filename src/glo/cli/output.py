"""What commands print: JSON for machines on stdout; tables, progress and hints for people."""

from __future__ import annotations

import json
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from glo.store import GenerationRecord
    from glo.study import Discovery
    from glo.study.loop import OnGeneration


SHOWN_OF_ATLAS = 20


def dump(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def print_json(value: Any) -> None:
    typer.echo(dump(value), nl=False)


@contextmanager
def folder_for_output(path: Path) -> Iterator[None]:
    """A folder to write to; one that was made for what is then refused is taken away again, unless something is in it.

    Raises:
        ConfigError: if it cannot be made.
    """
    from glo.errors import ConfigError, GloError

    existed = path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): choose another --out") from None
    try:
        yield
    except GloError:
        if not existed and not any(path.iterdir()):
            path.rmdir()
        raise


def print_table(table: RenderableType) -> None:
    """As wide as the terminal; where there is none, wide enough for any table."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 140).print(table)


class Progress:
    """Progress bars on standard error, and only on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bars

        self._bars = Bars(console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, phase: str, done: int, total: int | None, note: str = "") -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total)
        self._bars.update(self._tasks[phase], completed=done, description=f"{phase} {note}")


def command_line(command: str, *words: object, **options: object) -> str:
    """A command to type, quoted where needed.

    Args:
        options: True is a flag; what is None or False is left out.
    """
    given = [*words]
    for name, value in options.items():
        if value is not None and value is not False:
            given += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return f"{command} {shlex.join(map(str, given))}"


@contextmanager
def resumable(hint: str) -> Iterator[None]:
    """Ctrl-C and the loss of a cluster end cleanly: what has ended is kept, and the way to go on is said."""
    from glo.errors import ClusterError

    try:
        yield
    except ClusterError as error:
        raise ClusterError(f"{error}; what has ended is kept: go on with {hint}") from error
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted; finished generations are kept. Go on with: {hint}", err=True)
        raise typer.Exit(130) from None


def show_generations(progress: Progress) -> OnGeneration:
    """A callback that shows how a run goes, each phase by itself."""
    candidates: Counter[str] = Counter()
    best: dict[str, float] = {}

    def on_generation(record: GenerationRecord, replayed: bool) -> None:
        candidates[record.phase] += len(record.outcomes)
        best[record.phase] = max([best.get(record.phase, 0.0), *(outcome.fitness for outcome in record.outcomes)])
        done = candidates[record.phase]
        progress.show(record.phase.value, done, None, f"{done} candidates, best {best[record.phase]:.4f}")

    return on_generation


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


def print_discovery(discovery: Discovery, storage: str, as_json: bool) -> None:
    """The result of a run: the funnel, what its last phase came to, and the best loss."""
    from glo.report import atlas_rows, atlas_table, funnel_counts_table, tuning_table
    from glo.store import without_password

    summary = {**discovery.summary(), "storage": without_password(storage)}
    atlas = atlas_rows(discovery.enumerated)
    if atlas:
        summary["atlas"] = atlas
    if as_json:
        print_json(summary)
        return
    print_table(funnel_counts_table(summary["funnel"]))
    if atlas:
        print_table(atlas_table(atlas, SHOWN_OF_ATLAS))
    if discovery.tuning:
        print_table(tuning_table(discovery.tuning))
    if summary["expression"] is None:
        typer.echo("No candidate could be trained: search longer, or with other options.")
        return
    typer.echo(f"best loss      minus the sum over classes of {summary['expression']}")
    seeds = "one seed" if discovery.seeds == 1 else f"mean of {discovery.seeds} seeds"
    typer.echo(f"fitness        {summary['fitness']:.4f} on validation, {seeds}, learning rate {summary['learning_rate']:g}")
    typer.echo(f"run            {summary['name']} in {summary['storage']}, {summary['generations']} generations")
    typer.echo("The best of many is flattered by chance: glo compare says on fresh seeds whether it is better.")


def read_task_options(texts: list[str] | None) -> dict[str, Any]:
    from glo.study.config import read_settings

    return read_settings(texts or [])
