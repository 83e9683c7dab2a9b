"""A small process beside a driver that runs its own Ray: once the driver has ended, however it ended, nothing of Ray stays.

Ray's head and raylet end with the driver, but after a SIGKILL some of its agents live on for a minute and more, and its folder of
logs and sockets is never removed. The guardian holds the read end of a pipe whose write end only the driver has; when that
closes, the guardian kills every process that still writes into Ray's folder, and removes the folder. It is started as a plain
script and imports nothing but the standard library. Linux (/proc) only; elsewhere it removes the folder.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

_ROUNDS = 100  # a process may start another one while it is being looked for


def writers(folder: str) -> list[int]:
    """List the processes that hold a file of `folder` open for writing, which a `tail -f` does not."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            holds = any(_writes(process, entry, folder) for entry in (process / "fd").iterdir())
        except OSError:
            continue  # it has ended since, or belongs to another user
        if holds:
            found.append(int(process.name))
    return found


def _writes(process: Path, entry: Path, folder: str) -> bool:
    try:
        if not os.readlink(entry).startswith(folder + "/"):
            return False
        lines = (process / "fdinfo" / entry.name).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((int(line.split()[1], 8) for line in lines if line.startswith("flags:")), 0)
    return flags & os.O_ACCMODE != os.O_RDONLY


def clean(folder: str, spared: set[int]) -> None:
    """Kill every process that still writes into the folder, but for those spared, and remove it."""
    for _ in range(_ROUNDS):
        left = set(writers(folder)) - spared
        if not left:
            break
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it has ended since
    shutil.rmtree(folder, ignore_errors=True)


def main(folder: str, driver: int) -> None:
    """Wait for the end of the pipe, then clean up; the driver itself may still be running and is spared."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clean(folder, {driver, os.getpid()})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
