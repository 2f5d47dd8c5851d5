"""Comparisons, their statistics, and the demo."""

from glo.compare.comparison import Study, compare_losses

__all__ = ["Study", "compare_losses"]
