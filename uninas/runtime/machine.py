"""What this machine is, how much of it this process may use, and how much memory it held: on Linux; elsewhere less is known.

A container's share of the machine is that of its control group, of which there are two versions (cgroups(7)). What a group may
use its parents bound too, so the least bound of all counts.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Memory", "cores", "memory", "peak_bytes", "processor", "wait_asleep"]

_PROC, _GROUPS = Path("/proc"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Memory of the machine in bytes, or of this process's control group where that has less.

    Attributes:
        total: there is.
        available: of it without swapping; files that are kept in memory for later count as available.
    """

    total: int
    available: int


def cores(proc: Path = _PROC, groups: Path = _GROUPS) -> int:
    """Count the processor cores that this process may use: those it may run on, or its control group's share, rounded up.

    Args:
        proc, groups: where the system tells of processes and of control groups.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([found, *(max(1, math.ceil(share)) for share in _shares(proc, groups))])


def memory(proc: Path = _PROC, groups: Path = _GROUPS) -> Memory | None:
    """Say how much memory there is for this process; None where the system is not Linux. The arguments are those of `cores`."""
    known = _fields(proc / "meminfo")
    if "MemTotal" not in known:
        return None
    total = known["MemTotal"] * 1024
    available = known.get("MemAvailable", known.get("MemFree", 0)) * 1024
    files = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for folder in _folders(proc, groups, "memory"):
        for limit_file, used_file, kept in files:
            limit, used = _number(folder / limit_file), _number(folder / used_file)
            if limit is not None and limit < total:
                total = limit
            if limit is not None and used is not None:
                available = min(available, max(0, limit - used + _fields(folder / "memory.stat").get(kept, 0)))
    return Memory(total, min(total, available))


def _shares(proc: Path, groups: Path) -> Iterator[float]:
    """Give the processor time that this process's control groups may use, in cores."""
    for folder in _folders(proc, groups, "cpu"):
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota is None:
            words = _text(folder / "cpu.max").split()
            quota, period = (int(word) if word.isdecimal() else None for word in words) if len(words) == 2 else (None, None)
        if quota is not None and period and quota > 0:
            yield quota / period


def _folders(proc: Path, groups: Path, controller: str) -> Iterator[Path]:
    """Give the folders of this process's control groups, the own one first, then its parents.

    In a container the group's path is often that of outside, where only the folder that is mounted can be read.
    """
    for line in _text(proc / "self" / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            root = groups
        elif controller in names.split(","):
            root = groups / controller
        else:
            continue
        place = root / path.lstrip("/")
        while True:
            yield place
            if place == root or root not in place.parents:
                break
            place = place.parent


def _fields(path: Path) -> dict[str, int]:
    """Read lines of a name and a number."""
    found = {}
    for line in _text(path).splitlines():
        words = line.replace(":", " ").split()
        if len(words) >= 2 and words[1].isdecimal():
            found[words[0]] = int(words[1])
    return found


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    """Read a file of the system; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


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
