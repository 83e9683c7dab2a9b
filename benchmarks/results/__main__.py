"""Write the results pages, our figures beside the papers', from the folders of finished runs of `uninas bench`.

    python -m benchmarks.results runs/c10 runs/c100 runs/in16 runs/timm runs/ablation-fim_size
    python -m benchmarks.results docs/results/runs --only referees      # of the runs that are kept there

Run it from a checkout, where `benchmarks` is found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import RESULTS
from benchmarks.results.pages import results_pages
from uninas.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages and print their paths. Gives the exit status: 2 for what the user got wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folder of a run of uninas bench or of a choice, or one of runs"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the pages (default: docs/results)")
    parser.add_argument("--only", nargs="+", default=(), metavar="PAGE", help="write these pages alone: referees, timm, ...")
    options = parser.parse_args(arguments)
    try:
        pages = results_pages(options.runs, options.out, options.only)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(*pages, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
