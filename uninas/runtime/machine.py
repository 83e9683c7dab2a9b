"""What this machine is, and how much memory a process has held: for measurements. On Linux only; elsewhere less is known."""

from __future__ import annotations

import platform
from pathlib import Path

__all__ = ["peak_bytes", "processor"]


def processor() -> str:
    """Return the processor's model, or the name of its architecture; never the host's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def peak_bytes(*, reset: bool = False) -> int | None:
    """Return the most memory this process has held, in bytes; with `reset` from now on. None where the system is not Linux."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
