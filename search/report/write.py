"""Read the run, compute what is missing, write the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from search.report.data import Run, read_run
from uninas.errors import InputError
from uninas.files.writing import check_place, write_text

if TYPE_CHECKING:
    from search.report.spectra import Spectra


def write_report(
    run_folder: Path,
    *,
    spectra: bool | None = None,
    out: Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Path:
    """Write the page of a run: self-contained, without scripts or anything fetched from elsewhere.

    Args:
        run_folder: made by `uninas search`; its journal, configuration and results are only read.
        spectra: whether to compute the Fisher spectra that spectra.json does not hold yet, which needs torch and as much
            work as scoring five networks; None: for a finished run only.
        out: the file to write; None for report.html in the run folder, which need not be writable otherwise.
        note: called with what a person should know.

    Returns:
        the path of the page.

    Raises:
        InputError: not a run folder, or a file in it cannot be read or written; the message says which.
    """
    from search.report import page
    from search.report import spectra as spectral

    path = out or run_folder / "report.html"
    run = read_run(run_folder)
    check_place(path, "give another file by --out")
    found = spectral.cached(run, run_folder)
    missing = ""
    if found is None and run.best is not None:
        if spectra or (spectra is None and not run.missing):
            found = spectral.compute(run)
            _keep(found, run, run_folder, out is not None, note)
        elif run.missing:
            missing = "Computed when the run is finished, or now by uninas report --spectra."
        else:
            missing = "Not computed (uninas report --spectra does)."
    write_text(path, page.render(run, found, missing))
    return path


def _keep(found: Spectra, run: Run, run_folder: Path, elsewhere: bool, note: Callable[[str], None]) -> None:
    """Store the spectra with the run; where the page goes elsewhere, a folder that is not writable is no error."""
    from search.report import spectra as spectral

    try:
        spectral.store(found, run, run_folder)
    except InputError as error:
        if not elsewhere:
            raise
        note(f"warning: {error}: spectra are computed again each time")
