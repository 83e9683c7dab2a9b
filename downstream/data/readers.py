"""The processes that read images: where their sockets lie, and what is said when one of them ends badly."""

from __future__ import annotations

import contextlib
import multiprocessing
import re
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait

from uninas.errors import InputError
from uninas.runtime.sockets import let_readers_start

__all__ = ["plain_errors"]

_DEATH = re.compile(r"DataLoader worker \(pid")  # torch's words, for a process that is gone; what it raised has others
_LOADER = "torch/utils/data/dataloader.py"  # where a death is met before torch knows of it: the other end of a pipe is gone
_SHARED_MEMORY = ("Bus error", "No space left on device", "shared memory")


@contextmanager
def plain_errors() -> Iterator[None]:
    """Say in one line what ended a process that reads images; read by processes inside this only.

    Raises:
        InputError: the error of such a process without the traceback that the loader adds to it, or its death.
    """
    let_readers_start()
    try:
        yield
    except InputError as error:
        found = re.search(r"InputError: (.*)\s*$", str(error))
        raise (InputError(found[1]) if found else error) from None
    except (RuntimeError, OSError, EOFError) as error:
        try:
            death = _of_death(error)
        except RuntimeError as later:  # torch's handler of ended processes raises wherever it interrupts, so here too
            death = _of_death(later)
        raise death from None


def _hear_of_it() -> None:
    """Wait for the end of the process whose pipe was found cut, a second at most.

    torch's handler of signals raises when it learns of the end, in whatever runs then; on a busy machine that is later.
    """
    until = time.monotonic() + 1.0
    with contextlib.suppress(RuntimeError):  # of that handler, here at the latest
        while (children := multiprocessing.active_children()) and (left := until - time.monotonic()) > 0:
            wait([child.sentinel for child in children], left)


def _of_death(error: Exception) -> Exception:
    """The error to raise in place of one of torch's: itself where it is no death of a reader."""
    text = f"{error} {error.__cause__ or ''}"
    if any(words in text for words in _SHARED_MEMORY) and (_DEATH.search(text) or "torch_" in text):
        return InputError(
            "--workers: expected enough shared memory (/dev/shm) for the processes that read images; it is full: give the "
            "machine more (docker run --shm-size=8g), or --workers 0, which reads in this process"
        )
    cut_off = isinstance(error, EOFError | ConnectionError) and any(
        frame.filename.endswith(_LOADER) for frame in traceback.extract_tb(error.__traceback__)
    )
    if cut_off:
        _hear_of_it()
    if cut_off or _DEATH.search(text):
        return InputError(
            "--workers: expected the processes that read images to live; one was killed, perhaps since the memory was full: "
            "fewer workers need less; a training goes on with --resume"
        )
    return error
