"""`glo runs`: the studies of a store."""

from __future__ import annotations

from typing import Annotated

import typer

from glo.cli import options
from glo.cli.output import print_table
from glo.cli.streams import print_json


def runs(
    name: Annotated[str | None, typer.Argument(help="One study, with its history.")] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    json: options.Json = False,
) -> None:
    """List the studies of a store; with a NAME, show that study's history.

    The history of a study is the same to the byte whenever it is repeated from the same seed.
    """
    from contextlib import closing

    from glo.errors import visible
    from glo.store import Store, without_password
    from glo.study import recorded_result, study_states

    with closing(Store(storage, create=False)) as store:
        result = recorded_result(store, name) if name is not None else None
        states = study_states(store) if name is None else []
    if result is not None:
        if json:
            print_json({**result.summary(), "history": result.history_rows()})
        else:
            for line in result.history_lines():
                typer.echo("\t".join(visible(cell) for cell in line.split("\t")))
        return
    if json:
        print_json(states)
        return
    from rich.table import Table

    table = Table(title=f"Studies in {without_password(storage)}")
    for column in ("name", "task", "preset", "seed", "generations", "best fitness", "expression", "created"):
        table.add_column(column)
    for state in states:
        done = f"{state['generations']}/{state['planned']}" if state["planned"] else str(state["generations"])
        fitness = "" if state["fitness"] is None else f"{state['fitness']:.4f}"
        table.add_row(
            state["name"],
            state["task"],
            state["preset"],
            str(state["seed"]),
            done,
            fitness,
            state["expression"] or "",
            state["created"],
        )
    print_table(table)
