"""Fixtures of the search tests: one Ray for all that need one, run folders, the records of a journal."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.config.schema import PoolConfig, SearchConfig
from search.engine import driver
from search.journal import journal
from search.monitor.progress import PlainView, View
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool
from tests.search.drive import toy_config, toy_pool
from tests.search.fakes import ToySpace
from uninas.runtime import ray_local

ROOT = Path(__file__).parents[2]
VOLATILE = ("seconds", "worker", "attempts", "peak_bytes")  # what one seed does not decide
NOTED = ("code",)  # kinds of record that say which program wrote what follows: the seed does not decide that either


@pytest.fixture(scope="session")
def ray_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Ray with ten slots, shared by the session; this process is connected to it."""
    # workers and child processes import `search` and `tests` as this process does
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.update(RAY_AUTH_MODE="disabled", RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    ray_local.stay_on_loopback()
    import ray

    with tempfile.TemporaryDirectory(prefix="uninas-", ignore_cleanup_errors=True) as folder:
        context = ray.init(
            address="local",
            num_cpus=10,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=100 << 20,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
            _node_ip_address="127.0.0.1",
        )
        yield context.address_info["gcs_address"]
        ray.shutdown()


def records(folder: Path) -> list[dict[str, Any]]:
    """All records of a run's journal."""
    return list(journal.read(folder / "journal.jsonl"))


def stable(folder: Path) -> list[dict[str, Any]]:
    """The journal without what one seed does not decide."""
    kept = [record for record in records(folder) if record["kind"] not in NOTED]
    return [{key: value for key, value in record.items() if key not in VOLATILE} for record in kept]


class Notes:
    """A view that keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.view = PlainView(lambda text: self.notes.append(text), clock=lambda: 0.0)


def run_toy(
    folder: Path,
    *overrides: str,
    space: ToySpace | None = None,
    view: Any = None,
    maker: Any = toy_pool,
) -> dict[str, Any]:
    """Run a toy search to its end; gives run.json."""
    config: SearchConfig = toy_config(*overrides)
    return driver.begin(config, folder, view=view or Notes().view, space=space or ToySpace(), pool_maker=maker)


def resume_toy(
    folder: Path, space: ToySpace | None = None, view: Any = None, accept_changes: bool = False, **overrides: int
) -> dict[str, Any]:
    """Take a toy search up."""
    return driver.resume(
        folder,
        overrides,
        view=view or Notes().view,
        space=space or ToySpace(),
        pool_maker=toy_pool,
        accept_changes=accept_changes,
    )


def cut_and_resumed(whole: Path, folder: Path, lines: int) -> Iterator[list[dict[str, Any]]]:
    """Cut the journal of a copy of a finished toy run before each of its last lines, and resume it; give what it then holds."""
    shutil.copytree(whole, folder)
    kept = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(len(kept) - lines, len(kept)):
        (folder / "journal.jsonl").write_bytes(b"".join(kept[:count]))
        resume_toy(folder)
        yield stable(folder)


def resume_without_a_pool(folder: Path) -> None:
    """Take up a finished toy search, in which nothing may be left to score."""

    def no_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
        raise AssertionError("there is nothing to score")

    driver.resume(folder, view=Notes().view, space=ToySpace(), pool_maker=no_pool)


@pytest.fixture
def python() -> list[str]:
    """How to start this interpreter on the toy driver."""
    return [sys.executable, "-m", "tests.search.drive"]
