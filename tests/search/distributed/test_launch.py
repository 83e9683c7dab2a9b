"""Launching for real: Ray's cluster launcher against machines with sshd, a job on a running head, and what they leave behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from search.journal import journal
from tests.search.conftest import ROOT, records
from tests.search.distributed.machines import HOME, Machines, missing
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
CLUSTER = ROOT / "configs" / "cluster"
CHEAP = ("objective=flops", "algorithm_options.population=8", "finalists.count=2", "finalists.seeds=2")
FILES = {"config.yaml", "journal.jsonl", "run.json", "best.json", "finalists", "report.html"}
UNABLE = missing()


def scored(run: Path) -> list[int]:
    """Indices of the candidates in a journal that may still be growing."""
    if not (run / "journal.jsonl").is_file():
        return []
    found = [line for line in journal.read(run / "journal.jsonl") if line["kind"] == "candidate"]
    return [line["index"] for line in found]


def wait(what: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until something holds; a process that ends before has failed."""
    wait_until(what, process, every=0.2)
    assert process is None or what(), process.communicate()[0]


def cluster_file(machines: Machines) -> str:
    """The shipped file, with what it says to CHANGE changed, on the laptop."""
    config = yaml.safe_load((CLUSTER / "search.yaml").read_text())
    head, *workers = machines.addresses
    config["provider"].update(head_ip=head, worker_ips=workers)
    config["auth"].update(ssh_user="root", ssh_private_key=f"{HOME}/.ssh/id_test")
    (machines.laptop.home / "search.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    return f"{HOME}/search.yaml"


@pytest.mark.skipif(UNABLE is not None, reason=str(UNABLE))
@pytest.mark.timeout(1800)
def test_a_cluster_over_ssh_is_started_searches_resumes_and_is_stopped(tmp_path: Path) -> None:
    """Two machines: the head and one that it starts itself; the first search loses its terminal in the middle."""
    with Machines(tmp_path, 2) as machines:
        cluster = cluster_file(machines)
        head, other = machines.machines
        run = head.home / "runs" / "mine"
        machines.run("ray", "up", cluster, "--yes")
        assert (head.home / ".ray" / "auth_token").stat().st_mode & 0o077 == 0

        def status() -> str:
            return machines.run("ray", "exec", cluster, "ray status")

        wait(lambda: "/4.0 CPU" in status() or f"/{2 * (os.cpu_count() or 1)}.0 CPU" in status())

        submit = ("ray", "submit", cluster, "search/submit.py", "--")
        words = ("evaluations=300", "pool.workers=3", *CHEAP, "--out", "runs/mine")
        client = machines.start(*submit, *words)
        wait(lambda: len(scored(run)) >= 10, client)
        os.killpg(client.pid, signal.SIGKILL)  # the laptop is closed: its connection is cut, and the search with it
        client.communicate()
        wait(lambda: not any("uninas.cli" in line for line in head.processes()))
        before = len(scored(run))
        assert 10 <= before < 300

        said = machines.run(*submit, "--resume", "runs/mine", "evaluations=310")
        assert "joining Ray at auto" in said
        assert sorted(scored(run)) == list(range(310))
        assert {path.name for path in run.iterdir()} >= FILES
        summary = json.loads((run / "run.json").read_text())
        assert (summary["status"], summary["name"]) == ("complete", "uninas")
        assert len({line["worker"] for line in records(run) if line["kind"] == "candidate"} - {"reused"}) == 3

        assert any("raylet" in line for line in other.processes())
        machines.run("ray", "down", cluster, "--yes")
        assert not any("raylet" in line or "gcs_server" in line for line in head.processes())
        wait(lambda: not any("raylet" in line for line in other.processes()))  # by itself, when it misses the head


@pytest.fixture
def head(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A Ray head on loopback with a dashboard; gives the environment of a shell that sends it jobs.

    Ended by its process group, never by `ray stop`, which ends every Ray of the machine.
    """
    ports = free_ports(4)
    home = tmp_path / "home"
    home.mkdir()
    with tempfile.TemporaryDirectory(prefix="uninas-", ignore_cleanup_errors=True) as folder:  # short: it holds sockets
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "RAY_AUTH_MODE": "disabled",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # 127.0.0.1
            "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        }
        log = (tmp_path / "head.log").open("wb")
        process = subprocess.Popen(
            [
                Path(sys.executable).parent / "ray",
                "start",
                "--head",
                "--block",
                "--num-cpus=3",
                "--dashboard-host=127.0.0.1",
                f"--port={ports[0]}",
                f"--dashboard-port={ports[1]}",
                f"--ray-client-server-port={ports[2]}",
                f"--dashboard-agent-listen-port={ports[3]}",
                "--object-store-memory=104857600",
                f"--temp-dir={folder}",
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=home,
        )
        try:
            address = f"http://127.0.0.1:{ports[1]}"
            environment["RAY_API_SERVER_ADDRESS"] = address
            wait(lambda: process.poll() is not None or answers(address))
            assert process.poll() is None, (tmp_path / "head.log").read_text()
            yield environment
        finally:
            family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.send_signal(signal.SIGTERM)
            process.wait()
            _, alive = psutil.wait_procs(family, timeout=30)
            for left in alive:
                left.kill()
            log.close()


SECRET = "AKIA-MARKER-IN-THE-ENVIRONMENT"


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def answers(address: str) -> bool:
    """Whether the head takes jobs, which it does when its agent is up."""
    from ray.job_submission import JobSubmissionClient

    try:
        JobSubmissionClient(address).list_jobs()
    except (ConnectionError, RuntimeError):
        return False
    return True


def test_a_job_on_a_running_head(tmp_path: Path, head: dict[str, str]) -> None:
    """As the guide has it: the checkout travels with the job, its log reads well, the run lies where --out says."""
    run = tmp_path / "run"
    command = [
        "ray",
        "job",
        "submit",
        "--submission-id",
        "mine",
        "--working-dir",
        ".",
        "--runtime-env",
        "configs/cluster/runtime_env.yaml",
        "--",
        "python",
        "-m",
        "uninas.cli",
        "search",
        "configs/cluster/search.yaml",
        "evaluations=30",
        "pool.workers=2",
        *CHEAP,
    ]
    done = subprocess.run([*command, "--out", str(run)], cwd=ROOT, env=head, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in run.iterdir()} >= FILES
    assert sorted(scored(run)) == list(range(30))
    summary = json.loads((run / "run.json").read_text())
    assert (summary["status"], summary["name"]) == ("complete", "uninas")
    workers = {line["worker"] for line in records(run) if line["kind"] == "candidate"} - {"reused"}
    assert workers == {"scorer-0", "scorer-1"}

    logs = subprocess.run(
        ["ray", "job", "logs", "mine"], cwd=tmp_path, env=head, capture_output=True, text=True, check=True
    ).stdout
    assert "joining Ray at 127.0.0.1:" in logs, "a job joins its own cluster, unasked"
    assert "search 30/30" in logs
    assert "best of 30" in logs
    ours = logs[logs.index("joining Ray") :]
    assert not {"\r", "\x1b"} & set(ours), "lines, as the dashboard shows them, and no display that is redrawn"
    assert max(len(line) for line in ours.splitlines()) < 250
    for path in run.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes()
    assert SECRET not in logs
