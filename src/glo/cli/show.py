"""`glo show`: everything about an expression that needs no training."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from glo.cli import options
from glo.cli.losses import choose_loss
from glo.cli.output import print_table
from glo.cli.streams import print_json


def show(
    expr: options.OptionalExpression = None,
    study: options.StudyName = None,
    link: options.OptionalLink = None,
    classes: Annotated[int, typer.Option(min=2, help="Number of classes for the check whether it can train.")] = 10,
    plot: Annotated[str | None, typer.Option(help="Also draw f and its derivative into this PNG, SVG or PDF file.")] = None,
    storage: options.Storage = options.DEFAULT_STORAGE,
    json: options.Json = False,
) -> None:
    """Show a loss: what is minimised, canonical form, LaTeX, size, fingerprint, whether it can train, properties, minimum.

    The unit gradient is the factor that gives the loss the gradient of the standard loss at uninformed predictions.  The
    properties (bounded, monotone, convex) are those that a search may require (--constraint).  The binary minimum is where
    the loss of two classes is smallest over y0, for x0 = 1 (Figure 6 of the paper).
    """
    from glo.evaluation import lacking, viability
    from glo.expr import (
        all_coefficients,
        describe,
        effective_coefficients,
        fingerprint,
        scale_free_fingerprint,
    )
    from glo.loss import binary_minimum, minimised
    from glo.records import PROPERTIES

    chosen = choose_loss(expr, study, storage)
    expression = chosen.expression
    applied = chosen.options(link and link.value)
    reason = viability(expression, classes, applied["link"])
    against = {name: lacking(expression, name, applied["link"], chosen.weighted) for name in PROPERTIES}
    shown: dict[str, Any] = {
        **describe(expression),
        "link": applied["link"].value,
        "minimised": minimised(expression, applied["link"], applied["class_reduction"]),
        "nodes": expression.nodes,
        "depth": expression.depth,
        "fingerprint": fingerprint(expression),
        "unit_gradient": chosen.unit(applied["link"], classes),
        "scale_free_fingerprint": scale_free_fingerprint(expression),
        "coefficients": {
            "all": len(all_coefficients(expression)),
            "effective": len(effective_coefficients(expression, scale=False)),
            "effective_with_scale": len(effective_coefficients(expression)),
        },
        "viable": reason is None,
        "reason": reason,
        "properties": {name: why is None for name, why in against.items()},
        "lacks": {name: why for name, why in against.items() if why is not None},
        "binary_minimum": binary_minimum(expression),
    }
    if plot is not None:
        from glo.report import loss_figure, save

        save(loss_figure({expr or str(expression): expression}), plot)
    if json:
        print_json(shown)
        return
    from rich.table import Table

    table = Table(show_header=False)
    counts = shown["coefficients"]
    shown["coefficients"] = f"{counts['all']}, of which {counts['effective']} change the shape"
    shown["properties"] = ", ".join(name for name, holds in shown["properties"].items() if holds) or "none"
    shown["lacks"] = "; ".join(f"{name}: {why}" for name, why in shown["lacks"].items())
    for key, value in shown.items():
        table.add_row(
            key.replace("_", " "),
            "yes" if value is True else "no" if value is False else "" if value is None else str(value),
        )
    print_table(table)
