"""What the project requires, from its own metadata: those of the checkout, else of the installed distribution.

of("mm")        the requirements of an extra: [Requirement("onedl-mmengine", "mmengine", ..), ..]
of("")          those that are always there
"""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Requirement", "fits", "of", "pythons"]

_CHECKOUT = Path(__file__).parents[2]
_DISTRIBUTION = "uninas-ray"

_MODULES = {
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "onedl-mmengine": "mmengine",
    "onedl-mmcv": "mmcv",
    "onedl-mmdetection": "mmdet",
    "onedl-mmsegmentation": "mmseg",
}
"""Distribution -> what is imported of it, where the two names differ."""

_ORIGINALS = {
    "onedl-mmengine": "mmengine",
    "onedl-mmcv": "mmcv",
    "onedl-mmdetection": "mmdet",
    "onedl-mmsegmentation": "mmsegmentation",
}
"""Distribution -> another one that has the same modules."""


@dataclass(frozen=True)
class Requirement:
    """One distribution that is required.

    Attributes:
        text: as the metadata state it, such as "ray[default,tune]>=2.49": what pip takes.
        names: of the distribution, and of others that would do.
        module: what is imported of it.
        bounds: of its version, such as ">=2.49"; "" for none.
    """

    text: str
    names: tuple[str, ...]
    module: str
    bounds: str


def of(extra: str = "") -> list[Requirement]:
    """Give the requirements of an extra, those that are always there for ""; none where no metadata are found."""
    return [_read(text) for wanted, text in _stated() if wanted == extra]


def pythons() -> str:
    """Give the bounds of Python's version, such as ">=3.11,<3.14"; "" where no metadata are found."""
    project = _project()
    if project is not None:
        return str(project.get("requires-python", ""))
    try:
        said = importlib.metadata.metadata(_DISTRIBUTION)
        return str(said["Requires-Python"]) if "Requires-Python" in said else ""
    except importlib.metadata.PackageNotFoundError:
        return ""


def fits(version: str, bounds: str) -> bool:
    """Say whether a version is within bounds of the kinds >= and <, which are all that our metadata have.

    Only the numbers of the release count: 2.13.0+cpu is 2.13.0.

    >>> fits("2.13.0+cpu", ">=2.7,<2.14"), fits("2.14.0", "<2.14"), fits("3", "")
    (True, False, True)
    """
    have = _release(version)
    for bound in filter(None, bounds.split(",")):
        found = re.fullmatch(r"\s*(>=|<)\s*(\S+)\s*", bound)
        if found is None:
            raise ValueError(f"requirement: expected bounds of the kinds >= and <; got {bound!r}")
        sign, number = found.groups()
        if (have < _release(number)) == (sign == ">="):
            return False
    return True


def _release(version: str) -> tuple[int, ...]:
    numbers = [int(number) for number in re.split(r"[^0-9.]", version.strip(), maxsplit=1)[0].split(".") if number]
    while numbers and numbers[-1] == 0:
        numbers.pop()  # 2.14.0 is 2.14
    return tuple(numbers)


def _stated() -> Iterable[tuple[str, str]]:
    """Give (extra, requirement) of all that is stated, in its order."""
    project = _project()
    if project is not None:
        yield from (("", _unmarked(text)) for text in project["dependencies"])
        for extra, texts in project.get("optional-dependencies", {}).items():
            yield from ((extra, _unmarked(text)) for text in texts)
        return
    try:
        stated = importlib.metadata.requires(_DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in stated:
        text, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*[\"']([\w-]+)[\"']", marker)
        yield extra[1] if extra else "", text.strip()


def _unmarked(text: str) -> str:
    """Leave out the marker: what it says of Python or the system is not asked here."""
    return text.partition(";")[0].strip()


def _project() -> dict[str, Any] | None:
    """Read the metadata of the checkout; None where this is none of ours."""
    try:
        project = tomllib.loads((_CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return None
    return project if project.get("name") == _DISTRIBUTION else None


def _read(text: str) -> Requirement:
    name, bounds = re.fullmatch(r"([\w.-]+)(?:\[[^\]]*\])?\s*(.*)", text.strip()).groups()  # type: ignore[union-attr]
    names = (name, *([_ORIGINALS[name]] if name in _ORIGINALS else []))
    return Requirement(text.strip(), names, _MODULES.get(name, name), bounds.strip())
