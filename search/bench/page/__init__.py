"""The HTML page of a bench, made from the files of its run folder alone.

write_page(folder)             writes report.html into a bench run's folder
"""

from search.bench.page.write import write_page

__all__ = ["write_page"]
