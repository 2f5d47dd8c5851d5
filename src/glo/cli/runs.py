"""`glo runs`: the studies of a store; list, watch, rename and delete them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from glo.cli import options
from glo.cli.launch import refuse_given
from glo.cli.output import command_line, plain_console, print_table, table_width
from glo.cli.streams import print_json, say

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from glo.store import Store

WATCH_SECONDS = 2.0
WIDE = 110  # columns from which on all is shown
States = list[dict[str, Any]]


class StateName(StrEnum):
    """The states of a study, named here so that --help needs no other import."""

    running = "running"
    stopped = "stopped"
    finished = "finished"


class Order(StrEnum):
    """By what studies are sorted."""

    CREATED = "created"
    NAME = "name"
    TASK = "task"
    STATE = "state"
    GENERATIONS = "generations"
    FITNESS = "fitness"


def runs(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME | delete NAME | rename OLD NEW", help="One study, with its history; or what to do with it."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only studies of this task.")] = None,
    state: Annotated[StateName | None, typer.Option(help="Only studies in this state.")] = None,
    sort: Annotated[Order | None, typer.Option(help="By default created: the newest last.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show them again every two seconds, until Ctrl-C.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With delete and rename: do not ask.")] = False,
    storage: options.Storage = options.DEFAULT_STORAGE,
    json: options.Json = False,
) -> None:
    """List the studies of a store; with a NAME, show that study's history.

    A study is running while a process works on it, stopped if glo resume can go on with it, and finished if its phases have
    ended.  The history of a study is the same to the byte whenever it is repeated from the same seed.
    """
    from glo.errors import ConfigError
    from glo.store import Store

    listing = {"task": task, "state": state, "sort": sort, "watch": watch or None}
    if words:
        refuse_given("with a NAME", **listing)
    if yes and len(words or []) < 2:
        refuse_given("without delete or rename", yes=yes)
    with closing(Store(storage, create=False)) as store:
        match words or []:
            case []:
                _list(store, storage, task, state, sort or Order.CREATED, watch, json)
            case [name]:
                _history(store, name, json)
            case ["delete", name]:
                _delete(store, storage, name, yes, json)
            case ["rename", old, new]:
                _rename(store, storage, old, new, yes, json)
            case _:
                raise ConfigError("give nothing, NAME, delete NAME, or rename OLD NEW")


def _list(
    store: Store, storage: str, task: str | None, state: StateName | None, sort: Order, watch: bool, json: bool
) -> None:
    from glo.errors import ConfigError
    from glo.study import study_states

    def read() -> States:
        chosen = [s for s in study_states(store) if task in (None, s["task"]) and state in (None, s["state"])]
        return sorted_states(chosen, sort)

    if watch:
        if json or not sys.stdout.isatty():
            raise ConfigError("--watch needs a terminal: for a program, call glo runs --json again and again")
        watch_studies(lambda: _table(read(), storage), plain_console(), lambda: time.sleep(WATCH_SECONDS))
        return
    states = read()
    if json:
        print_json(states)
        return
    print_table(_table(states, storage))
    if states:
        say(_next(states[-1], None if storage == options.DEFAULT_STORAGE else storage))


def sorted_states(states: States, by: Order) -> States:
    """The studies, sorted; of equal ones the oldest first, those with the best fitness or most generations last."""
    if by is Order.FITNESS:
        return sorted(states, key=lambda s: (s["fitness"] is not None, s["fitness"] or 0.0))
    return sorted(states, key=lambda s: s[by.value])


def watch_studies(draw: Callable[[], RenderableType], console: Console, wait: Callable[[], None]) -> None:
    """Draw the studies again and again in the same place, until Ctrl-C, which is how this ends."""
    from rich.live import Live

    with Live(draw(), console=console, auto_refresh=False) as live:
        try:
            while True:
                live.refresh()
                wait()
                live.update(draw())
        except KeyboardInterrupt:
            return


def _table(states: States, storage: str) -> Table:
    """The studies; on a narrow terminal without what the name says already."""
    from rich.table import Table

    from glo.store import without_password

    wide = table_width() >= WIDE
    table = Table(title=f"Studies in {without_password(storage)}")
    more = ["preset", "seed", "created"] if wide else []
    for column in (
        "name",
        *(["task"] if wide else []),
        "state",
        "generations" if wide else "gen.",
        "fitness",
        "expression",
        *more,
    ):
        table.add_column(column, overflow="fold")
    for state in states:
        # A search that went on after its confirmation has more than are planned.
        done, planned = state["generations"], state["planned"]
        done = f"{done}/{planned}" if planned and done <= planned else str(done)
        fitness = "" if state["fitness"] is None else f"{state['fitness']:.4f}"
        row = [state["name"], *[state["task"]] * wide, state["state"], done, fitness, state["expression"] or ""]
        table.add_row(*row, *(str(state[column]) for column in more))
    return table


def _next(state: dict[str, Any], storage: str | None) -> str:
    """What to do next with a study."""
    from glo.store import without_password

    where = None if storage is None else without_password(storage)
    if state["state"] == StateName.running:
        return f"To follow them: {command_line('glo runs', storage=where, watch=True)}"
    if state["state"] == StateName.stopped:
        return f"To go on: {command_line('glo resume', state['name'], storage=where)}"
    return f"To look at one: {command_line('glo report', state['name'], storage=where)}"


def _history(store: Store, name: str, json: bool) -> None:
    from glo.errors import visible
    from glo.study import recorded_result

    result = recorded_result(store, name)
    if json:
        print_json({**result.summary(), "history": result.history_rows()})
        return
    for line in result.history_lines():
        typer.echo("\t".join(visible(cell) for cell in line.split("\t")))


def _delete(store: Store, storage: str, name: str, yes: bool, json: bool) -> None:
    from glo.store import without_password

    where, count = without_password(storage), store.study(name).generations
    given = None if storage == options.DEFAULT_STORAGE else where
    copy = command_line("glo export", study=name, storage=given, format="study", output=f"{name}.jsonl")
    _ask(f"Delete study '{name}' ({count} generations) from {where} for ever?  A copy: {copy}", yes)
    store.delete(name)
    if json:
        print_json({"deleted": name, "generations": count})
    else:
        say(f"Deleted study '{name}' from {where}.  What its trainings have shown stays in the cache.")


def _rename(store: Store, storage: str, old: str, new: str, yes: bool, json: bool) -> None:
    from glo.store import without_password

    store.study(old)
    _ask(f"Rename study '{old}' in {without_password(storage)} to '{new}'?", yes)
    store.rename(old, new)
    if json:
        print_json({"renamed": old, "name": new})
    else:
        say(f"Study '{old}' is now '{new}'.")


def _ask(question: str, yes: bool) -> None:
    """Go on only if the answer is yes.

    Raises:
        ConfigError: if there is nobody to ask.
    """
    from glo.errors import ConfigError, visible

    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError("this asks before it changes the store, and there is no terminal: add --yes")
    if not typer.confirm(visible(question), err=True):
        say("Nothing was changed.", err=True)
        raise typer.Exit(1)
