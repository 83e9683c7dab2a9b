"""What only a GPU can show, in a few minutes: are scores those of a CPU, does memory suffice, is a candidate fast enough?

    python -m benchmarks.gpu                             on the GPU that torch finds; on a CPU everything at toy size
    python -m benchmarks.gpu --write                     and keep the page
    python -m benchmarks.gpu --from runs/gpu.jsonl --write         the page of a run, from the results that it left
    python -m benchmarks.gpu --steps scores candidate    some of the steps

Each step is a process of its own with its share of the time, so that one that fails, hangs or takes the GPU along ends no other.
The results, a JSON line each, are written as they come, with the tracebacks. The run ends with status 1 where anything did not
hold.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.page import page
from benchmarks.gpu.running import run
from benchmarks.gpu.steps import STEPS, read
from benchmarks.page import FOLDER, publish
from search.workers.interrupts import as_ctrl_c
from uninas.errors import InputError

ROOM = Path("runs")
MINUTES, PATIENCE = 8.0, 30.0


def main(arguments: Sequence[str] | None = None, *, folder: Path = FOLDER) -> int:
    """Run the steps that were asked for, or read the results of others; print the page. Gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [step.name for step in STEPS]
    parser.add_argument("--device", help="cuda or cpu; by default a GPU if there is one")
    most = f"for all steps together (default {MINUTES:g}; {PATIENCE:g} on a CPU, which others may use, too)"
    parser.add_argument("--minutes", type=float, help=most)
    parser.add_argument("--toy", action="store_true", help="small sizes; always so on a CPU")
    parser.add_argument("--steps", nargs="+", choices=names, default=names, metavar="STEP", help=f"of {', '.join(names)}")
    parser.add_argument("--out", type=Path, default=ROOM / "gpu.jsonl", help="file of the results (default %(default)s)")
    parser.add_argument("--from", dest="results", type=Path, metavar="FILE", help="read these results, and run nothing")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/gpu.md")
    options = parser.parse_args(arguments)
    file = options.out if options.results is None else options.results
    try:
        if options.results is None:
            device = _device(options.device)
            toy = options.toy or not device.startswith("cuda")
            steps = [step for step in STEPS if step.name in options.steps]
            minutes = options.minutes or (MINUTES if device.startswith("cuda") else PATIENCE)
            how = {"device": device, "toy": toy, "seconds": 60 * minutes, "command": _command(options, names)}
            with as_ctrl_c():  # so that a step ends with the command, whatever ends it
                run(steps, file, **how, note=lambda text: print(text, file=sys.stderr, flush=True))
        elif not file.is_file():
            raise InputError(f"--from: expected the results of a run; got {file}, which is no file")
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    records = read(file)
    publish(page(records), "gpu", write=options.write, folder=folder)
    bad = [one for one in records if one.get("ok") is False or one.get("status") in ("error", "out of time")]
    return 1 if bad else 0


def _command(options: argparse.Namespace, names: Sequence[str]) -> str:
    """Give the words that ask for the same run again; where its files were is nobody else's concern."""
    words = ["python -m benchmarks.gpu", *([f"--minutes {options.minutes:g}"] if options.minutes else [])]
    words += [f"--device {options.device}"] if options.device else []
    words += ["--toy"] if options.toy else []
    return " ".join([*words, *(["--steps", *options.steps] if options.steps != names else [])])


def _device(asked: str | None) -> str:
    """Name the device with its number: not every function of torch takes one without. Raises InputError."""
    from uninas.runtime.device import device_of

    device = device_of(asked)
    if device.index:
        raise InputError(f"--device: expected cuda or cpu; got {asked}: CUDA_VISIBLE_DEVICES={device.index} chooses another GPU")
    return "cuda:0" if device.type == "cuda" else str(device)


if __name__ == "__main__":
    sys.exit(main())
