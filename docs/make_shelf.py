"""Draw the losses of the shelf into docs/images/shelf-*.png: `make docs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glo.catalog.shelf import SHELF
from glo.expr import Expr, derivative
from glo.loss import unit_gradient
from glo.records import Link
from glo.report import save

IMAGES = Path(__file__).parent / "images"
CLASSES, COLUMNS = 10, 4
PRIOR = {Link.SOFTMAX: (0.1,) * CLASSES, Link.SIGMOID: (0.5,), Link.IDENTITY: (0.0, 1.0)}
LIMITS = {Link.SOFTMAX: (-1.6, 3.0), Link.SIGMOID: (-2.6, 2.6), Link.IDENTITY: (-2.5, 2.5)}
SHADES = ("C0", "C1", "C2", "C3")


def pull(loss: Expr, link: Link, x: float, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """How a sample of label x moves the output of its class: df/dz of the output z, with the unit gradient.

    Args:
        at: predictions y between 0 and 1; in regression, prediction minus label.
    """
    scaled = unit_gradient(loss, link, CLASSES, PRIOR[link])
    context = {"prior": 1 / CLASSES, "progress": 1.0}
    return derivative(scaled, x, at, context) * (1.0 if link is Link.IDENTITY else at * (1 - at))


def draw(axes: Axes, link: Link, variants: Mapping[str, Expr], standard: Expr) -> None:
    """The curves of one family, with the standard loss in grey."""
    at = np.linspace(-3, 3, 301) if link is Link.IDENTITY else np.linspace(0.002, 0.998, 300)
    labels = (0.0,) if link is Link.IDENTITY else (1.0, 0.0)
    curves = [(standard, "0.75", "")] + [
        (loss, SHADES[number % len(SHADES)], name) for number, (name, loss) in enumerate(variants.items())
    ]
    for loss, colour, name in curves:
        for x, style in zip(labels, ("-", "--"), strict=False):
            axes.plot(at, pull(loss, link, x, at), style, color=colour, label=name if style == "-" else "")
    axes.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    axes.set_ylim(*LIMITS[link])
    if any(variants):
        axes.legend(fontsize=6.5, handlelength=1.2, borderpad=0.3)


def figure_of(link: Link) -> Figure:
    """All families of a link, a panel for each."""
    # Class-balanced cross-entropy has the curve of cross-entropy, with a factor for each class.
    families = {known.name: known.variants() for known in SHELF[link.value] if not known.uses_prior}
    standard = next(iter(next(iter(families.values())).values()))
    rows = -(-len(families) // COLUMNS)
    figure = Figure(figsize=(11, 2.3 * rows + 0.6), layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True, sharey=True).flat
    for axes, (name, variants) in zip(panels, families.items(), strict=False):
        draw(axes, link, variants, standard)
        axes.set_title(name, fontsize=9)
    for axes in figure.axes[len(families) :]:
        axes.set_visible(False)
    regression = link is Link.IDENTITY
    figure.supxlabel("prediction minus label" if regression else "y, predicted probability of the class", fontsize=9)
    lines = "" if regression else "solid: the right class, dashed: a wrong class; "
    figure.suptitle(f"Push on the output of a class, with the unit gradient; {lines}grey: the standard loss", fontsize=9)
    return figure


if __name__ == "__main__":
    for each in Link:
        save(figure_of(each), IMAGES / f"shelf-{each.value}.png")
