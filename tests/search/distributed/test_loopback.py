"""Ports: a Ray that a search starts for itself can be reached from this machine only."""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.amounts import slow
from tests.search.conftest import ROOT

# Ray on its own, with the actors and, where asked for, the dashboard; then the sockets of every process below this one.
PROBE = """
import json
import sys

import psutil
from search.distributed.ray_pool import RayPool
from search.config.schema import PoolConfig

def family():
    return psutil.Process().children(recursive=True)

pool = RayPool(PoolConfig(workers=1, dashboard=sys.argv[1] == "dashboard"), evaluator="tests.search.fakes")
pool.start()
sockets = [
    [process.name(), *connection.laddr]
    for process in family()
    for connection in process.net_connections("inet")
    if connection.status == psutil.CONN_LISTEN or (connection.type == 2 and not connection.raddr)
]
pool.close()
print(json.dumps({"sockets": sockets}))
"""


def listeners(tmp_path: Path, dashboard: str) -> list[tuple[str, str, int]]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    for name in [name for name in environment if name.startswith("RAY_")]:  # the defaults of ours, not those of the tests
        del environment[name]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, dashboard], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [tuple(socket) for socket in json.loads(done.stdout)["sockets"]]


@pytest.mark.parametrize("dashboard", ["none", slow("dashboard")])
def test_the_pools_own_ray_listens_on_loopback_only(tmp_path: Path, dashboard: str) -> None:
    found = listeners(tmp_path, dashboard)
    assert any(name.startswith("gcs_server") for name, *_ in found), "the probe saw the processes of Ray"
    outside = [(name, address, port) for name, address, port in found if not is_loopback(address)]
    assert not outside


def is_loopback(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
