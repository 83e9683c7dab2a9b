"""Write the results pages, our figures beside the papers', from the folders of finished runs of `uninas bench`.

    python -m benchmarks.results runs/c10 runs/c100 runs/in16 runs/timm runs/ablation-fim_size --out docs/results

Run it from a checkout, where `benchmarks` is found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results.pages import results_pages
from uninas.errors import InputError


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages and print their paths. Gives the exit status: 2 for what the user got wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.results", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="folder of a run of uninas bench, or of a choice")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="folder of the pages (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        pages = results_pages(options.runs, options.out)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print(*pages, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
