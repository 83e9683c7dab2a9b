"""A driver in a process of its own, to be killed by tests: python -m tests.search.drive begin|resume FOLDER JSON.

The JSON: config (overrides of a toy configuration), behaviour (of the scorer), salt, overrides (of a resume), die_writing
(SIGKILL itself in the middle of the n-th record it writes), file_limit (bytes that no file may outgrow), heartbeat_seconds (of
the mirror, where FOLDER is a URL).
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from search.config import loading
from search.config.schema import PoolConfig, SearchConfig
from search.distributed.ray_pool import RayPool
from search.engine import driver
from search.journal import journal, mirror
from search.monitor.progress import PlainView, View
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool, SerialPool
from tests.search.fakes import ToySpace
from uninas.errors import InputError

FAKES = "tests.search.fakes"
TOY = """
space: resnet
algorithm: evolution
algorithm_options: {population: 20}
objective: vkdnw_agg
evaluations: 300
window: 8
size: 32
finalists: {count: 3, seeds: 2, controls: []}
pool: {kind: serial}
"""


def toy_config(*overrides: str) -> SearchConfig:
    """A configuration whose space is replaced by the toy one."""
    return loading.parse(TOY, overrides)


def toy_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    """The pool of a configuration, with the toy scorer in its workers."""
    if config.kind == "serial":
        return SerialPool(config.deadline_s, evaluator=FAKES, interruptible=interrupts.interruptible)
    return RayPool(config, evaluator=FAKES, note=view.note, interruptible=interrupts.interruptible)


class TornFile:
    """A file whose n-th write ends in the middle, together with the process."""

    def __init__(self, file: Any, writes: int) -> None:
        self.file, self.writes = file, writes

    def write(self, data: bytes) -> int:
        self.writes -= 1
        if self.writes == 0:
            self.file.write(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return int(self.file.write(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def misbehave(wanted: dict[str, Any]) -> None:
    """Prepare this process for what is to happen to it."""
    if "die_writing" in wanted:
        whole = journal.Journal
        journal.Journal = lambda file, *rest: whole(TornFile(file, wanted["die_writing"]), *rest)  # type: ignore[misc]
    if "file_limit" in wanted:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (wanted["file_limit"], resource.RLIM_INFINITY))


def main(action: str, folder: str, options: str) -> None:
    wanted: dict[str, Any] = json.loads(options)
    misbehave(wanted)
    space = ToySpace(behaviour=wanted.get("behaviour"), salt=wanted.get("salt", ""))
    view = PlainView(lambda text: print(text, flush=True), clock=lambda: 0.0)
    heartbeat = wanted.get("heartbeat_seconds", mirror.HEARTBEAT_SECONDS)
    fresh = action == "begin"
    with mirror.run_folder(folder, fresh=fresh, note=view.note, heartbeat_seconds=heartbeat) as path:
        common = {"view": view, "space": space, "pool_maker": toy_pool, "address": folder}
        if fresh:
            driver.begin(toy_config(*wanted.get("config", ())), path, **common)
        else:
            driver.resume(path, wanted.get("overrides"), **common)


def run_main(main: Callable[..., None]) -> None:
    """Call `main` with the arguments of the command line; exit as the program does for a mistake and for Ctrl-C."""
    try:
        main(*sys.argv[1:])
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run_main(main)
