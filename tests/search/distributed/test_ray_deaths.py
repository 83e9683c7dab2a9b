"""A search whose own Ray loses one of its processes: Ray is started again, and the journal is the undisturbed one's."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from search.config.schema import PoolConfig
from search.distributed.ray_pool import RayPool
from tests.amounts import slow
from tests.search.conftest import run_toy, stable
from tests.search.engine.test_kill import finish, start
from tests.waiting import wait_for_lines
from uninas.errors import InputError


def part(root: int, name: str) -> psutil.Process:
    """The process of Ray below `root` whose name or command has these words."""
    return next(
        one
        for one in psutil.Process(root).children(recursive=True)
        if name in (one.name(), one.cmdline()[0] if one.cmdline() else "")
    )


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("name", ["raylet", slow("gcs_server"), slow("ray::DashboardAgent"), slow("ray::RuntimeEnvAgent")])
def test_a_part_of_ray_is_killed(name: str, tmp_path: Path, python: list[str]) -> None:
    run_toy(tmp_path / "undisturbed", "evaluations=120")
    folder = tmp_path / "run"
    config = ["evaluations=120", "pool.kind=ray", "pool.workers=2"]
    process = start(python, "begin", folder, config=config, behaviour={"delay": 100})
    wait_for_lines(process, folder / "journal.jsonl", 20)
    part(process.pid, name).kill()
    code, out, err = finish(process)
    assert code == 0, err
    ended = "gcs_server" if name == "gcs_server" else "raylet"
    assert out.count(f"Ray's {ended} has ended; starting Ray again, and what was under way is repeated") == 1
    assert "died" not in out, "no candidate is blamed"
    assert "state-dump" not in out + err, "what Ray says of itself is not shown"
    assert stable(folder) == stable(tmp_path / "undisturbed")


class Dying:
    """A cluster that never comes back to life."""

    starts = 0

    def connect(self) -> str:
        self.starts += 1
        return "0"

    def ended(self) -> str:
        return "raylet"

    def close(self) -> None:
        pass


def test_a_ray_that_dies_again_and_again_ends_the_search_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, cluster = RayPool(PoolConfig(workers=2)), Dying()
    monkeypatch.setattr(pool, "_cluster", cluster)
    monkeypatch.setattr(pool, "_spawn", lambda: None)
    for _ in range(3):
        pool.poll(0.0)
    with pytest.raises(InputError, match=r"^pool: expected Ray to live; its raylet ended, after 3 new starts"):
        pool.poll(0.0)
    assert cluster.starts == 3
