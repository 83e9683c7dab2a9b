"""The report of a run: one self-contained HTML page, made from the run folder's files alone.

write_report(folder)    writes report.html, also for an unfinished run
"""

from search.report.write import write_report

__all__ = ["write_report"]
