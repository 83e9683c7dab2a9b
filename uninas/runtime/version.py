"""The version of this distribution, whether it is installed or run from a checkout."""

from __future__ import annotations

import importlib.metadata
import tomllib
from pathlib import Path

__all__ = ["version"]


def version(root: Path = Path(__file__).parents[2]) -> str:
    """Return the version of the checkout `root`, else that of the installed distribution; "unknown" where there is neither."""
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        if project["name"] == "uninas-ray":
            return str(project["version"])
    except (OSError, ValueError, KeyError):
        pass  # no checkout: the packages lie in site-packages
    try:
        return importlib.metadata.version("uninas-ray")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
