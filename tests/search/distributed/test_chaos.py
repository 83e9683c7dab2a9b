"""A search on several Ray nodes that come and go: it grows, shrinks, is killed again and again, and finds the same.

The nodes are Ray's own processes on this machine, in a cluster that the test owns; the driver is a process of its own.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import pytest

from tests.search.conftest import ROOT, records, stable
from tests.search.distributed.test_ray_pool import scorers
from tests.search.engine.test_kill import finish, start
from tests.waiting import lines, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # sockets that Ray's test cluster leaves open
]


@final
class Nodes:
    """A head that scores nothing, and nodes of two slots that can be killed."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "temp_dir": str(folder), **self._options()}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address: str = self._cluster.address
        self.nodes: list[Any] = []

    @staticmethod
    def _options() -> dict[str, Any]:
        return {
            "node_ip_address": "127.0.0.1",
            "include_dashboard": False,
            "num_gpus": 0,
            "object_store_memory": 100 << 20,
        }

    def add(self) -> None:
        self.nodes.append(self._cluster.add_node(num_cpus=2, wait=False, **self._options()))

    def kill(self, place: int) -> None:
        self._cluster.remove_node(self.nodes.pop(place), allow_graceful=False)

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    from ray._private import ray_constants

    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    for name, value in {
        "PYTHONPATH": path,
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_worker_niceness": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # loopback, see search.distributed.ray_cluster
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)  # the same for a Ray that is imported already
    with tempfile.TemporaryDirectory(prefix="uninas-", ignore_cleanup_errors=True) as folder:
        # Where the test cluster notes its address, in a folder that it expects to be there.
        monkeypatch.setenv("RAY_TMPDIR", folder)
        (Path(folder) / "ray").mkdir()
        found = Nodes(Path(folder))
        try:
            yield found
        finally:
            found.close()


def scored(folder: Path) -> int:
    return lines(folder / "journal.jsonl")


def living(process: subprocess.Popen[str]) -> list[int]:
    """Wait until scorers live, which after a death takes a while, and give their process ids; none where the driver ended."""
    found: list[int] = []
    wait_until(lambda: bool(found.extend(scorers(os.getpid())) or found), process)
    return found


def workers(folder: Path) -> set[str]:
    return {record["worker"] for record in records(folder) if record["kind"] == "candidate"}


def test_a_pool_grows_and_shrinks_with_the_cluster(nodes: Nodes, tmp_path: Path, python: list[str]) -> None:
    """It begins with one node of two, asks for six, gets them, loses a node, gets another."""
    from tests.search.conftest import run_toy

    run_toy(tmp_path / "serial", "evaluations=1500")
    folder = tmp_path / "run"
    pool = ["evaluations=1500", "pool.kind=ray", "pool.workers=6", "pool.min_workers=1", f"pool.address={nodes.address}"]
    nodes.add()
    process = start(python, "begin", folder, config=pool, behaviour={"delay": 200})
    wait_until(lambda: scored(folder) > 20, process)
    assert len(workers(folder)) == 2
    nodes.add()
    nodes.add()
    wait_until(lambda: len(workers(folder)) >= 6, process)
    seen, at = len(workers(folder)), scored(folder)
    nodes.kill(0)
    wait_until(lambda: scored(folder) > at + 40, process)  # it goes on without that node
    nodes.add()
    wait_until(lambda: len(workers(folder)) >= seen + 2, process)
    assert process.poll() is None, finish(process)  # all of it came to pass while the search ran
    code, _, err = finish(process)
    assert code == 0, err
    assert stable(folder) == stable(tmp_path / "serial")


def test_a_thousand_candidates_and_thirty_deaths(nodes: Nodes, tmp_path: Path, python: list[str]) -> None:
    """Actors, nodes and drivers die at random; one candidate hangs, one eats memory, one raises."""
    plain = tmp_path / "plain"
    pool = ["evaluations=1000", "pool.kind=ray", "pool.workers=4", "pool.min_workers=1", "pool.deadline_s=3"]
    at = [*pool, f"pool.address={nodes.address}"]
    nodes.add()
    nodes.add()
    code, _, err = finish(start(python, "begin", plain, config=["evaluations=20"]))
    assert code == 0, err
    first = [record["digest"] for record in records(plain) if record["kind"] == "candidate"]
    hung, greedy, raising = first[2], first[4], first[6]  # within the first window, whose asks see no score
    vices = {"hang": [hung], "eat": [greedy], "raise": [raising]}

    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "run"
    code, _, err = finish(start(python, "begin", undisturbed, config=at, behaviour=vices))
    assert code == 0, err

    rng = random.Random(0)
    deaths = ["actor"] * 18 + ["node"] * 9 + ["driver"] * 9
    rng.shuffle(deaths)
    options: dict[str, Any] = {"config": at, "behaviour": {**vices, "delay": 40}}
    process, died = start(python, "begin", folder, **options), []
    for kind in deaths:
        due = 20 * (1 + len(died))  # the last at 720: a window lets 128 lines follow at once, so before the end
        wait_until(lambda due=due: scored(folder) >= due, process)  # type: ignore[misc]
        victims = living(process) if kind == "actor" else []
        if process.poll() is not None:
            break
        if victims:
            os.kill(rng.choice(victims), signal.SIGKILL)
        elif kind == "node":
            nodes.kill(rng.randrange(len(nodes.nodes)))
            nodes.add()
        else:
            process.kill()
            finish(process)
            process = start(python, "resume", folder, **options)
        died.append(kind)
    code, out, err = finish(process)
    assert code == 0, err
    assert died == deaths

    found = [record for record in records(folder) if record["kind"] == "candidate"]
    assert [record["index"] for record in found] == list(range(1000))
    assert len({record["digest"] for record in found}) == 1000
    reasons = {record["digest"]: record["reason"].split(":")[0] for record in found if record["reason"]}
    assert reasons == {hung: "deadline", greedy: "quarantined", raising: "ValueError"}
    assert stable(folder) == stable(undisturbed)
    assert out.count("Traceback") == 0
