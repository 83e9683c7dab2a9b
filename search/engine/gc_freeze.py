"""What lives as long as a search is no work for Python's cyclic garbage collector.

A search keeps some thirty objects a candidate. The collector's full passes look at all of them, again and again: after 30,000
candidates a pass takes the driver over a second, in which no worker is given work, and finds nothing: candidates hold no cycles.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["looked_at_once"]


@contextmanager
def looked_at_once() -> Iterator[None]:
    """Within it, what survives a full pass is left out of later ones; cycles among it are found after the end.

    Not where networks are scored in this process: one that a pass meets at work would be kept to the end, if it holds cycles.
    """

    def freeze(phase: str, info: dict[str, Any]) -> None:
        if phase == "stop" and info["generation"] == 2:
            gc.freeze()

    others = gc.get_freeze_count()  # frozen by the caller: they stay so, and ours with them
    gc.callbacks.append(freeze)
    try:
        yield
    finally:
        gc.callbacks.remove(freeze)
        if not others:
            gc.unfreeze()
