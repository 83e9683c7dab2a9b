"""A Ray of one's own: on loopback alone, and nothing of it left after a kill."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.amounts import quick, slow
from uninas.runtime import ray_local

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


def listening(processes: list[psutil.Process]) -> dict[tuple[str, int], str]:
    """The addresses that processes listen at, and who does."""
    return {
        (connection.laddr.ip, connection.laddr.port): one.name()
        for one in processes
        for connection in one.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def asked(port: int, method: str, path: str, body: object = None, **headers: str) -> int | None:
    """The status of an answer to a request over HTTP; None where nothing is answered that HTTP knows."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


JOBS = "/api/job_agent/jobs/"
JOIN = "import ray; ray.init(address='127.0.0.1:{port}', logging_level='ERROR'); print(ray.cluster_resources())"


@pytest.mark.xdist_group("ray")
def test_without_its_token_it_does_nothing(started: subprocess.Popen[str], tmp_path: Path) -> None:
    """Any user of the machine reaches its loopback: neither an agent of Ray's runs a job for them, nor are they let in."""
    assert started.stdout is not None
    started.stdout.readline()
    process = psutil.Process(started.pid)
    raylet = next(one for one in process.children(recursive=True) if "raylet" in one.name())
    token = raylet.environ()["RAY_AUTH_TOKEN"]
    assert len(token) >= 32
    assert token not in " ".join(" ".join(one.cmdline()) for one in process.children(recursive=True))
    found = listening(process.children(recursive=True))
    job = {"entrypoint": f"touch {tmp_path / 'owned'}"}
    health = [("GET", "/api/healthz"), ("GET", "/api/local_raylet_healthz")]  # the agent that runs jobs answers anybody that
    requests = [("POST", JOBS), ("POST", "/api/jobs/"), ("GET", "/"), ("GET", "/metrics"), *health]
    answers = {port: [asked(port, method, path, job) for method, path in requests] for _, port in found}
    assert {status for statuses in answers.values() for status in statuses} <= {401, None}
    assert any(401 in statuses for statuses in answers.values()), "the agent is there"
    assert 52365 not in answers, "its port is its own"
    agent = next(port for port, statuses in answers.items() if statuses[0] == 401)
    assert asked(agent, "POST", JOBS, job, Authorization="Bearer " + "0" * len(token)) in (401, 403)
    assert not (tmp_path / "owned").exists()
    port = next(port for (_, port), name in found.items() if name == "gcs_server")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    modes = [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * len(token)}]
    for mode in modes[: 1 if quick() else 2]:  # each tries for twenty seconds
        joined = subprocess.run(
            [sys.executable, "-c", JOIN.format(port=port)],
            env={**environment, **mode, "HOME": str(tmp_path), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert joined.returncode != 0
        assert "CPU" not in joined.stdout


def test_a_killed_guardian_leaves_no_folder(tmp_path: Path) -> None:
    """Who closes cleans up then, as the guardian would: a process that still writes there ends, too."""
    folder = tmp_path / "ray"
    folder.mkdir()
    watcher = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    local = ray_local.LocalRay(folder, watcher, {})
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; kept = open(sys.argv[1], 'w'); print(flush=True); sys.stdin.read()", folder / "log"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as left:
        assert left.stdout is not None
        left.stdout.readline()
        watcher.kill()
        watcher.wait()
        local.close()
        assert left.wait(timeout=60) == -signal.SIGKILL
    assert not folder.exists()
    local.close()


WITHOUT_ITS_SERVER = """
import subprocess, sys
from uninas.runtime import ray_local
ray_local._PATIENCE = 0.2
with ray_local._not_ended_by_its_client():
    server = subprocess.Popen([sys.argv[1], "-c", "print(flush=True); import sys; sys.stdin.read()"], stdin=-1, stdout=-1)
    server.stdout.readline()
    while not ray_local._runs("gcs_server"):
        pass
    print("runs", flush=True)
    if sys.argv[2] == "killed":
        server.kill()
        sys.stdin.read()  # as Ray's client, which waits
server.kill()
server.wait()
sys.stdin.readline()
print("went on", flush=True)
"""


@pytest.mark.parametrize("fate", ["killed", "spared"])
def test_a_server_that_ends_while_ray_starts_ends_it_in_one_line(fate: str, tmp_path: Path) -> None:
    server = tmp_path / "gcs_server"
    server.symlink_to(sys.executable)  # a process is called as the file that it was started by
    with subprocess.Popen(
        [sys.executable, "-c", WITHOUT_ITS_SERVER, server, fate],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "runs\n"
        if fate == "killed":
            assert process.wait(timeout=60) == 1
            err = process.stderr.read()
            assert err.startswith("uninas: expected Ray to start on this machine; its gcs_server has ended")
            assert err.count("\n") == 1
        else:
            out, err = process.communicate("go on\n", timeout=60)
            assert (process.returncode, out, err) == (0, "went on\n", "")


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("killed", [True, slow(False)])
def test_it_listens_on_loopback_and_leaves_nothing(killed: bool, started: subprocess.Popen[str]) -> None:
    assert started.stdout is not None
    folder, guardian = started.stdout.readline().split()
    family = psutil.Process(started.pid).children(recursive=True)
    assert int(guardian) in {one.pid for one in family}
    assert any("raylet" in one.name() for one in family)
    found = listening([psutil.Process(started.pid), *family])
    assert found
    assert {ip for ip, _ in found} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert Path(folder).stat().st_mode & 0o077 == 0
    if killed:
        started.kill()
        started.communicate(timeout=60)
    else:
        out, _ = started.communicate("close\n", timeout=120)
        assert out == "closed\n"
        assert started.returncode == 0
    assert psutil.wait_procs(family, timeout=60)[1] == []
    assert not Path(folder).exists()


def test_ctrl_c_comes_back_after_tune() -> None:
    """Tune's own handler would stay behind, and take the first Ctrl-C after its end for one of its run."""
    from ray.tune.tune import _setup_signal_catching

    came: list[int] = []
    before = {number: signal.signal(number, lambda n, frame: came.append(n)) for number in (signal.SIGINT, signal.SIGUSR1)}
    try:
        with ray_local.quiet_tune():
            stopped = _setup_signal_catching()
            os.kill(os.getpid(), signal.SIGINT)
            assert stopped.is_set()
            _setup_signal_catching()
        assert came == []
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGUSR1)
        assert came == [signal.SIGINT, signal.SIGUSR1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
