"""A Ray of one process's own: on this machine, on loopback alone, gone with the process however it ends.

local = start(cpus=2)           Ray runs, and this process is connected to it
local.folder                    of its logs and sockets; what lies in it goes with it
local.close()

The one of our files with Ray that the space has no part in: search and downstream start it alike.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

from uninas.errors import InputError
from uninas.runtime import guardian

__all__ = ["LocalRay", "cores", "defaults", "silence_tune", "start", "stay_on_loopback"]

_OBJECT_STORE_BYTES = 100 << 20  # what travels is a few kilobytes; Ray's default takes 30% of the memory

_ATTEMPTS = 3  # Ray gives up after half a minute, which a busy machine may need, and which cannot be set


def cores() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def defaults() -> None:
    """Set the environment of any Ray; every variable is a default: what the user has set stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's next default; silences its warning
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # what it prints of a dead worker is read in logs


def stay_on_loopback() -> None:
    """Let Ray keep to 127.0.0.1, which it else takes for the machine's own address. It reads this where it is imported first."""
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # by this name


def silence_tune() -> None:
    """Keep Ray Tune, in this process, from copying results into files, from printing, and from judging what trials report.

    Its newer output writes to stdout however silent it is asked to be, and its check of metrics refuses a trial that reports a
    failure in place of a score.
    """
    os.environ.update(TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_DISABLE_STRICT_METRIC_CHECKING="1", RAY_AIR_NEW_OUTPUT="0")
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a traceback for each process that dies


@final
class LocalRay:
    """A running Ray. Use `start`.

    Attributes:
        folder: Ray's own, removed at the end.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self._guardian = process

    def close(self) -> None:
        """End Ray with every process of it, and remove its folder; a second call does nothing."""
        import ray

        if ray.is_initialized():
            ray.shutdown()
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()
        self._guardian.wait()


def start(*, cpus: int, dashboard: bool = False, spare: Callable[[int], None] = lambda process: None) -> LocalRay:
    """Start Ray, which takes about ten seconds, and connect this process to it.

    Args:
        cpus: slots; GPUs are those of the machine.
        dashboard: with Ray's dashboard, on loopback, too.
        spare: told the id of the process that cleans up behind this one, before Ray starts: who kills all children spares it.

    Raises:
        InputError: the machine is so busy that Ray gave up several times.
    """
    defaults()
    stay_on_loopback()
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else Ray may write a token into the user's home
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: starved by anything else on the machine
    for _ in range(_ATTEMPTS):
        folder = tempfile.mkdtemp(prefix="uninas-")  # short: Ray puts sockets into it, whose paths have a limit
        process = subprocess.Popen(
            [sys.executable, guardian.__file__, folder, str(os.getpid())], stdin=subprocess.PIPE, start_new_session=True
        )
        spare(process.pid)
        local = LocalRay(Path(folder), process)
        try:
            _init(folder, cpus, dashboard)
            return local
        except BaseException as error:
            local.close()
            if "timed out during startup" not in str(error):
                raise
    raise InputError(f"expected Ray to start on this machine; it gave up {_ATTEMPTS} times: is it overloaded?")


def _init(folder: str, cpus: int, dashboard: bool) -> None:
    ray: Any = importlib.import_module("ray")  # untyped in part
    ray.init(
        address="local",
        num_cpus=cpus,
        include_dashboard=dashboard,
        dashboard_host="127.0.0.1",
        object_store_memory=_OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=folder,
        _node_ip_address="127.0.0.1",
    )
