"""The pages of benches: made from the files of run folders alone.

write_page(folder)             writes report.html into a bench run's folder
results_pages(folders, out)    writes Markdown pages with pictures: our figures beside the papers'
"""

from benchmarks.results.pages import results_pages
from search.bench.page.write import write_page

__all__ = ["results_pages", "write_page"]
