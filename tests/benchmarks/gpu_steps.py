"""Steps with every vice, for the tests of how steps are run. Nothing here imports torch."""

from __future__ import annotations

import os
import signal

from benchmarks.gpu.steps import Bench

__all__ = ["dies", "hangs", "has_a_faulty_part", "raises", "works"]


def works(bench: Bench) -> None:
    bench.row("a claim", ok=True, device=bench.device, toy=bench.toy, ratio=float("inf"))


def raises(bench: Bench) -> None:
    bench.row("before", ok=True)
    raise ValueError("this step cannot")


def dies(bench: Bench) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(bench: Bench) -> None:
    signal.pause()


def has_a_faulty_part(bench: Bench) -> None:
    with bench.part("the first"):
        raise RuntimeError("CUDA error: an illegal memory access")
    bench.row("the second", ok=True)
