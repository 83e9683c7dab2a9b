"""Disks, shared memory, ports, GPUs and the processor: what a search would find on this machine; nothing is started."""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from uninas.errors import InputError
from uninas.files.paths import nearest
from uninas.runtime import machine, ray_local

__all__ = [
    "PORTS",
    "Fact",
    "disk",
    "gpus_of_the_driver",
    "installed_builds",
    "port",
    "processor",
    "shared_memory",
    "size",
    "temporary",
]

LITTLE_BYTES = 1 << 30
"""Free bytes of a disk below which a journal, a report and Ray's logs may not fit."""

FULL = 0.95
"""Share of a disk in use at which Ray counts it as full (its `local_fs_capacity_threshold`)."""

PORTS = {8265: "Ray's dashboard", 6379: "ray start --head", 52365: "the agent of a node of ray start"}
"""Ports that Ray takes by default, and for what. A search's own Ray takes free ones, but for the dashboard's."""


@dataclass(frozen=True)
class Fact:
    """Something about this machine.

    Attributes:
        name: what it is about.
        value: as a person reads it.
        data: the same as JSON-able data.
        warning: what may go wrong, and what to do; None where nothing is known to.
        fatal: whether a search cannot run so.
    """

    name: str
    value: str
    data: object
    warning: str | None = None
    fatal: bool = False


def processor() -> list[Fact]:
    """The processor with the cores that this process may use, and the memory."""
    cores, have = machine.cores(), os.cpu_count() or 1
    bound = f" of {have}" if cores < have else ""
    facts = [Fact("processor", f"{machine.processor()}, {cores}{bound} cores", {"model": machine.processor(), "cores": cores})]
    memory = machine.memory()
    if memory is not None:
        value = f"{size(memory.total)}, {size(memory.available)} available"
        facts.append(Fact("memory", value, {"total": memory.total, "available": memory.available}))
    return facts


def disk(name: str, folder: Path) -> Fact:
    """The disk of a folder, which need not be there yet: the nearest one above it counts."""
    place = nearest(folder)
    usage = shutil.disk_usage(place)
    data = {"folder": str(folder), "free": usage.free, "total": usage.total}
    value = f"{size(usage.free)} free of {size(usage.total)} ({folder})"
    if not os.access(place, os.W_OK | os.X_OK):
        return Fact(
            name, value, data, f"expected a folder that can be written; {place} cannot: go to another one, or give --out", True
        )
    if usage.free < LITTLE_BYTES:
        return Fact(name, value, data, f"less than {size(LITTLE_BYTES)}: free some, or use another disk")
    if usage.used / max(1, usage.used + usage.free) > FULL:
        return Fact(name, value, data, f"more than {FULL:.0%} in use, which Ray counts as full: free some, or use another disk")
    return Fact(name, value, data)


def temporary() -> Fact:
    """The disk where a Ray that is started here puts its logs and sockets."""
    try:
        folder = ray_local.home()
    except InputError as error:
        return Fact("disk of Ray", "none", None, str(error), fatal=True)
    return disk("disk of Ray", folder)


def shared_memory(place: Path = Path("/dev/shm")) -> Fact:
    """The shared memory, in which Ray's object store lies."""
    if not place.is_dir():
        return Fact("shared memory", f"{place}: none", None, "Ray's object store goes to the disk")
    usage = shutil.disk_usage(place)
    data, value = {"free": usage.free, "total": usage.total}, f"{size(usage.free)} free of {size(usage.total)} ({place})"
    if usage.free < ray_local.OBJECT_STORE_BYTES:
        need = size(ray_local.OBJECT_STORE_BYTES)
        return Fact(
            "shared memory", value, data, f"less than {need}: Ray's object store goes to the disk; docker run --shm-size=256m"
        )
    return Fact("shared memory", value, data)


def port(number: int) -> Fact:
    """Whether a port of loopback is free: it is taken and given back."""
    name, data = f"port {number}", {"port": number, "for": PORTS.get(number)}
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just been closed is free
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            cure = "Ray takes the next free one, and the search says which" if number == 8265 else "name another one to ray start"
            return Fact(name, f"taken ({PORTS.get(number, '')})", {**data, "free": False}, f"{error.strerror}: {cure}")
    return Fact(name, f"free ({PORTS.get(number, '')})", {**data, "free": True})


def installed_builds(module: str, folder: str | None) -> dict[str, str | None]:
    """Read for which CUDA and ROCm a torch was built from its file `version.py`: it is text, and torch is not imported."""
    builds: dict[str, str | None] = {"cuda": None, "hip": None}
    try:
        text = (Path(folder or "") / module / "version.py").read_text(encoding="utf-8")
    except OSError:
        return builds
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        key = name.partition(":")[0].strip()
        if equals and key in builds and (given := value.strip().strip("'\"")) != "None":
            builds[key] = given
    return builds


def gpus_of_the_driver(proc: Path = Path("/proc")) -> list[str]:
    """Name the GPUs that NVIDIA's driver knows, whatever torch can use. Linux only; elsewhere none."""
    found = []
    for file in sorted((proc / "driver/nvidia/gpus").glob("*/information")):
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        found.append(next((line.partition(":")[2].strip() for line in lines if line.startswith("Model:")), "NVIDIA"))
    return found


def size(count: float) -> str:
    """Write bytes: 512 MiB, 23.5 GiB, 1.2 TiB."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB" if count < 1024 else f"{count / 1024:.1f} TiB"
