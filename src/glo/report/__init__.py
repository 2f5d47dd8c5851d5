"""Reports: plots and tables of what a run did."""

from glo.report.plots import loss_figure, progress_figure, save
from glo.report.tables import comparison_table, funnel_counts_table

__all__ = ["comparison_table", "funnel_counts_table", "loss_figure", "progress_figure", "save"]
