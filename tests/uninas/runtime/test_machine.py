"""What this process may use of a machine, and what it leaves to others: torch's threads wait asleep, not in a spin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.search.conftest import ROOT
from uninas.runtime import machine

CODE = """
from uninas import cli
try:
    cli.main(["--version"])
finally:
    import torch
"""


def shown(**asked: str) -> str:
    """How often a thread looks before it sleeps, as OpenMP says when torch loads it in a command."""
    environment = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", **asked}
    made = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=environment, capture_output=True, text=True)
    found = re.search(r"GOMP_SPINCOUNT = '(.*)'", made.stderr)
    if found is None:
        pytest.skip("torch was built with another OpenMP than GNU's")
    return found[1]


def test_threads_of_a_command_wait_asleep() -> None:
    """A thread that waits in a spin keeps a core from another process: 57 CPU-seconds for 7 beside a search on all cores."""
    assert shown() == "0"


def test_another_wait_policy_that_was_asked_for_is_kept() -> None:
    assert shown(GOMP_SPINCOUNT="1000") == "1000"


def group(tmp_path: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    """A system that says that this process is in these control groups, with these files below /sys/fs/cgroup."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(own)
    (proc / "meminfo").write_text("MemTotal:  8388608 kB\nMemFree:  1048576 kB\nMemAvailable:  4194304 kB\n")
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(text)
    return proc, groups


def test_cores_are_those_of_the_process_and_no_more_than_its_control_group_may_use(tmp_path: Path) -> None:
    most = len(os.sched_getaffinity(0))
    version_2 = group(
        tmp_path / "a", "0::/docker/mine\n", {"docker/mine/cpu.max": "max 100000\n", "docker/cpu.max": "50000 100000\n"}
    )
    version_1 = group(
        tmp_path / "b", "3:cpuacct,cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "90000\n", "cpu/x/cpu.cfs_period_us": "100000\n"}
    )
    unbound = group(tmp_path / "c", "1:cpu:/\n0::/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu.max": "max 100000\n"})
    plenty = group(tmp_path / "d", "0::/\n", {"cpu.max": "6400000 100000\n"})
    assert [machine.cores(*one) for one in (version_2, version_1, unbound, plenty)] == [1, 1, most, min(most, 64)]


def test_memory_is_that_of_the_machine_and_no_more_than_its_control_group_may_use(tmp_path: Path) -> None:
    gigabyte = 1 << 30
    limit = {
        "memory.max": f"{gigabyte}\n",
        "memory.current": f"{gigabyte // 2}\n",
        "memory.stat": f"inactive_file {gigabyte // 4}\n",
    }
    version_2 = group(tmp_path / "a", "0::/mine/inner\n", {f"mine/{name}": text for name, text in limit.items()})
    old = {"memory.limit_in_bytes": f"{gigabyte}\n", "memory.usage_in_bytes": f"{gigabyte}\n"}
    version_1 = group(tmp_path / "b", "4:memory:/not/seen/here\n", {f"memory/{name}": text for name, text in old.items()})
    unbound = group(tmp_path / "c", "4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"})
    found = [machine.memory(*one) for one in (version_2, version_1, unbound)]
    assert found == [
        machine.Memory(gigabyte, 3 * gigabyte // 4),
        machine.Memory(gigabyte, 0),
        machine.Memory(8 * gigabyte, 4 * gigabyte),
    ]
    assert machine.memory(tmp_path / "nothing", tmp_path) is None
