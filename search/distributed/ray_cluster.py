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
from collections.abc import Callable
from typing import Any, final

from search.config.schema import PoolConfig
from search.config.warnings import cores_warnings
from search.workers import interrupts
from uninas.errors import InputError
from uninas.runtime import ray_local

_CONNECT_SECONDS = 5.0  # patience with the address of a cluster


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
        self._own: ray_local.LocalRay | None = None
        self._joined = False

    def connect(self) -> str:
        """Start or join Ray, and check that it has what is asked for; gives its version.

        Raises:
            InputError: no cluster at the address, or too few CPUs or GPUs.
        """
        address = self._config.address or _submitted_address()
        if address is None or _is_loopback(address):
            ray_local.stay_on_loopback()
        ray: Any = importlib.import_module("ray")  # untyped in part
        if not ray.is_initialized():
            if address is None:
                self._start()
            else:
                self._join(ray, address)
        check_resources(self._config, ray.cluster_resources())
        version: str = ray.__version__
        return version

    def _start(self) -> None:
        cores, workers = ray_local.cores(), self._config.workers
        for warning in cores_warnings(self._config, cores):
            self._note(warning)
        self._note("starting Ray on this machine (about ten seconds)")
        self._own = ray_local.start(cpus=max(cores, workers), dashboard=self._config.dashboard, spare=interrupts.SPARED.add)
        if self._own.dashboard is not None:
            self._note(f"Ray's dashboard: http://{self._own.dashboard} asks for the token in {self._own.token}")

    def _join(self, ray: Any, address: str) -> None:
        ray_local.defaults()
        self._note(f"joining Ray at {address}")
        _refuse_silence(address)
        self._joined = True
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(f"pool.address: expected a Ray cluster at '{address}'; {first_line(error)}") from None

    def ended(self) -> str | None:
        """Name a process of an own Ray, without which it does nothing, that has ended by itself; None where all live."""
        return None if self._own is None else self._own.ended()

    def close(self) -> None:
        """End what `connect` began. May be called at any time, also twice."""
        import ray

        if self._own is not None:
            self._own.close()
        elif self._joined and ray.is_initialized():
            ray.shutdown()
        self._own, self._joined = None, False


def check_resources(config: PoolConfig, resources: dict[str, float]) -> None:
    """Refuse what Ray would wait for in silence for ever: more workers to begin with than there is room for.

    Raises:
        InputError: too few CPUs or GPUs.
    """
    workers, gpus = config.workers if config.min_workers is None else config.min_workers, config.gpus_per_worker
    hint = " (pool.min_workers begins with fewer, and grows as the cluster does)" if config.min_workers is None else ""
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
