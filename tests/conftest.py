"""What every test package shares: property-test profile, one torch thread, the folder of real data."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from proxies import registry
from search.algorithms import ALGORITHMS
from search.workers import own_proxies
from tests.amounts import decide
from uninas.spaces import SPACES

# One thread for every test process and its children: the machine's cores are shared out by pytest-xdist.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Derandomised, so that a red run is red again; no deadline, because machines are noisy.
settings.register_profile("repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


def pytest_configure(config: pytest.Config) -> None:
    """Before any test is imported: is this the quick run?"""
    decide(config.option.markexpr)


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use the session's Ray run in one process, so that there is one Ray."""
    for item in items:
        if "ray_address" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("ray"))


@pytest.fixture(autouse=True)
def what_is_registered() -> Iterator[None]:
    """What a test registers is forgotten after it: the next one finds the tables as a new process does."""
    tables = [
        registry._own,
        registry._loaded,
        own_proxies._homes,
        ALGORITHMS._added,
        ALGORITHMS._loaded,
        SPACES._added,
        SPACES._loaded,
    ]
    before = [dict(table) for table in tables]
    files = list(own_proxies._loaded)
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)  # type: ignore[arg-type]
    own_proxies._loaded[:] = files


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Whatever ran gives Ctrl-C back: else the first one after it would be lost, in this process and in a user's."""
    numbers = (signal.SIGINT, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    after = [signal.getsignal(number) for number in numbers]
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)
    assert after == before, "a handler of SIGINT or SIGUSR1 was left behind"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real data (NAS-Bench-201, the reference's networks), where UNINAS_DATA points; skips visibly without it."""
    folder = os.environ.get("UNINAS_DATA")
    if not folder:
        pytest.skip("UNINAS_DATA is not set: no real data to hold the code against")
    path = Path(folder)
    assert path.is_dir(), f"UNINAS_DATA={folder} is no folder"
    return path
