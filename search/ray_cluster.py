"""A Ray to work on: one of our own on this machine, on loopback only, or a cluster that is joined.

    cluster = RayCluster(config, note=print)
    cluster.connect()
    ...
    cluster.close()                 ends an own Ray with every process of it; leaves a joined one as it was

Where this process is connected already, that connection is used, and left open by `close`.
"""

from __future__ import annotations

import importlib
import math
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, final

from search import guardian, interrupts
from search.schema import PoolConfig
from uninas.errors import InputError

_CONNECT_SECONDS = 5.0  # patience with the address of a cluster
_OBJECT_STORE_BYTES = 100 << 20  # jobs and outcomes are a few kilobytes; Ray's default takes 30% of the memory


@final
class RayCluster:
    """See the module's head.

    Args:
        config: workers, GPUs of each, address, dashboard.
        note: told what a person may want to know.
    """

    def __init__(self, config: PoolConfig, *, note: Callable[[str], None]) -> None:
        self._config = config
        self._note = note
        self._guardian: subprocess.Popen[bytes] | None = None
        self._connected_here = False

    def connect(self) -> str:
        """Start or join Ray, and check that it has what is asked for; gives its version.

        Raises:
            InputError: no cluster at the address, or too few CPUs or GPUs.
        """
        address = self._config.address or _submitted_address()
        if address is None or _is_loopback(address):
            # Ray's name for staying on loopback, read at import; else it takes 127.0.0.1 for the machine's own address
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        ray: Any = importlib.import_module("ray")  # untyped in part
        if not ray.is_initialized():
            self._connect(ray, address)
        check_resources(self._config, ray.cluster_resources())
        version: str = ray.__version__
        return version

    def _connect(self, ray: Any, address: str | None) -> None:
        # every variable is a default: what the user has set stays
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's next default; silences its warning
        self._connected_here = True
        if address is not None:
            self._note(f"joining Ray at {address}")
            _refuse_silence(address)
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise InputError(f"pool.address: expected a Ray cluster at '{address}'; {first_line(error)}") from None
            return
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # else Ray may write a token into the user's home
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if self._config.workers > cores and not self._config.gpus_per_worker:
            self._note(f"{self._config.workers} workers share {cores} processor cores: more workers than cores gain nothing")
        os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: starved by anything else on the machine
        self._note("starting Ray on this machine (about ten seconds)")
        folder = tempfile.mkdtemp(prefix="uninas-")  # short: Ray puts sockets into it, whose paths have a limit
        self._guardian = subprocess.Popen(
            [sys.executable, guardian.__file__, folder, str(os.getpid())], stdin=subprocess.PIPE, start_new_session=True
        )
        interrupts.SPARED.add(self._guardian.pid)
        ray.init(
            address="local",
            num_cpus=max(cores, self._config.workers),
            include_dashboard=self._config.dashboard,
            dashboard_host="127.0.0.1",
            object_store_memory=_OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )

    def close(self) -> None:
        """End what `connect` began. May be called at any time, also twice."""
        import ray

        if self._connected_here and ray.is_initialized():
            ray.shutdown()
        self._connected_here = False
        if self._guardian is not None:
            assert self._guardian.stdin is not None
            self._guardian.stdin.close()
            self._guardian.wait()
            self._guardian = None


def check_resources(config: PoolConfig, resources: dict[str, float]) -> None:
    """Refuse what Ray would wait for in silence for ever: more workers to begin with than there is room for.

    Raises:
        InputError: too few CPUs or GPUs.
    """
    workers, gpus = config.min_workers or config.workers, config.gpus_per_worker
    hint = "" if config.min_workers else " (pool.min_workers=1 begins with what there is, and grows as the cluster does)"
    if gpus > 0:
        have = int(resources.get("GPU", 0))
        slots = have * math.floor(1 / gpus + 1e-9) if gpus <= 1 else have // int(gpus)
        if slots < workers:
            raise InputError(
                f"pool: expected room for {workers} workers with {gpus:g} GPU each; Ray has {have} GPUs, room for {slots}{hint}"
            )
    if (cpus := int(resources.get("CPU", 0))) < workers:
        raise InputError(f"pool: expected a CPU slot for each of {workers} workers; Ray has {cpus}{hint}")


def _submitted_address() -> str | None:
    """Give the cluster a submitted Ray job belongs to; a stray RAY_ADDRESS in a shell is no wish to join it."""
    return os.environ.get("RAY_ADDRESS") if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ else None


def _is_loopback(address: str) -> bool:
    return address.removeprefix("ray://").rpartition(":")[0].strip("[]") in ("127.0.0.1", "localhost", "::1")


def _refuse_silence(address: str) -> None:
    """Try to reach HOST:PORT for a few seconds; Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return  # "auto" and the like, which Ray finds or misses at once
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"pool.address: expected a Ray cluster at '{address}'; {error}") from None


def first_line(error: BaseException) -> str:
    """Say what an error says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
