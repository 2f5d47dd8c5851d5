"""`glo export`: a loss to take away."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from glo.cli import options


class Form(StrEnum):
    torch = "torch"
    numpy = "numpy"
    latex = "latex"
    sympy = "sympy"


class LinkName(StrEnum):
    softmax = "softmax"
    sigmoid = "sigmoid"
    identity = "identity"


def export(
    expr: options.Expression,
    form: Annotated[Form, typer.Option("--format", "-f", help="What to write.")] = Form.torch,
    link: Annotated[LinkName, typer.Option(help="How outputs become predictions.")] = LinkName.softmax,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else standard output.")] = None,
) -> None:
    """Write a loss as source code that does not need glo, or as LaTeX or sympy.

    The PyTorch and NumPy source define `loss(outputs, target)`.
    """
    from glo.catalog import resolve
    from glo.errors import ConfigError
    from glo.expr import latex

    expression = resolve(expr)
    if form is Form.latex:
        text = latex(expression) + "\n"
    else:
        from glo.loss import source, to_sympy
        from glo.records import Link

        text = f"{to_sympy(expression)}\n" if form is Form.sympy else source(expression, form.value, Link(link.value))
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from None
