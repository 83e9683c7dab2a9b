"""Keep runs of `uninas bench` with the repository: scores and figures, of which anybody makes the pages, or another choice.

    python -m benchmarks.results.keep runs/macro runs/truth_bench
    python -m benchmarks.results docs/results/runs --only referees
    uninas bench choose docs/results/runs/* --out runs/aggregate

The journal stays behind: a kept run can be read and judged by others, not resumed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.page import RESULTS
from search.bench.judging import finish
from search.bench.page.data import COSTS, read_bench
from search.bench.scoring import settings as settings_files
from search.engine.session import STATUS
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import write_json

RUNS = RESULTS / "runs"


def keep(run: Path, out: Path) -> Path:
    """Copy a judged run to `out`/NAME; what is there of it is replaced.

    Args:
        run: folder of a run that has been judged.
        out: the folder of kept runs.

    Returns:
        the folder of the kept run.

    Raises:
        InputError: no such run.
    """
    read_bench(run)
    settings_files.read_settings(run)
    if not (run / finish.SCORES).is_file():
        raise InputError(f"{run}: expected a judged run, with {finish.SCORES}; there is none")
    folder = out / run.resolve().name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(folder / settings_files.FILE, _without_place(read_json(run / settings_files.FILE)))
    for name in (finish.SCORES, finish.RESULTS, STATUS, finish.SECOND, COSTS):
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    return folder


def _without_place(settings: dict[str, Any]) -> dict[str, Any]:
    """Say of the images which they were, not where they lay."""
    pictures = settings["pictures"]
    return settings if pictures is None else {**settings, "pictures": {**pictures, "folder": Path(pictures["folder"]).name}}


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep the runs and print their folders. Gives the exit status: 2 for what the user got wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a judged run of uninas bench")
    parser.add_argument("--out", type=Path, default=RUNS, help="folder of the kept runs (default: docs/results/runs)")
    options = parser.parse_args(arguments)
    try:
        print(*(keep(run, options.out) for run in options.runs), sep="\n")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
