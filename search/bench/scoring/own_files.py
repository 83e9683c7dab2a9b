"""The file of one's own proxies that a bench run scores by: kept as RUN/proxies.py, which a resume runs. It runs as code."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from search.workers import own_proxies

FILE = "proxies.py"


def prepare(file: Path | None, run: Path | None = None) -> None:
    """Run the file that was given, or else the copy of a run that is resumed or measured, where it has one.

    Raises:
        InputError: it is not there, fails, or registers no proxy.
    """
    if file is not None:
        own_proxies.load(file)
    elif run is not None and (run / FILE).is_file():
        own_proxies.load(run / FILE)


def texts(proxies: Iterable[str]) -> dict[str, str]:
    """Give what a run folder has to keep so that these proxies can be scored again: file name -> text.

    Raises:
        InputError: they come from several files.
    """
    file = own_proxies.file_of(proxies)
    return {} if file is None else {FILE: file.text}
