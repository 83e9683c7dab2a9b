"""Run the steps one after the other, each in a process of its own, within a time for all.

    run(STEPS, Path("gpu.jsonl"), device="cuda", toy=False, seconds=480.0)

Each step gets its share of the time that is left when it begins, so what one leaves others have. One that is over its time is
killed with all that it started; where it stood is kept, as is what ended one that failed. What is left over is said, too.

Lines of the results: {"kind": "begin", ..}; {"kind": "row", "step", "what", "ok", ..} of the steps; for each step at its end
{"kind": "end", "step", "status": "done" | "error" | "out of time" | "left out", "seconds", "said"}.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from benchmarks.gpu.steps import Bench, Step, append
from uninas.runtime.machine import processor

ROOT = Path(__file__).parents[2]
GRACE = 2.0  # seconds for the stack of a step that is over its time to be written
LINES = 120  # of what a step said last


def run(
    steps: Sequence[Step],
    file: Path,
    *,
    device: str,
    toy: bool,
    seconds: float,
    command: str = "",
    note: Callable[[str], None] = lambda text: None,
) -> None:
    """Run the steps.

    Args:
        steps: in this order.
        file: of the results; what is in it is replaced.
        device: of torch.
        toy: whether sizes are small.
        seconds: for all together.
        command: that asks for this run, for people.
        note: told what a person may want to know.
    """
    end = time.monotonic() + seconds
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("", encoding="utf-8")
    about = {
        "device": device,
        "toy": toy,
        "seconds": seconds,
        "command": command,
        "python": platform.python_version(),
        "processor": processor(),
    }
    append(file, {"kind": "begin", **about})
    for place, step in enumerate(steps):
        left = end - time.monotonic() - GRACE
        limit = left * step.share / sum(later.share for later in steps[place:])
        if limit < step.least:
            status, spent, said = "left out", 0.0, "no time"
        else:
            note(f"{step.name}: at most {limit:.0f} s")
            status, spent, said = _in_its_own_process(step, Bench(step.name, device, toy, limit, file.resolve()))
        append(file, {"kind": "end", "step": step.name, "status": status, "seconds": round(spent, 2), "said": said})
        note(f"{step.name}: {status}, {spent:.1f} s{f': {why(said)}' if said else ''}")


def why(said: str) -> str:
    """Give the line that says the most of what a step said last.

    Of the stacks of one that was out of time, or that a signal ended, it is where the step stood; of a traceback, the error.
    """
    lines = [line.strip().replace(f"{ROOT}/", "") for line in said.splitlines() if line.strip()]
    frames = [line for line in lines if line.startswith('File "')]
    if frames and any(line.endswith("(most recent call first):") for line in lines):
        return next((line for line in frames if line.startswith('File "benchmarks/gpu/')), frames[0])
    return lines[-1] if lines else ""


def _in_its_own_process(step: Step, bench: Bench) -> tuple[str, float, str]:
    """Run a step: how it ended, its seconds, and the last lines that it said where it did not end well."""
    asked = {**dataclasses.asdict(bench), "file": str(bench.file), "where": step.where}
    del asked["begun"]  # it begins in its own process
    clock = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gpu.running", json.dumps(asked)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group of its own, which is killed as one
        )
        try:
            process.wait(bench.seconds + GRACE)
        except subprocess.TimeoutExpired:
            status = "out of time"
        else:
            status = "error" if process.returncode else "done"
        finally:  # also where Ctrl-C came
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                with contextlib.suppress(subprocess.TimeoutExpired):  # a driver may hold a process that is killed
                    process.wait(GRACE)
        spent = time.monotonic() - clock
        words = "" if status == "done" else _last_lines(said)
    if status == "error" and process.returncode < 0:
        words += f"\nended by {signal.Signals(-process.returncode).name}"
    return status, spent, words


def _last_lines(stream: IO[bytes]) -> str:
    stream.seek(0)
    return "\n".join(stream.read().decode(errors="replace").strip().splitlines()[-LINES:])


def main() -> None:
    """Run one step, in this process: what it raises ends it, with its traceback on stderr."""
    asked = json.loads(sys.argv[1])
    module, _, function = asked.pop("where").partition(":")
    bench = Bench(**{**asked, "file": Path(asked["file"])})
    faulthandler.enable()
    faulthandler.dump_traceback_later(bench.seconds)  # by a thread that a call into CUDA does not hold up
    getattr(importlib.import_module(module), function)(bench)
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
