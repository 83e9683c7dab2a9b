"""What is read of disks, shared memory, ports and GPUs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from uninas.doctor import places
from uninas.runtime import ray_local


def test_a_port_that_is_taken_is_told_and_left_as_it_was() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        fact = places.port(number)
        assert fact.warning is not None
        assert "name another one to ray start" in fact.warning
        assert fact.value.startswith("taken")
    assert places.port(number).warning is None
    assert places.port(number).value.startswith("free")


def test_the_disk_is_that_of_the_nearest_folder_there_is(tmp_path: Path) -> None:
    fact = places.disk("disk of runs", tmp_path / "not" / "there" / "yet")
    assert isinstance(fact.data, dict)
    assert 0 < fact.data["free"] <= fact.data["total"]
    assert not (tmp_path / "not").exists()


def test_little_room_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(places, "FULL", 1.0)
    assert places.disk("disk", tmp_path).warning is None
    monkeypatch.setattr(places, "LITTLE_BYTES", 1 << 60)
    assert "free some" in str(places.disk("disk", tmp_path).warning)
    monkeypatch.setattr(places, "LITTLE_BYTES", 0)
    monkeypatch.setattr(places, "FULL", 0.0)
    assert "which Ray counts as full" in str(places.disk("disk", tmp_path).warning)
    monkeypatch.setattr(ray_local, "OBJECT_STORE_BYTES", 1 << 60)
    assert "--shm-size" in str(places.shared_memory(tmp_path).warning)
    assert "goes to the disk" in str(places.shared_memory(tmp_path / "none").warning)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_stops_a_search(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    fact = places.disk("disk of runs", tmp_path / "runs")
    tmp_path.chmod(0o700)
    assert fact.fatal


def test_gpus_are_those_that_the_driver_knows(tmp_path: Path) -> None:
    for number, model in enumerate(("NVIDIA H200", "NVIDIA A100")):
        folder = tmp_path / f"driver/nvidia/gpus/0000:{number:02}:00.0"
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 7\n")
    assert places.gpus_of_the_driver(tmp_path) == ["NVIDIA H200", "NVIDIA A100"]
    assert places.gpus_of_the_driver(tmp_path / "none") == []


def test_for_what_torch_was_built_is_read_without_importing_it(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/version.py").write_text("__version__ = '2.9.0'\ncuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n")
    assert places.installed_builds("torch", str(tmp_path)) == {"cuda": "12.8", "hip": None}
    assert places.installed_builds("nothing", str(tmp_path)) == {"cuda": None, "hip": None}


@pytest.mark.parametrize(("count", "said"), [(512, "512 B"), (100 << 20, "100 MiB"), (3 << 29, "1.5 GiB"), (3 << 39, "1.5 TiB")])
def test_bytes_in_words(count: int, said: str) -> None:
    assert places.size(count) == said
