"""A Ray cluster of one process: on this machine, on loopback alone, closed to others, gone with the process however it ends.

local = start(cpus=2)           Ray is running, and this process is connected to it
local.folder                    of its logs and sockets; removed at the end with all that is in it
local.close()

Whoever may ask a Ray to do something runs code as its user, and any user of a machine reaches its loopback. So each has a token
of its own, which all its processes ask for and which stands in their environment only, and its folder is this user's alone.

Search and downstream both start Ray here; the space itself has no use for it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, final

from uninas.errors import InputError
from uninas.runtime import guardian
from uninas.runtime.machine import cores
from uninas.runtime.sockets import folder_for_sockets, place_for_sockets
from uninas.runtime.terminal import say

__all__ = ["OBJECT_STORE_BYTES", "LocalRay", "cores", "defaults", "home", "quiet_tune", "start", "stay_on_loopback"]

OBJECT_STORE_BYTES = 100 << 20
"""Of shared memory for messages, which are a few kilobytes; Ray's default takes 30% of the memory."""

_PREFIX = "uninas-"  # of the names of our Rays' folders
_LONGEST_SOCKET = len("/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store.1")  # below the folder

# Figures for Prometheus, which asks without a token: only beside a dashboard. No port, no server: Ray notes it in its own logs.
_NO_METRICS = {"RAY_enable_metrics_collection": "0", "AUTOSCALER_METRIC_PORT": "-1", "DASHBOARD_METRIC_PORT": "-1"}

_SERVER = "gcs_server"
_PATIENCE = 10.0  # seconds for Ray to see by itself that its server has ended, while it starts; its client waits a minute

_ATTEMPTS = 3  # Ray gives up after half a minute, which a busy machine may need, and which cannot be set


def defaults() -> None:
    """Set the environment of any Ray; every variable is a default: what the user has set wins."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's next default; silences its warning
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")  # what it prints of a dead worker ends up in logs


def stay_on_loopback() -> None:
    """Keep Ray on 127.0.0.1 instead of the machine's address. Ray reads this when it is first imported."""
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # the variable's name, on Linux too


@contextlib.contextmanager
def quiet_tune() -> Iterator[None]:
    """Keep Ray Tune, in this process, from copying results into files, from printing, and from checking what trials report.

    Its newer output writes to stdout whatever verbosity is set, and its check of metrics rejects a trial that reports a
    failure in place of a score. It also takes Ctrl-C (SIGINT, and SIGUSR1) for itself and does not give it back: the first
    one after its end would be lost. At the end of the block the handlers are those of before.
    """
    os.environ.update(TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", TUNE_DISABLE_STRICT_METRIC_CHECKING="1", RAY_AIR_NEW_OUTPUT="0")
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a traceback for each process that dies
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGUSR1)}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():  # Tune leaves them alone in any other
            for number, handler in before.items():
                signal.signal(number, handler)


