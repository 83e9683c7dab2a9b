"""Foreign files in our packages are noticed, wherever they come from, with what to do in a line; and the version is known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.search.conftest import ROOT
from uninas.runtime.foreign import LANDMARKS, foreign_files
from uninas.runtime.version import version


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder as pip leaves it: the space as it is, of each other package its landmark."""
    shutil.copytree(ROOT / "uninas", tmp_path / "uninas", ignore=shutil.ignore_patterns("__pycache__"))
    for name, landmark in LANDMARKS.items():
        if name != "uninas":
            (tmp_path / name / landmark).parent.mkdir(parents=True, exist_ok=True)
            for file in ("__init__.py", landmark):
                shutil.copy(ROOT / name / file, tmp_path / name / file)
    (tmp_path / "uninas_ray-0.1.0.dist-info").mkdir()
    (tmp_path / "uninas_ray-0.1.0.dist-info" / "RECORD").write_text("uninas/__init__.py,,\nsearch/__init__.py,,\n")
    return tmp_path


def install(site: Path, name: str, files: dict[str, str]) -> None:
    """What pip does for a wheel: files, whatever was there before, and a record of them."""
    for file, text in files.items():
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text)
    (site / f"{name}-1.0.dist-info").mkdir()
    (site / f"{name}-1.0.dist-info" / "RECORD").write_text("".join(f"{file},,\n" for file in files))


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run([sys.executable, "-P", *words], cwd=site, env=environment, capture_output=True, text=True)


def replaced(site: Path) -> None:
    install(site, "UniNAS", {"uninas/__init__.py": "", "uninas/main.py": ""})


def mixed(site: Path) -> None:
    install(site, "proxies", {"proxies/pool.py": ""})


def taken(site: Path) -> None:
    shutil.rmtree(site / "downstream")
    install(site, "downstream", {"downstream/__init__.py": ""})


def removed(site: Path) -> None:
    (site / "search" / "__init__.py").unlink()


CASES: dict[Callable[[Path], None], str] = {
    replaced: "the distribution 'uninas' has put files among those of uninas-ray: pip uninstall uninas, then reinstall",
    mixed: "the distribution 'proxies' has put files among those of uninas-ray: pip uninstall proxies, then reinstall",
    taken: "is not that of uninas-ray: uninstall what put it there, then reinstall",
    removed: "has lost its __init__.py to another distribution: reinstall",
}


def test_our_own_files_are_no_foreign_ones(site: Path) -> None:
    assert all((ROOT / name / landmark).is_file() for name, landmark in LANDMARKS.items())
    assert foreign_files() is None
    assert foreign_files([str(site)]) is None
    install(site, "downstream", {"upstream/__init__.py": ""})  # another package under that name
    assert foreign_files([str(site)]) is None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_foreign_files_are_named_with_what_to_do(case: Callable[[Path], None], site: Path) -> None:
    case(site)
    found = foreign_files([str(site)])
    assert found is not None
    assert CASES[case] in found
    assert "\n" not in found


def test_an_import_warns_and_goes_on(site: Path) -> None:
    mixed(site)
    done = run(site, "-c", "import uninas; print(uninas.preset('resnet').classes)")
    assert (done.returncode, done.stdout) == (0, "1000\n")
    assert done.stderr.count("pip uninstall proxies") == 1


def test_the_command_warns_even_where_the_package_itself_was_replaced(site: Path) -> None:
    replaced(site)
    done = run(site, "-m", "uninas.cli", "--version")
    assert done.returncode == 0
    assert done.stderr.count("pip uninstall uninas") == 1


# --- versions ---------------------------------------------------------------------------------------------------------------


def test_a_checkout_says_its_version_without_being_installed(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "uninas-ray"\nversion = "7.8.9"\n')
    assert version(tmp_path) == "7.8.9"
    done = subprocess.run([sys.executable, "-m", "uninas.cli", "--version"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"uninas {version()}\n", "")


@pytest.mark.parametrize("text", [None, "[project]\n", '[project]\nname = "other"\nversion = "3"\n', "no toml ["])
def test_another_project_around_the_packages_is_no_checkout(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    assert version(tmp_path) == version(tmp_path / "nowhere")
    assert version(tmp_path) != "3"
