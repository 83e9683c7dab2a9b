"""Ctrl-C, SIGTERM, a lost terminal: the first asks for a clean stop, the second stops at once and kills every child process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self, final

EXIT_INTERRUPTED = 130
SPARED: set[int] = set()
"""Processes that `kill_descendants` leaves alone: they end by themselves with this one, after cleaning up."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@final
class Interrupts:
    """Takes over these signals while it is entered; outside the main thread, where Python allows no handlers, it does nothing.

    The first signal is remembered and raised as `KeyboardInterrupt` where it can do no harm: at the next `check`, or
    at once within `interruptible`. So it never cuts a journal record or a half-made cluster in two. The second one
    kills all descendants of this process and ends it with status 130.
    """

    def __init__(self) -> None:
        self._count = 0
        self._open = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def install(self) -> None:
        """Set the handlers, also again after a library (Ray does) has set its own."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # nohup: the terminal may go
            before = signal.signal(number, self._handle)
            self._before.setdefault(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._count += 1
        if self._count > 1:
            kill_descendants()
            os._exit(EXIT_INTERRUPTED)
        if self._open:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if a signal came."""
        if self._count:
            raise KeyboardInterrupt

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let the first signal raise at once: for long work that loses nothing when cut off, such as the start of Ray."""
        self.check()
        self._open = True
        try:
            yield
        finally:
            self._open = False
            self.install()


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and a lost terminal raise `KeyboardInterrupt`, as Ctrl-C does: for a command, from its imports to its report.

    Work that must not be cut anywhere is within `Interrupts`, which takes the signals over and gives them back.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) == signal.SIG_DFL:  # else it is ignored (nohup), or whoever calls us sees to it
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def kill_descendants() -> None:
    """Kill every process that descends from this one, except `SPARED`. Linux (/proc) only."""
    for process in descendants(os.getpid()):
        if process in SPARED:
            continue
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it ended by itself meanwhile


def descendants(root: int) -> list[int]:
    """Give the process ids of all living descendants of `root`, parents before children."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the name in parentheses may hold spaces and parentheses itself: read behind the last one
            parent = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # ended while we looked
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, frontier = list[int](), [root]
    while frontier:
        frontier = [child for parent in frontier for child in children.get(parent, ())]
        found += frontier
    return found
