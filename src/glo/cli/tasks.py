"""`glo tasks`: the built-in tasks."""

from __future__ import annotations

from glo.cli import options
from glo.cli.output import print_table
from glo.cli.streams import print_json, say


def tasks(json: options.Json = False) -> None:
    """List the built-in tasks and their options.

    A task of your own is a `glo.Task`.  Give it to any command as module:attribute.
    """
    from glo.tasks import describe_task, task_names

    described = {name: describe_task(name) for name in task_names()}
    if json:
        print_json([{"name": name, "description": text, "options": opts} for name, (text, opts) in described.items()])
        return
    from rich.table import Table

    table = Table(title="Built-in tasks")
    for column in ("name", "description", "options"):
        table.add_column(column)
    for name, (text, opts) in described.items():
        table.add_row(name, text, ", ".join(f"{key}={value}" for key, value in opts.items()))
    print_table(table)
    say("A task of your own is a glo.Task in a file; give it as module:attribute: glo search --task mytask:task")
