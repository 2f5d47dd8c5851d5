"""`glo export`: a loss to take away."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from glo.cli import options
from glo.cli.launch import refuse_given
from glo.cli.losses import choose_loss


class Form(StrEnum):
    """What can be written."""

    torch = "torch"
    numpy = "numpy"
    latex = "latex"
    sympy = "sympy"


class LinkName(StrEnum):
    """The links, named here so that --help needs no other import."""

    softmax = "softmax"
    sigmoid = "sigmoid"
    identity = "identity"


class ClassReduction(StrEnum):
    """How the terms of the classes are reduced."""

    sum = "sum"
    mean = "mean"


def export(
    expr: options.OptionalExpression = None,
    study: options.StudyName = None,
    form: Annotated[Form, typer.Option("--format", "-f", help="What to write.")] = Form.torch,
    link: Annotated[LinkName | None, typer.Option(help="How outputs become predictions; by default softmax.")] = None,
    class_reduction: Annotated[ClassReduction | None, typer.Option(help="Over classes; by default sum.")] = None,
    eps: Annotated[float | None, typer.Option(help="Predictions are clamped to [eps, 1 - eps]; by default 1e-7.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else standard output.")] = None,
    storage: options.StudyStorage = None,
) -> None:
    """Write a loss as source code that does not need glo, or as LaTeX or sympy.

    The PyTorch and NumPy source define `loss(outputs, target)`.  The loss of a study is written as its search used it.
    """
    from glo.expr import latex

    if study is None:
        refuse_given("without --study", storage=storage)
    if form in (Form.latex, Form.sympy):
        refuse_given(f"for {form.value}", link=link, class_reduction=class_reduction, eps=eps)
    chosen = choose_loss(expr, study, storage or options.DEFAULT_STORAGE)
    applied = chosen.options(link and link.value, class_reduction and class_reduction.value, eps)
    if form is Form.latex:
        text = latex(chosen.expression) + "\n"
    else:
        from glo.loss import source, to_sympy

        symbolic = form is Form.sympy
        text = f"{to_sympy(chosen.expression)}\n" if symbolic else source(chosen.expression, form.value, **applied)
    if output is None:
        typer.echo(text, nl=False)
        return
    from glo.report.files import write_text

    write_text(output, text)
