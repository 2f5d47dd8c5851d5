"""The figure of a comparison, drawn without a display."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from glo.compare.comparison import Comparison


def comparison_figure(comparison: Comparison) -> Figure:
    """A box and the single seeds of each loss on test, one panel for each length of training."""
    horizons = comparison.horizons
    names = [row.name for row in horizons[0].rows]
    figure = Figure(figsize=(2.2 + 4.6 * len(horizons), 1.4 + 0.55 * len(names)), layout="constrained")
    for axes, horizon in zip(figure.subplots(1, len(horizons), squeeze=False, sharey=True)[0], horizons, strict=True):
        values = [row.values for row in horizon.rows]
        axes.boxplot(values, orientation="horizontal", widths=0.5, showfliers=False, medianprops={"color": "0.3"})
        for place, (name, seeds) in enumerate(zip(names, values, strict=True), start=1):
            colour = "C7" if name == comparison.baseline else "C0"
            offsets = np.linspace(-0.16, 0.16, len(seeds))  # a seed has the same height for all losses
            axes.plot(seeds, place + offsets, "o", color=colour, markersize=4, alpha=0.8)
        axes.set_yticks(range(1, len(names) + 1), [name if len(name) <= 40 else f"{name[:37]}..." for name in names])
        axes.grid(axis="x", color="0.9")
        axes.set_xlabel(f"test {comparison.metric_label}, {comparison.config.repeats} seeds")
        if horizon.steps:
            axes.set_title(f"{horizon.steps:,} steps", fontsize=10)
    figure.axes[0].invert_yaxis()  # the panels share it
    figure.suptitle(f"{comparison.task}: {comparison.trained_how}", fontsize=11)
    return figure
