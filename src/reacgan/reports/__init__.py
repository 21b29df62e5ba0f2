"""Tables of scores that never mix protocols, plots, and pages about runs."""

from reacgan.reports.report import write_report
from reacgan.reports.tables import score_table

__all__ = ["score_table", "write_report"]
