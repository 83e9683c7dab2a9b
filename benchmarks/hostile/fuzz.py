"""Hostile files through the readers and what follows reading: only InputError may come out, in bounded time and memory.

    python -m benchmarks.hostile.fuzz --files 100000 --seed 0 --write
    python -m benchmarks.hostile.fuzz --seed 0 --one 4711              one file again: its content is kept, its outcome printed

Each file is written to the disk, loaded as every command loads it, and what comes of it is put in canonical form, costed,
named and looked over for operations without meaning. Processes of their own run them, with limits on memory and on the seconds of
one file.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.hostile.files import KINDS, file_of
from benchmarks.hostile.graphs import LARGEST
from benchmarks.page import command, publish, setting, table
from uninas import InputError, canonicalise, cost, load, warnings_of
from uninas.canonical import TooSymmetric, digest

AT_MOST = 2.0
"""CPU-seconds that one file may take."""

_STOP = 20  # CPU-seconds after which a file is given up
_MEMORY = 2 << 30  # bytes of address space of a process
_LONGEST = 700  # characters of a rejection
_CHUNK = 1_000  # files of one process

NETWORK, REJECTED, SYMMETRIC, LATER = "a network", "rejected when read", "too symmetric", "rejected later"
FINE = (NETWORK, REJECTED, SYMMETRIC, LATER)


class _Late(BaseException):
    """The file's time is up."""


def outcome(content: bytes, folder: Path) -> str:
    """What becomes of a file: one of FINE, or what went wrong."""
    path = folder / "net.json"
    path.write_bytes(content)
    try:
        architecture = load(path)
    except InputError as error:
        said = str(error)
        return REJECTED if 0 < len(said) < _LONGEST and "\n" not in said else "a message too long"
    except _Late:
        return f"no end after {_STOP} s in reading"
    except BaseException as error:
        return f"{type(error).__name__} in reading"
    for step in (canonicalise, cost, warnings_of, digest):
        try:
            step(architecture)
        except TooSymmetric:
            return SYMMETRIC
        except InputError:
            return LATER
        except _Late:
            return f"no end after {_STOP} s in {step.__name__}"
        except BaseException as error:
            return f"{type(error).__name__} in {step.__name__}"
    return NETWORK


def limit() -> None:
    """Bound this process's memory, and let a timer end a file."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))

    def late(*_: object) -> None:
        raise _Late

    signal.signal(signal.SIGPROF, late)


def attempt(seed: int, number: int, folder: Path) -> dict[str, Any]:
    """One file's kind, size, outcome and CPU-seconds."""
    kind, content = file_of(seed, number)
    signal.setitimer(signal.ITIMER_PROF, _STOP)
    started = time.process_time()
    try:
        found = outcome(content, folder)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return {"number": number, "kind": kind, "bytes": len(content), "outcome": found, "seconds": time.process_time() - started}


def chunk(seed: int, first: int, last: int) -> None:
    """Files first .. last - 1 in this process: a line of JSON each, then the peak of its memory."""
    limit()
    with tempfile.TemporaryDirectory() as made:
        for number in range(first, last):
            print(json.dumps(attempt(seed, number, Path(made))), flush=True)
    print(json.dumps({"peak": peak_memory()}), flush=True)


