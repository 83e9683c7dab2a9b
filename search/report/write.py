"""Read the run, compute what is missing, write the page."""

from __future__ import annotations

from pathlib import Path

from search.report.data import read_run
from uninas.files.writing import write_text


def write_report(run_folder: Path, *, spectra: bool | None = None) -> Path:
    """Write report.html into a run folder: self-contained, without scripts or anything fetched from elsewhere.

    Args:
        run_folder: made by `uninas search`; its journal, configuration and results are only read.
        spectra: whether to compute the Fisher spectra that spectra.json does not hold yet, which needs torch and as much
            work as scoring five networks; None: for a finished run only.

    Returns:
        the path of the page.

    Raises:
        InputError: not a run folder, or a file in it cannot be read or written; the message says which.
    """
    from search.report import page
    from search.report import spectra as spectral

    run = read_run(run_folder)
    found = spectral.cached(run, run_folder)
    note = ""
    if found is None and run.best is not None:
        if spectra or (spectra is None and not run.missing):
            found = spectral.compute(run, run_folder)
        elif run.missing:
            note = "Computed when the run is finished, or now by uninas report --spectra."
        else:
            note = "Not computed (uninas report --spectra does)."
    path = run_folder / "report.html"
    write_text(path, page.render(run, found, note))
    return path
