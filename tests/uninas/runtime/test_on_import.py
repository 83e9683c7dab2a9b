"""Calls around the import of another package, in processes of their own: imports cannot be undone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
Said = Callable[[str], list[str]]


@pytest.fixture
def said(tmp_path: Path) -> Said:
    """Run code beside a package `other`, which prints when it is executed, and give what was printed."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "__init__.py").write_text("print('code')\nWHERE = __spec__.loader.get_filename('other')\n")
    (tmp_path / "other" / "inner.py").write_text("print('inner')\n")
    (tmp_path / "broken.py").write_text("print('code')\nraise ValueError('broken')\n")
    start = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]\n"
        "from uninas.runtime.on_import import when_imported\n"
        "def hook(name): when_imported(name, before=lambda: print('before'), after=lambda: print('after'))\n"
    )

    def run(code: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    return run


def test_the_calls_come_around_the_packages_code_once(said: Said) -> None:
    assert said("hook('other'); import other.inner; import other; print(len(other.WHERE) > 0)") == [
        "before",
        "code",
        "after",
        "inner",
        "True",
    ]


def test_a_package_that_is_there_already_is_followed_at_once(said: Said) -> None:
    assert said("import other; hook('other'); import other") == ["code", "after"]


def test_looking_for_a_package_is_no_import(said: Said) -> None:
    code = "import importlib.util; hook('other'); importlib.util.find_spec('other'); print('looked'); import other"
    assert said(code) == ["looked", "before", "code", "after"]


def test_two_who_wait_for_one_package_are_both_called(said: Said) -> None:
    assert said("hook('other'); hook('other'); import other") == ["before", "before", "code", "after", "after"]


def test_a_package_that_is_not_installed_stays_an_import_error(said: Said) -> None:
    code = (
        "hook('no_such_package')\ntry:\n    import no_such_package\nexcept ModuleNotFoundError as error:\n    print(error.name)"
    )
    assert said(code) == ["no_such_package"]


def test_after_an_import_that_failed_the_next_one_is_followed_too(said: Said) -> None:
    attempt = "try:\n    import broken\nexcept ValueError as error:\n    print(error)\n"
    assert said("hook('broken')\n" + 2 * attempt) == ["before", "code", "broken"] * 2
