"""A wheel built from the checkout works in an environment of its own: all rooms, commands, configurations by name, types."""

from __future__ import annotations

import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("uninas", "proxies", "search", "downstream")
SCRIPT = Path(__file__).with_name("user_script.py")
SMALL = ("evaluations=4", "window=2", "pool.workers=1", "baseline=false", "finalists.count=1", "finalists.seeds=1")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]


def run(*command: str | Path, folder: Path) -> str:
    """Run a command as a user does, without this checkout on any path; gives what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment.update(OMP_NUM_THREADS="1", COLUMNS="120")
    done = subprocess.run([*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of the sources: a build leaves files beside them."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in (*PACKAGES, "configs"):
        shutil.copytree(ROOT / name, folder / "sources" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "sources")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", folder, folder / "sources", folder=folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and with the requirements of the one that runs the tests."""
    folder = tmp_path_factory.mktemp("environment") / "env"
    run(sys.executable, "-m", "venv", "--without-pip", folder, folder=folder.parent)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, wheel, folder=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "requirements.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return folder


def test_the_wheel_has_all_that_the_sources_have(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for package in PACKAGES:
        there = {path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*") if path.is_file()}
        assert {name for name in there if "__pycache__" not in name} == {name for name in names if name.startswith(f"{package}/")}
        assert f"{package}/py.typed" in names
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    place = f"uninas_ray-{version}.data/data/share/uninas/"
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.*") if "__pycache__" not in path.parts}
    assert there <= {name.removeprefix(place) for name in names}
    tops = {name.partition("/")[0] for name in names}
    assert tops == {*PACKAGES, f"uninas_ray-{version}.data", f"uninas_ray-{version}.dist-info"}


def test_the_packages_are_those_of_the_environment(environment: Path, tmp_path: Path) -> None:
    code = f"import {', '.join(PACKAGES)}; print(*(module.__file__ for module in ({', '.join(PACKAGES)})), sep='\\n')"
    found = run(environment / "bin" / "python", "-c", code, folder=tmp_path).split()
    assert len(found) == len(PACKAGES)
    assert all(Path(file).is_relative_to(environment) for file in found)


def test_commands_run(environment: Path, tmp_path: Path) -> None:
    uninas = environment / "bin" / "uninas"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert run(uninas, "--version", folder=tmp_path) == f"uninas {version}\n"
    assert "26,871,124" in run(uninas, "cost", "coatnet", folder=tmp_path)
    run(uninas, "search", "demo", *SMALL, "--out", "run", folder=tmp_path)
    assert (tmp_path / "run/best.json").is_file()
    (tmp_path / "run/report.html").unlink()
    run(uninas, "report", "run", folder=tmp_path)
    assert "<svg" in (tmp_path / "run/report.html").read_text(encoding="utf-8")


def test_every_configuration_is_found_by_its_name(environment: Path, tmp_path: Path) -> None:
    names = sorted(path.stem for path in (ROOT / "configs").glob("*/*") if path.suffix in (".yaml", ".py"))
    code = "import sys; from uninas.runtime.configurations import find; print(*(find(name) for name in sys.argv[1:]), sep='\\n')"
    found = run(environment / "bin" / "python", "-c", code, *names, folder=tmp_path).split()
    assert [Path(file).stem for file in found] == names
    assert all(Path(file).is_relative_to(environment) for file in found)


def test_a_users_script_has_types_and_runs(environment: Path, tmp_path: Path) -> None:
    shutil.copy(SCRIPT, tmp_path)
    mypy = (sys.executable, "-m", "mypy", "--strict", "--python-executable", environment / "bin" / "python")
    assert "Success" in run(*mypy, "--cache-dir", tmp_path / "cache", SCRIPT.name, folder=tmp_path)
    wrong = (tmp_path / SCRIPT.name).read_text().replace("macs: int =", "macs: str =").replace("rows: int =", "rows: str =")
    wrong = wrong.replace("net: uninas.Architecture =", "net: int =").replace("run: search.Run =", "run: int =")
    (tmp_path / "wrong.py").write_text(wrong)
    done = subprocess.run(
        [*map(str, mypy), "--cache-dir", str(tmp_path / "cache"), "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    found = {line.partition(":")[2].partition(":")[0] for line in done.stdout.splitlines() if "Incompatible types" in line}
    assert len(found) == 4, done.stdout  # what we give has types, none of it is Any
    out = run(environment / "bin" / "python", SCRIPT.name, folder=tmp_path)
    assert re.fullmatch(r"\d+ True \[\] [0-9a-f]{12} 4 report\.html\n", out)
