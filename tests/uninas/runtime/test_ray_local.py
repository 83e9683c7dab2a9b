"""A Ray of one's own: on loopback alone, and nothing of it left after a kill."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.amounts import slow

ROOT = Path(__file__).resolve().parents[3]
CODE = """
import sys
from uninas.runtime import ray_local
spared = []
local = ray_local.start(cpus=1, spare=spared.append)
print(local.folder, *spared, flush=True)
if sys.stdin.readline():
    local.close()
    local.close()
    print("closed", flush=True)
"""


@pytest.fixture
def started() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", CODE]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("killed", [True, slow(False)])
def test_it_listens_on_loopback_and_leaves_nothing(killed: bool, started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None
    folder, guardian = started.stdout.readline().split()
    family = psutil.Process(started.pid).children(recursive=True)
    assert int(guardian) in {one.pid for one in family}
    assert any("raylet" in one.name() for one in family)
    listening = {
        connection.laddr.ip
        for one in (psutil.Process(started.pid), *family)
        for connection in one.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert Path(folder).is_dir()
    if killed:
        started.kill()
        started.communicate(timeout=60)
    else:
        out, _ = started.communicate("close\n", timeout=120)
        assert out == "closed\n"
        assert started.returncode == 0
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert not Path(folder).exists()