@final
class LocalRay:
    """A running Ray. Use `start`.

    Attributes:
        folder: Ray's own, removed at the end.
        dashboard: the address of its dashboard, HOST:PORT; None without one.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.dashboard: str | None = None
        self._guardian = process
        self._before = _set_environment({**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})

    @property
    def token(self) -> Path:
        """A file that holds the token, which this user alone can read: for people, whom the dashboard asks for it."""
        path = self.folder / "token"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(os.environ["RAY_AUTH_TOKEN"], encoding="ascii")
        return path

    def ended(self) -> str | None:
        """Name a process of Ray's that has ended by itself, killed for memory or by hand; None while all live.

        Ray's agents are not looked for: the raylet ends with each of them.
        """
        worker: Any = importlib.import_module("ray._private.worker")
        node = worker._global_node
        dead = {name for name, _ in node.dead_processes()} if node is not None else set()
        return next((name for name in (_SERVER, "raylet") if name in dead), None)

    def close(self) -> None:
        """Stop Ray with all its processes, and remove its folder; a second call does nothing."""
        import ray

        if ray.is_initialized():
            ray.shutdown()
        _set_environment(self._before)
        self._before = {}
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()
        self._guardian.wait()
        if self.folder.exists():  # the guardian itself was killed
            guardian.clean(str(self.folder), {os.getpid()})


def home() -> Path:
    """Say in which folder `start` would make the folder of its Ray.

    Raises:
        InputError: none that there is will do.
    """
    return place_for_sockets(_PREFIX, _LONGEST_SOCKET)


def start(*, cpus: int, dashboard: bool = False, spare: Callable[[int], None] = lambda process: None) -> LocalRay:
    """Start Ray, which takes about ten seconds, and connect this process to it.

    Args:
        cpus: slots; GPUs are those of the machine.
        dashboard: with Ray's dashboard, on loopback, too.
        spare: called with the id of the process that cleans up after this one, before Ray starts: a caller that kills all its
            children must spare that one.

    Raises:
        InputError: Ray did not start after several attempts, since the machine is too busy.
    """
    defaults()
    stay_on_loopback()
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: starved by anything else on the machine
    for _ in range(_ATTEMPTS):
        folder = folder_for_sockets(_PREFIX, _LONGEST_SOCKET)
        process = subprocess.Popen(
            [sys.executable, guardian.__file__, str(folder), str(os.getpid())], stdin=subprocess.PIPE, start_new_session=True
        )
        spare(process.pid)
        local = LocalRay(folder, process, {} if dashboard else _NO_METRICS)
        try:
            local.dashboard = _init(folder, cpus, dashboard)
            return local
        except BaseException as error:
            local.close()
            if "timed out during startup" not in str(error):
                raise
    raise InputError(f"expected Ray to start on this machine, got {_ATTEMPTS} timeouts: is it overloaded?")


def _init(folder: Path, cpus: int, dashboard: bool) -> str | None:
    """Start Ray and connect to it; gives the address of the dashboard."""
    ray: Any = importlib.import_module("ray")  # untyped in part
    with _ports_of_its_own(), contextlib.nullcontext() if dashboard else _without_servers(), _not_ended_by_its_client():
        context = ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=dashboard,
            dashboard_host="127.0.0.1",
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=str(folder / "ray"),  # Ray opens the folder that it is given to everyone
            _node_ip_address="127.0.0.1",
        )
    _do_not_print_logs_of_the_raylet()
    return context.dashboard_url or None


@contextlib.contextmanager
def _ports_of_its_own() -> Iterator[None]:
    """Let the agent of a node listen on a free port; ray.init has no argument for it, and one port cannot serve two searches."""
    parameter: Any = importlib.import_module("ray._private.parameter")
    usual = parameter.RayParams
    parameter.RayParams = functools.partial(usual, dashboard_agent_listen_port=0)
    try:
        yield
    finally:
        parameter.RayParams = usual


@contextlib.contextmanager
def _without_servers() -> Iterator[None]:
    """Let the agent of a node serve nothing over HTTP, as where Ray is installed without its dashboard.

    It would run jobs and answer for the dashboard, which is not there; ray.init has no argument for it.
    """
    utilities: Any = importlib.import_module("ray._private.utils")
    usual = utilities.get_dashboard_dependency_error
    utilities.get_dashboard_dependency_error = lambda: "no dashboard is wanted"
    try:
        yield
    finally:
        utilities.get_dashboard_dependency_error = usual


@contextlib.contextmanager
def _not_ended_by_its_client() -> Iterator[None]:
    """End this process in one line where Ray's server ends while Ray starts.

    Ray's client, which is in C++ by then and lets no Python run in this thread, would wait for a minute and end the process with
    words of its own. What a command has written is as after a kill: a search is resumed.
    """
    started = threading.Event()

    def watch() -> None:
        seen, gone = False, 0.0
        while gone < _PATIENCE:
            if started.wait(_PATIENCE / 20):
                return
            alive = _runs(_SERVER)
            seen = seen or alive
            gone = 0.0 if alive or not seen else gone + _PATIENCE / 20
        say(
            f"uninas: expected Ray to start on this machine; its {_SERVER} has ended meanwhile, killed for memory or by hand: "
            "start the command again, a search with --resume if it has begun",
            err=True,
        )
        os._exit(1)  # the guardian cleans up

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        started.set()


def _runs(name: str) -> bool:
    """Whether this process has a child of that name that has not ended. Linux (/proc) only; elsewhere False."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")
        except OSError:
            continue  # it has ended since
        state, parent = rest.split()[:2]
        if head.partition("(")[2] == name and int(parent) == os.getpid() and state != "Z":
            return True
    return False


def _do_not_print_logs_of_the_raylet() -> None:
    """Leave out what Ray prints when its raylet is killed: the last twenty lines of a log. Who started Ray says what happened."""
    worker: Any = importlib.import_module("ray._private.worker")
    usual = worker.print_to_stdstream
    if getattr(usual, "left_out", False):
        return

    def print_others(data: dict[str, Any], *more: Any, **options: Any) -> None:
        if not any("Raylet is terminated" in str(line) for line in data.get("lines", ())):
            usual(data, *more, **options)

    print_others.left_out = True  # type: ignore[attr-defined]
    worker.print_to_stdstream = print_others


def _set_environment(values: Mapping[str, str | None]) -> dict[str, str | None]:
    """Set variables, or remove those of None, in this process and in what Ray has read of them; gives what they were."""
    before = {name: os.environ.get(name) for name in values}
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    raylet: Any = importlib.import_module("ray._raylet")
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()
    return before
