"""A finished run that the tests of the report share; they read it, and change copies."""

from pathlib import Path

import pytest

from search.report import write_report
from tests.search.report.report_runs import make_run


@pytest.fixture(scope="session")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a random baseline and some failed candidates."""
    return make_run(tmp_path_factory.mktemp("runs") / "complete", fail_every=7)


@pytest.fixture(scope="session")
def complete_page(complete: Path) -> str:
    return write_report(complete, spectra=False).read_text(encoding="utf-8")
