"""Searches from Python, as `uninas search` does them.

run = search.run("demo.yaml", ["evaluations=50"])       to the end, with its progress on stderr
run = search.open("runs/demo-0")                        a run folder that is there, finished or not
run.best                                                the best network, an architecture
run.table()                                             every candidate, a pandas table
run.report()                                            the HTML report, its path
run.resume(evaluations=100)                             continue it where its journal ends
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from search.journal.mirror import run_folder
from search.journal.object_store import without_secrets
from search.monitor.progress import View, view_for
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.run_files import odd
from uninas.runtime.terminal import console

if TYPE_CHECKING:
    from pandas import DataFrame

    from uninas import Architecture

__all__ = ["Run", "open", "run"]


@final
@dataclass(frozen=True)
class Run:
    """A run folder on this machine, finished or not. All that it says is read from its files when it is asked for.

    Attributes:
        folder: of the run.
    """

    folder: Path

    @staticmethod
    def open(folder: str | Path) -> Run:
        """Open a run folder.

        Raises:
            InputError: it is none.
        """
        path = Path(folder)
        for name in ("config.yaml", "journal.jsonl"):
            if not (path / name).is_file():
                raise InputError(f"{folder}: expected a run folder (made by uninas search); it has no {name}")
        return Run(path)

    @property
    def info(self) -> dict[str, Any]:
        """What run.json holds: status, counts, versions, times, finalists with all their scores. Empty before there is one."""
        try:
            info = read_json(self.folder / "run.json")
            if not isinstance(info, dict):
                raise ValueError("it is no JSON object")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder / 'run.json'}: expected what a search writes; {error}") from None
        return info

    @property
    def status(self) -> str:
        """How it stands: starting, running, interrupted, failed or complete."""
        return str(self.info.get("status", "starting"))

    @property
    def best(self) -> Architecture:
        """The best network after rescoring.

        Raises:
            InputError: the search is not complete, so none has been chosen.
        """
        from uninas import load

        if not (self.folder / "best.json").is_file():
            raise InputError(f"{self.folder}: expected a complete search, which has a best.json; this one is {self.status}")
        return load(self.folder / "best.json")

    @property
    def finalists(self) -> list[Architecture]:
        """The networks that were scored again on held-out seeds, best first; empty before the search is complete."""
        from uninas import load

        return [load(path) for path in sorted((self.folder / "finalists").glob("[0-9]*.json"))]

    def table(self) -> DataFrame:
        """Give every scored candidate of the journal as a table, one row each, in the journal's order.

        Columns: phase, index, digest, parent, status, cause (of a failure), the counted costs, latency_ms where it was measured,
        every raw score by its proxy's name (NaN where it has none), seconds (of all stages together) and worker.

        Raises:
            InputError: a line of the journal is no record; the message names it.
        """
        import pandas

        from search.journal import journal
        from search.journal.records import KINDS, Candidate

        rows = []
        for record in journal.records(self.folder / "journal.jsonl", KINDS):
            if isinstance(record, Candidate):
                row = {name: getattr(record, name) for name in ("phase", "index", "digest", "parent", "status")}
                row["cause"] = None if record.cause is None else record.cause.value
                row |= record.cost
                if record.latency_ms is not None:
                    row["latency_ms"] = record.latency_ms
                rows.append({**row, **record.scores, "seconds": sum(record.seconds.values()), "worker": record.worker})
        first = dict.fromkeys(name for row in rows for name in row if name not in ("seconds", "worker"))
        return pandas.DataFrame(rows, columns=[*first, "seconds", "worker"])

    def report(self) -> Path:
        """Write the HTML report, RUN/report.html, as `uninas report` does, and give its path."""
        from search.report import write_report

        return write_report(self.folder)

    def resume(self, evaluations: int | None = None, *, view: View | None = None, accept_changes: bool = False) -> Run:
        """Continue the run where its journal ends, to its end.

        Args:
            evaluations: raises the number of candidates.
            view: shows the progress; the default does so on stderr.
            accept_changes: whether to go on although the code that decides scores has changed since.

        Raises:
            InputError, KeyboardInterrupt: as `search.resume`.
        """
        from search.engine import driver

        overrides = {} if evaluations is None else {"evaluations": evaluations}
        driver.resume(self.folder, overrides, view=view or default_view(), accept_changes=accept_changes)
        return self

    def __repr__(self) -> str:
        with odd(self.folder / "run.json"):
            counts = self.info.get("counts", {}).get("search", {})
            return f"<search.Run {self.folder}: {self.status}, {counts.get('done', 0)} candidates>"


def run(config: str | Path, overrides: Sequence[str] = (), *, out: str | Path | None = None, view: View | None = None) -> Run:
    """Run a search to its end, as `uninas search` does.

    Args:
        config: a configuration file, or the name of one that comes with the project.
        overrides: "key=value" each; dots lead into sections.
        out: run folder to create, or a URL; default: runs/<name of the configuration>-<seed>.
        view: shows the progress; the default does so on stderr, by one panel on a terminal and by lines elsewhere.

    Returns:
        the run; of one at a URL, the copy on this machine.

    Raises:
        InputError: a mistake of the user's: in the configuration, of the machine, or a folder that exists.
        KeyboardInterrupt: after Ctrl-C; the run can be resumed.
    """
    from search.config import loading
    from search.engine import driver

    settings = loading.load(config, overrides)
    name = loading.name(config)
    place = str(out or f"runs/{name}-{settings.seed}")
    shown = view or default_view()
    with run_folder(place, fresh=True, note=shown.note) as folder:
        driver.begin(settings, folder, view=shown, name=name, address=without_secrets(place))
    return Run(folder)


def open(folder: str | Path) -> Run:
    """Open a run folder that is there, finished or not. Raises InputError where it is none."""
    return Run.open(folder)


def default_view() -> View:
    """Make the view that shows the progress on stderr."""
    return view_for(console(stderr=True))
