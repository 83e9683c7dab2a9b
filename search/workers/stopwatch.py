"""Seconds that a process ran: wall time without those in which it was suspended (SIGSTOP, Ctrl-Z, a batch system).

    watch = Stopwatch()
    ... watch.look() at least once in `every` seconds, whenever Python runs ...
    watch.seconds, watch.suspended

A process that does not run cannot look. So between two looks at most as much counts as the looks are apart, or as the processor
worked, whichever is more: a long call into torch that lets no look through counts whole.

    >>> clock, worked = iter([0.0, 1.0, 3601.0, 3610.0]), iter([0.0, 0.1, 0.2, 9.1])
    >>> watch = Stopwatch(1.0, clock=lambda: next(clock), worked=lambda: next(worked))
    >>> looks = [watch.look() for _ in range(3)]  # a second at leisure; an hour suspended; a call of nine seconds
    >>> round(watch.seconds, 1), round(watch.suspended, 1)
    (11.9, 3598.1)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

__all__ = ["Stopwatch"]


@final
class Stopwatch:
    """See the module's head.

    Attributes:
        seconds: that count.
        suspended: wall time that does not.

    Args:
        every: seconds between two looks at the most, as long as the process runs and Python is not in one call.
        clock: wall time in seconds.
        worked: processor time of this process in seconds.
    """

    def __init__(
        self, every: float = 1.0, *, clock: Callable[[], float] = time.monotonic, worked: Callable[[], float] = time.process_time
    ) -> None:
        self.seconds = self.suspended = 0.0
        self._most = 2 * every
        self._clock, self._worked = clock, worked
        self._seen = clock(), worked()

    def look(self, waited: float = 0.0) -> float:
        """Count the time since the last look, of which up to `waited` seconds were spent waiting; gives `seconds`."""
        now, worked = self._clock(), self._worked()
        spent = now - self._seen[0]
        counted = min(spent, max(self._most, worked - self._seen[1]) + waited)
        self.seconds, self.suspended = self.seconds + counted, self.suspended + spent - counted
        self._seen = now, worked
        return self.seconds
