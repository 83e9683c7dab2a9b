"""The shipped configurations are found by name, in the sources and in an installation."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from uninas.errors import InputError
from uninas.runtime import configurations
from uninas.runtime.configurations import FOLDERS, find

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("demo", "search/demo.yaml"),
        ("search/demo", "search/demo.yaml"),
        ("aws", "cluster/aws.yaml"),
        ("cluster/search", "cluster/search.yaml"),
        ("mask_rcnn_uninas_coco", "mmdet/mask_rcnn_uninas_coco.py"),
        ("upernet_uninas_ade20k", "mmseg/upernet_uninas_ade20k.py"),
    ],
)
def test_the_sources_have_it_by_name(name: str, file: str) -> None:
    assert find(name) == ROOT / "configs" / file


def test_an_unknown_name_is_answered_with_those_there_are_and_the_nearest() -> None:
    with pytest.raises(InputError, match=r"\(autoformer, .*demo, .*zennas.*\); got 'dmeo', nearest is 'demo'"):
        find("dmeo", ("search",))
    with pytest.raises(InputError, match=r"got 'mask_rcnn_uninas_coco'"):
        find("mask_rcnn_uninas_coco", ("search", "cluster"))


def test_an_installation_has_them_in_its_folder_of_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `pip` lays it out: the package in one place, the data in another, no sources."""
    package = tmp_path / "lib" / "uninas" / "runtime"
    package.mkdir(parents=True)
    monkeypatch.setattr(configurations, "__file__", str(package / "configurations.py"))
    data = tmp_path / "env"
    monkeypatch.setattr(
        configurations.sysconfig, "get_path", lambda name, scheme="venv": str(data if scheme == "venv" else "/no")
    )
    with pytest.raises(InputError, match=r"env/share/uninas/configs or .*got none: reinstall the project"):
        find("demo")
    folder = data / "share" / "uninas" / "configs" / "search"
    folder.mkdir(parents=True)
    (folder / "demo.yaml").touch()
    assert find("demo") == folder / "demo.yaml"


def test_every_configuration_is_installed() -> None:
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["data-files"]
    installed = {
        f"{Path(place).name}/{file.name}" for place, globs in table.items() for glob in globs for file in ROOT.glob(glob)
    }
    assert set(table) == {f"share/uninas/configs/{folder}" for folder in FOLDERS}
    there = {f"{folder}/{file.name}" for folder in FOLDERS for file in (ROOT / "configs" / folder).iterdir() if file.is_file()}
    assert installed == there


def test_a_search_and_a_sweep_take_a_name_for_a_file(tmp_path: Path) -> None:
    code = (
        "import sys; from search.config import loading; found = [loading.located(word) for word in sys.argv[1:]]; print(*found)"
    )
    (tmp_path / "zennas").write_text("")
    words = ["demo", "zennas", "demo.yaml", "sub/demo"]
    made = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert made.stdout.split() == [str(ROOT / "configs/search/demo.yaml"), *words[1:]]  # a file of one's own comes first
