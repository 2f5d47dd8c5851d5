"""`glo export`: a loss to take away."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from glo.cli import options
from glo.cli.launch import refuse_given
from glo.cli.losses import ChosenLoss, choose_loss


class Form(StrEnum):
    """What can be written."""

    torch = "torch"
    numpy = "numpy"
    lightgbm = "lightgbm"
    xgboost = "xgboost"
    catboost = "catboost"
    latex = "latex"
    sympy = "sympy"
    study = "study"


BOOSTING: dict[Form, Literal["lightgbm", "xgboost", "catboost"]] = {
    Form.lightgbm: "lightgbm",
    Form.xgboost: "xgboost",
    Form.catboost: "catboost",
}


class Hessian(StrEnum):
    """How a Hessian is made positive."""

    absolute = "absolute"
    floor = "floor"
    constant = "constant"


class ClassReduction(StrEnum):
    """How the terms of the classes are reduced."""

    sum = "sum"
    mean = "mean"


def export(
    expr: options.OptionalExpression = None,
    study: options.StudyName = None,
    form: Annotated[Form, typer.Option("--format", "-f", help="What to write.")] = Form.torch,
    link: options.OptionalLink = None,
    class_reduction: Annotated[ClassReduction | None, typer.Option(help="Over classes; by default sum.")] = None,
    eps: Annotated[float | None, typer.Option(help="Predictions are clamped to [eps, 1 - eps]; by default 1e-7.")] = None,
    hessian: Annotated[
        Hessian | None, typer.Option(help="For boosting: how the Hessian is made positive; by default absolute.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else standard output.")] = None,
    storage: options.StudyStorage = None,
) -> None:
    """Write a loss as source code that does not need glo, or as LaTeX or sympy; or a whole study.

    The PyTorch and NumPy source define `loss(outputs, target)`.  That for LightGBM and XGBoost defines
    `objective(y_true, y_pred)`, that for CatBoost a class `Objective`: gradient and Hessian, with NumPy only.  The loss of a
    study is written as its search used it, with its unit gradient: a learning rate that suits cross-entropy suits it.  With
    --format study the file has the study itself, as JSON lines: glo import reads it.
    """
    from glo.expr import latex

    if study is None:
        refuse_given("without --study", storage=storage)
    if form in (Form.latex, Form.sympy, Form.study):
        refuse_given(f"for {form.value}", link=link, class_reduction=class_reduction, eps=eps)
    if form not in BOOSTING:
        refuse_given(f"for {form.value}", hessian=hessian)
    if form is Form.study:
        _write(_study(expr, study, storage or options.DEFAULT_STORAGE), output)
        return
    chosen = choose_loss(expr, study, storage or options.DEFAULT_STORAGE)
    applied = chosen.options(link and link.value, class_reduction and class_reduction.value, eps)
    _check_exportable(chosen)
    loss = chosen.trained
    if form is Form.latex:
        text = latex(loss) + "\n"
    elif form in BOOSTING:
        from glo.loss import objective

        rule: dict[str, Any] = {} if hessian is None else {"hessian": hessian.value}
        text = objective(loss, **applied, **rule).source(BOOSTING[form])
    else:
        from glo.loss import source, to_sympy

        language = "numpy" if form is Form.numpy else "torch"
        symbolic = form is Form.sympy
        text = f"{to_sympy(loss)}\n" if symbolic else source(loss, language, **applied, prior=chosen.prior)
    _write(text, output)


def _study(expr: str | None, study: str | None, storage: str) -> str:
    """The text of a study.

    Raises:
        ConfigError: for an expression, or no study.
        StudyError: if there is no such study.
    """
    from contextlib import closing

    from glo.errors import ConfigError
    from glo.store import Store
    from glo.study.transfer import study_text

    if expr is not None or study is None:
        raise ConfigError("--format study writes a study: give --study NAME, and no expression")
    with closing(Store(storage, create=False)) as store:
        return study_text(store.whole(study))


def _write(text: str, output: Path | None) -> None:
    """Write to a file, or to standard output."""
    if output is None:
        typer.echo(text, nl=False)
        return
    from glo.report.files import write_text

    write_text(output, text)


def _check_exportable(chosen: ChosenLoss) -> None:
    """Refuse what the source would leave out.

    Raises:
        ConfigError: for a study whose loss has class weights, ignored labels or label smoothing.
    """
    from glo.errors import ConfigError

    if chosen.result is None:
        return
    training, task = chosen.result.config.training, chosen.result.config.task
    left_out = [*task.loss_options, *(["label_smoothing"] if training.label_smoothing else [])]
    if left_out:
        raise ConfigError(
            f"the search computed this loss with {', '.join(left_out)}, which exported source does not have: use "
            f"glo.load_study(...).loss(), or export the expression alone: glo export '{chosen.expression}'"
        )
