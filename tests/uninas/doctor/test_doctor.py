"""`uninas doctor` on this machine, and where packages are really absent: an interpreter that has no site-packages of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.search.conftest import ROOT
from uninas.doctor.packages import import_all

HEAVY = ("torch", "ray", "timm", "torchvision", "mmengine", "mmcv", "numpy", "pandas", "onnx", "omegaconf")
CODE = f"""
import sys
from uninas.cli import program
status = program.main(["doctor", *sys.argv[1:]], prog_name="uninas", standalone_mode=False)
print("imported:", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
sys.exit(status)
"""


def needed_to_print(name: str) -> bool:
    return name.startswith(("click", "rich", "markdown_it", "mdurl", "pygments"))


def doctor(folder: Path, kept: Callable[[str], bool], *words: str) -> subprocess.CompletedProcess[str]:
    """Run it with those packages alone whose names are kept, as links, and what is there: Python is told of no others."""
    packages = folder / "packages"
    packages.mkdir(exist_ok=True)
    for place in {Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))}:
        for entry in place.iterdir():
            if kept(entry.name.lower()) and not (packages / entry.name).exists():
                (packages / entry.name).symlink_to(entry)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(packages)])}
    command = [sys.executable, "-S", "-c", CODE, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_without_any_package_it_says_what_is_missing_and_ends_with_1(tmp_path: Path) -> None:
    made = doctor(tmp_path, needed_to_print, "--json")
    assert made.returncode == 1, made.stderr
    assert made.stderr == "imported:\n"
    found: dict[str, Any] = json.loads(made.stdout)
    assert found["ready"] is False
    assert {name for name, purpose in found["purposes"].items() if purpose["ready"]} == set()
    (lack,) = found["purposes"]["search"]["missing"]
    assert lack["command"].startswith("pip install 'torch>=")
    assert "'ray[default,tune]>=" in lack["command"]
    assert "click" not in lack["command"]
    mm = found["purposes"]["detection and segmentation"]["missing"][0]
    assert "onedl-mmcv" in mm["what"]
    assert "MMCV_WITH_OPS=1" in mm["command"]
    assert found["packages"]["torch"] == {"version": None, "required": ">=2.7", "problem": "not installed"}


def test_where_only_what_is_optional_is_absent_a_search_can_run(tmp_path: Path) -> None:
    optional = ("mm", "onedl", "onnx", "timm", "torchvision")
    made = doctor(tmp_path, lambda name: not name.startswith((*optional, "__editable__")), "--quick")
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stderr == "imported:\n"
    lines = {line.split("  ")[0]: line for line in made.stdout.splitlines() if line}
    assert lines["search"].split() == ["search", "ready"]
    for purpose in ("training", "detection and segmentation", "export to ONNX"):
        assert lines[purpose].split("  ")[0] == purpose
        assert " missing " in lines[purpose]
    assert "timm: not installed" in lines["training"]
    assert any(line.startswith("to mend: pip install 'onnx>=") for line in made.stdout.splitlines())
    assert not (tmp_path / "runs").exists()


def test_a_torch_that_is_too_old_is_no_good(tmp_path: Path) -> None:
    old = tmp_path / "old"
    (old / "torch").mkdir(parents=True)
    (old / "torch/__init__.py").write_text("raise RuntimeError('it is not imported')")
    (old / "torch-1.13.0.dist-info").mkdir()
    (old / "torch-1.13.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.13.0\n")
    code = f"import sys; sys.path.insert(0, {str(old)!r})\n{CODE}"
    made = subprocess.run([sys.executable, "-c", code, "--quick", "--json"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 1
    (lack,) = json.loads(made.stdout)["purposes"]["search"]["missing"]
    assert lack == {"what": "torch: expected >=2.7; got 1.13.0", "command": "pip install 'torch>=2.7'"}


def test_what_is_installed_and_broken_stops_a_search(tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    (packages / "omegaconf").mkdir(parents=True)
    (packages / "omegaconf/__init__.py").write_text("import antlr_that_is_not_there")
    (packages / "omegaconf-9.1.0.dist-info").mkdir()
    (packages / "omegaconf-9.1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: omegaconf\nVersion: 9.1.0+mine\n")
    made = doctor(tmp_path, needed_to_print, "--json")
    assert made.returncode == 1
    lack = json.loads(made.stdout)["purposes"]["search"]["missing"][-1]
    assert lack["what"].startswith("omegaconf 9.1.0+mine cannot be imported: ModuleNotFoundError: No module named 'antlr_that")
    assert lack["command"] == "pip install --force-reinstall --no-deps omegaconf==9.1.0"


def test_what_is_broken_is_found_by_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.py").write_text("print('noise')")
    (tmp_path / "broken.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    (tmp_path / "deadly.py").write_text("import os; os._exit(7)")
    monkeypatch.syspath_prepend(tmp_path)
    found = import_all([["good", "broken", "no_such_module"], ["deadly", "good"]], processes=2)
    assert found["broken"].problem == "OSError: libcudart.so.12: cannot open shared object file"
    assert str(found["no_such_module"].problem).startswith("ModuleNotFoundError")
    assert found["deadly"].problem == "the process that imported it ended with status 7"
    assert found["good"].problem is None  # behind the deadly one, and imported in a process of its own
    assert found.keys() == {"good", "broken", "no_such_module", "deadly"}
    assert import_all([["good"]], processes=1)["good"].problem is None
    assert not {"good", "broken", "deadly"} & set(sys.modules)


@pytest.mark.slow
def test_here_a_search_can_run_and_its_packages_are_imported_elsewhere(tmp_path: Path) -> None:
    made = subprocess.run([sys.executable, "-c", CODE, "--json"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stderr == "imported:\n"
    found = json.loads(made.stdout)
    assert found["ready"] is True
    assert found["purposes"]["search"] == {"ready": True, "essential": True, "missing": [], "notes": []}
    assert found["facts"]["processor"]["value"]["cores"] >= 1
