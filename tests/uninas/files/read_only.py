"""A file system that cannot be written: a folder mounted so, for one process and its children."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_MOUNTED = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


def run_with_read_only(folder: Path, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command for which all below a folder is read-only; skips where this account may not mount."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare: no read-only file system to try")
    mounted = ["unshare", "--mount", "--map-root-user", "sh", "-c", _MOUNTED, "sh", str(folder)]
    tried = subprocess.run([*mounted, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"no read-only file system to try: {tried.stderr.strip()}")
    return subprocess.run([*mounted, *words], cwd=cwd, capture_output=True, text=True, check=False)
