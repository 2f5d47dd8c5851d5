"""What commands print: JSON for machines on stdout; tables, progress and hints for people."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from glo.run import Discovery
    from glo.run.loop import OnGeneration
    from glo.store import GenerationRecord


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


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

    def show(self, phase: str, done: int, total: int, note: str = "") -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total)
        self._bars.update(self._tasks[phase], completed=done, description=f"{phase} {note}")


def command_line(command: str, *words: object, **options: object) -> str:
    """A command to type, quoted where needed; options that are None are left out."""
    given = [part for name, value in options.items() if value is not None for part in (f"--{name.replace('_', '-')}", value)]
    return f"{command} {shlex.join(map(str, (*words, *given)))}"


@contextmanager
def resumable(hint: str) -> Iterator[None]:
    """Ctrl-C ends cleanly: whole generations are kept, and the way to go on is said."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nInterrupted; finished generations are kept. Go on with: {hint}", err=True)
        raise typer.Exit(130) from None


def show_generations(progress: Progress, total: int | None = None) -> OnGeneration:
    """A callback that shows how a search goes."""
    best = 0.0

    def on_generation(record: GenerationRecord, replayed: bool) -> None:
        nonlocal best
        best = max(best, *(outcome.fitness for outcome in record.outcomes))
        progress.show("generations", record.generation + 1, total or record.generation + 1, f"best {best:.4f}")

    return on_generation


def print_discovery(discovery: Discovery, storage: str, as_json: bool) -> None:
    """The result of a search."""
    if as_json:
        print_json({**discovery.summary(), "storage": storage})
        return
    from glo.report import funnel_counts_table

    summary = discovery.summary()
    print_table(funnel_counts_table(summary["funnel"]))
    if summary["expression"] is None:
        typer.echo("No candidate could be trained: search longer, or with other options.")
        return
    typer.echo(f"best loss      minus the sum over classes of {summary['expression']}")
    typer.echo(
        f"fitness        {summary['fitness']:.4f} on validation, one seed, learning rate {summary['learning_rate']:g}"
    )
    typer.echo(f"run            {summary['name']} in {storage}, {summary['generations']} generations")
    typer.echo("The best of many is flattered by chance: it is to be compared on fresh seeds before it is believed.")


def read_task_options(texts: list[str] | None) -> dict[str, Any]:
    from glo.run.config import read_settings

    return read_settings(texts or [])
