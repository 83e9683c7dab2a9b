"""The run folder of a training: created once, and written by one process at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from torch import distributed

from downstream.train import trained_on
from downstream.train.settings import FILE, OpenMMLabSettings, Settings
from downstream.train.trained_on import TrainedOn
from uninas.errors import InputError
from uninas.files.locks import try_lock
from uninas.files.paths import open_file
from uninas.files.writing import write_json

__all__ = ["ReportedElsewhere", "alone", "create", "first_only", "held"]


class ReportedElsewhere(InputError):
    """An error of the first of several processes, raised in the others too, which do not report it again."""


def first_only(work: Callable[[], None]) -> None:
    """Do work in the first of several processes, for which the others wait.

    Raises:
        InputError: of the work; in every process.
    """
    several = distributed.is_initialized()
    first = not several or distributed.get_rank() == 0
    said: list[str | None] = [None]
    if first:
        try:
            work()
        except InputError as error:
            said = [str(error)]
    if several:
        distributed.broadcast_object_list(said)
    if said[0] is not None:
        raise (InputError if first else ReportedElsewhere)(said[0])


@contextmanager
def held(settings: Settings | OpenMMLabSettings, run: Path, on: TrainedOn, *, resume: bool) -> Iterator[None]:
    """Create the folder, or with `resume` use it again, and hold it until the end; of several processes the first one does.

    Raises:
        InputError: as `create`, `alone` and `downstream.train.trained_on.check`; in every process.
    """
    with ExitStack() as stack:

        def begin() -> None:
            if not resume:
                create(settings, run, on)
            stack.enter_context(alone(run))
            if resume:
                trained_on.check(run, on)

        first_only(begin)  # the others wait: mmengine makes the folder too, and the first would find it there
        yield


def create(settings: Settings | OpenMMLabSettings, run: Path, on: TrainedOn | None = None) -> None:
    """Create the folder, with what a resume needs; `on`: the data, which a resume compares where they are known here.

    Raises:
        InputError: it exists, or it cannot be written.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        if any(path.suffix != ".part" for path in run.iterdir()):  # left by a kill before anything was written
            raise InputError(f"{run}: expected a new folder; it exists: resume with --resume {run}, or give another --out")
    except FileExistsError:
        raise InputError(f"{run}: expected a new folder; it is a file: give another --out") from None
    except OSError as error:
        raise InputError(f"{run}: cannot create the folder: {error.strerror}") from None
    settings.write(run)
    write_json(run / "architecture.json", dict(settings.arch))
    if on is not None:
        trained_on.write(run, on)


@contextmanager
def alone(run: Path) -> Iterator[None]:
    """Hold the folder until the end, of the process at the latest.

    Raises:
        InputError: another process holds it, or it cannot be written.
    """
    try:
        file = open_file(run / FILE)
    except OSError as error:
        raise InputError(f"{run / FILE}: expected a training to go on with; cannot write it: {error.strerror or error}") from None
    with file:
        if not try_lock(file):
            raise InputError(f"{run}: expected to be the only training of this run; another process is writing it")
        yield
