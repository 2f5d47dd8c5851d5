"""The parts of pages that come from the code: `<!-- generated: NAME ARGUMENT -->` in a page becomes `PARTS[NAME](ARGUMENT)`.

They are made when the site is built (`docs/hooks.py`), so that they cannot be out of date.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from inspect import ismodule
from pathlib import Path
from typing import Any

import typer
from symbols import Functions, Symbol, tree_of

import glo
from glo import errors
from glo.catalog import NAMED
from glo.cli.app import app
from glo.expr import HARD, MAX_DEPTH, MAX_NODES, OPERATORS, Expr, Operator
from glo.expr.text import MAX_LENGTH
from glo.search import PAPER_WEIGHTS

DOCS = Path(__file__).parent
MARKER = re.compile(r"^<!-- generated: (\w+)(?: ([\w.]+))? -->$", re.MULTILINE)


def filled(markdown: str) -> str:
    """A page with its generated parts.

    Raises:
        KeyError: for an unknown part.
    """
    return MARKER.sub(lambda marker: PARTS[marker[1]](*filter(None, [marker[2]])), markdown)


def commands() -> str:
    """Every command, with its arguments and options."""
    return "\n".join(_described(path, command) for path, command in _walk(typer.main.get_command(app), "glo"))


def _walk(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", {})
    if not below:
        yield path, command
    for name, each in below.items():
        yield from _walk(each, f"{path} {name}")


def _described(path: str, command: Any) -> str:
    context = type(command).context_class(command, info_name=path)
    usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [f"| `{_cell(name)}` | {_cell(_prose(text))} |" for name, text in filter(None, records)]
    table = ["| argument or option | meaning |", "|---|---|", *rows] if rows else []
    return "\n".join([f"## {path}\n", f"```text\n{usage}\n```\n", _prose(command.help or "") + "\n", *table, ""])


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _prose(text: str) -> str:
    """Text of a terminal as Markdown, in which nothing is markup but code in backquotes."""
    pieces = text.split("`")
    pieces[::2] = [re.sub(r"([*_<>\[\]])", r"\\\1", piece) for piece in pieces[::2]]
    return re.sub(r" {2,}", " ", "`".join(pieces))


def operators() -> str:
    """The table of operators."""
    head = ["| operator | derivative by a | derivative by b | in a search |", "|---|---|---|---|"]
    return "\n".join(head + [_operator(row) for row in OPERATORS.values()])


def _operator(row: Operator) -> str:
    by_a, *by_b = map(str, row.partials(Functions(), *_symbols(row)))
    written = f"a {row.name} b" if row.precedence is not None else f"{row.name}({', '.join('ab'[: row.arity])})"
    number = ", b a number" if row.constant_arguments else ""
    slopes = f"`{by_a}` | {'' if number else ''.join(f'`{slope}`' for slope in by_b)}"
    return f"| `{written}`{number} | {slopes} | {'yes' if PAPER_WEIGHTS.get(row.name) else 'with a weight'} |"


def _symbols(row: Operator) -> list[Symbol]:
    """The value and the arguments of an operator, as its `partials` takes them."""
    return [Symbol("f"), *map(Symbol, "ab"[: row.arity])]


def language() -> dict[str, Any]:
    """What the explorer knows of the language: of each operator the value and the derivatives, as nested lists; and more."""
    operators = {
        row.name: {
            "arity": row.arity,
            "precedence": row.precedence,
            "constants": row.constant_arguments,
            "value": tree_of(row.value(Functions(), *_symbols(row)[1:])),
            "partials": [tree_of(each) for each in row.partials(Functions(), *_symbols(row))],
        }
        for row in OPERATORS.values()
    }
    return {
        "operators": operators,
        "limits": {"length": MAX_LENGTH, "depth": MAX_DEPTH, "nodes": MAX_NODES},
        "points": list(zip(HARD.x.tolist(), HARD.y.tolist(), strict=True)),
        "names": {name: str(loss) for name, loss in NAMED.items()},
    }


def decisions() -> str:
    """A list of all decision records."""
    pages = sorted((DOCS / "decisions").glob("0*.md"))
    titles = [page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") for page in pages]
    # The numbers are written with a backslash, else Markdown makes lists of them.
    return "\n".join(
        f"- [{title.replace('.', chr(92) + '.', 1)}]({page.name})" for page, title in zip(pages, titles, strict=True)
    )


def names(module: str) -> str:
    """The public names of a module, each documented by mkdocstrings."""
    return "\n\n".join(f"::: {module}.{name}" for name in public_names(module))


def exceptions() -> str:
    """The exceptions of glo, those that others inherit from first."""
    found = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.GloError)]
    return "\n\n".join(f"::: glo.errors.{each.__name__}\n    options: {{show_bases: true}}" for each in found)


def public_names(module: str) -> list[str]:
    """The names in `__all__`, else all without an underscore that the module defines; without those that `glo` has too."""
    found = importlib.import_module(module)
    listed = getattr(found, "__all__", None) or [name for name in vars(found) if _defined(found, name)]
    return [name for name in sorted(listed, key=str.lower) if not hasattr(glo, name)]


def _defined(module: Any, name: str) -> bool:
    value = getattr(module, name)
    here = isinstance(value, Expr) or getattr(value, "__module__", module.__name__) == module.__name__
    return here and not name.startswith("_") and not ismodule(value)


PARTS: dict[str, Callable[..., str]] = {
    "commands": commands,
    "decisions": decisions,
    "exceptions": exceptions,
    "names": names,
    "operators": operators,
}