def peak_memory() -> int:
    """The most memory that this process has held, in bytes. What `getrusage` says would count the process that began it."""
    found = re.search(r"^VmHWM:\s*([0-9]+) kB", Path("/proc/self/status").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def run(seed: int, first: int, last: int, tell: Callable[[dict[str, Any]], None]) -> tuple[list[dict[str, Any]], int]:
    """The results of files first .. last - 1, and the largest peak; a process that dies is a result of the file it died of."""
    found: list[dict[str, Any]] = []
    peak = 0
    while first + len(found) < last:
        rest = ["--chunk", str(first + len(found)), str(last)]
        again = [sys.executable, "-m", "benchmarks.hostile.fuzz", "--seed", str(seed), *rest]
        with subprocess.Popen(again, stdout=subprocess.PIPE, encoding="utf-8") as process:
            assert process.stdout is not None
            for line in process.stdout:
                made = json.loads(line)
                peak = max(peak, made.get("peak", 0))
                if "number" in made:
                    found.append(made)
                    tell(made)
        number = first + len(found)
        if number < last:
            kind, content = file_of(seed, number)
            found.append(
                {
                    "number": number,
                    "kind": kind,
                    "bytes": len(content),
                    "seconds": 0.0,
                    "outcome": f"the process died ({process.returncode})",
                }
            )
            tell(found[-1])
    return found, peak


def results(seed: int, files: int, workers: int) -> tuple[list[dict[str, Any]], int]:
    """All files' results in order, and the largest peak of a process."""
    columns = (
        TextColumn("files"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    wrong, slowest = 0, 0.0
    with Progress(*columns, console=Console(stderr=True)) as bar, ThreadPoolExecutor(workers) as pool:
        task = bar.add_task("", total=files)

        def tell(made: dict[str, Any]) -> None:
            nonlocal wrong, slowest
            wrong, slowest = wrong + (made["outcome"] not in FINE), max(slowest, made["seconds"])
            bar.update(task, advance=1, description=f"wrong {wrong}, slowest {slowest:.2f} CPU-s")

        chunks = [pool.submit(run, seed, i, min(files, i + _CHUNK), tell) for i in range(0, files, _CHUNK)]
        parts = [part.result() for part in chunks]
    return [one for found, _ in parts for one in found], max(peak for _, peak in parts)


def page(found: list[dict[str, Any]], peak: int, base: int) -> str:
    """The results for people."""
    others = sorted({one["outcome"] for one in found} - set(FINE))
    rows = []
    for kind in [*KINDS, "all"]:
        chosen = [one for one in found if kind in (one["kind"], "all")]
        counts = Counter(one["outcome"] for one in chosen)
        slowest = max((one["seconds"] for one in chosen), default=0.0)
        rows.append([kind, f"{len(chosen):,}", *(f"{counts[name]:,}" for name in (*FINE, *others)), f"{slowest:.3f}"])
    small = [one for one in found if one["bytes"] <= LARGEST]
    worst = max(small, key=lambda one: one["seconds"])
    wrong = sum(one["outcome"] not in FINE for one in found)
    late = sum(one["seconds"] > AT_MOST for one in small)
    return "\n".join(
        [
            "# Hostile files",
            "",
            f"{len(found):,} files of both formats, damaged or made to be hard, through the reader, the canonical form, the",
            f"cost, the warnings and the digest. Anything but a result or a rejection in one short line: {wrong:,}. Files of at",
            f"most {LARGEST // 1000} kB that took more than {AT_MOST:g} CPU-seconds: {late:,}.",
            "",
            table(["kind", "files", *FINE, *others, "slowest, CPU-seconds"], rows),
            "",
            f"The slowest of at most {LARGEST // 1000} kB is number {worst['number']} ({worst['kind']}, {worst['bytes']:,} "
            f"bytes): {worst['seconds']:.3f} s.",
            f"Peak memory of a process: {peak / 2**20:.0f} MiB, of which {base / 2**20:.0f} MiB before the first file.",
            "",
            setting(),
            "",
            f"    {command()}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="how many (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other files (default 0)")
    parser.add_argument("--workers", type=int, default=1, help="processes at a time (default 1)")
    parser.add_argument("--one", type=int, help="only the file of that number, which is kept in the current folder")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/benchmarks/fuzz.md")
    parser.add_argument("--chunk", type=int, nargs=2, help=argparse.SUPPRESS)  # those files in this process
    options = parser.parse_args()
    if options.chunk is not None:
        chunk(options.seed, *options.chunk)
        return
    if options.one is not None:
        path = Path(f"fuzz-{options.seed}-{options.one}.json")
        path.write_bytes(file_of(options.seed, options.one)[1])
        limit()
        with tempfile.TemporaryDirectory() as made:
            print(json.dumps(attempt(options.seed, options.one, Path(made)), indent=1), path, sep="\n")
        return
    found, peak = results(options.seed, options.files, options.workers)
    again = [sys.executable, "-m", "benchmarks.hostile.fuzz", "--seed", str(options.seed), "--chunk", "0", "0"]
    base = json.loads(subprocess.run(again, check=True, capture_output=True, encoding="utf-8").stdout)["peak"]
    publish(page(found, peak, base), "fuzz", write=options.write)
    for one in found:
        if one["outcome"] not in FINE or one["seconds"] > AT_MOST:
            print(f"number {one['number']} ({one['kind']}): {one['outcome']}, {one['seconds']:.2f} s", file=sys.stderr)
    if any(one["outcome"] not in FINE or (one["seconds"] > AT_MOST and one["bytes"] <= LARGEST) for one in found):
        sys.exit(1)


if __name__ == "__main__":
    main()
