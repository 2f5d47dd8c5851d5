"""Comparisons, their statistics, and the demo."""

from glo.experiments.study import Study, compare_losses

__all__ = ["Study", "compare_losses"]
