"""What this machine is, how much memory a process has held, and what is left to others: on Linux; elsewhere less is known."""

from __future__ import annotations

import os
import platform
from pathlib import Path

__all__ = ["peak_bytes", "processor", "wait_asleep"]


def wait_asleep() -> None:
    """Let threads of OpenMP, which are torch's on a processor, wait asleep, in this process and in those that it starts.

    By default they wait in a spin. Beside a search on all cores they spin for cores that others have: the report of the demo
    took 8 to 50 CPU-seconds more and longer. Asleep they cost what one thread costs. OpenMP reads this when it is loaded, so it
    is called before torch is imported. A policy that is set already stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def processor() -> str:
    """Return the processor's model, or the name of its architecture; never the host's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def peak_bytes(*, reset: bool = False) -> int | None:
    """Return the most memory this process has held, in bytes; with `reset` from now on. None where the system is not Linux."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
