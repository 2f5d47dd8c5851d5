"""Reports: figures and tables of studies, and files for them."""

from glo.report.atlas import atlas_csv, atlas_rows
from glo.report.files import write_text
from glo.report.plots import loss_figure, progress_figure, save
from glo.report.sheet import Sheet
from glo.report.tables import atlas_table, funnel_counts_table, pareto_table, tuning_table

__all__ = [
    "Sheet", "atlas_csv", "atlas_rows", "atlas_table", "funnel_counts_table", "loss_figure", "pareto_table",
    "progress_figure", "save",
    "tuning_table", "write_text",
]  # fmt: skip
