"""Which packages there are, of which version, and whether they can be imported: each group in a process of its own.

A package that is installed may still fail: built for another torch, or without a library of the system. So it is imported, but
not here: torch and OpenMMLab take seconds and hundreds of megabytes, and what is broken may end the process that imports it.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uninas.doctor.requirements import Requirement, fits

__all__ = ["Package", "Probe", "found", "import_all", "is_there", "operators_there"]

_PATIENCE = 180.0  # seconds for one group: a cold disk, or a machine that is busy with a search

_CHILD = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
said, out = {}, sys.stdout
sys.stdout = sys.stderr  # what packages print is no answer
for name in sys.argv[2:]:
    print("@" + json.dumps([name, "begun"]), file=out, flush=True)
    try:
        if name == "repair":
            from uninas.runtime.torchvision_repair import repair
            value = repair()
        elif name == "cuda":
            import torch
            there = torch.cuda.is_available()
            count = torch.cuda.device_count() if there else 0
            devices = [torch.cuda.get_device_properties(number) for number in range(count)]
            value = [[one.name, one.total_memory] for one in devices]
        else:
            importlib.import_module(name)
            value = True
        answer = [name, "ok", value]
    except BaseException as error:
        answer = [name, "failed", f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"]
    print("@" + json.dumps(answer), file=out, flush=True)
"""


@dataclass(frozen=True)
class Package:
    """A required distribution as it is here.

    Attributes:
        requirement: what is asked for.
        version: of what is installed; None where it is not.
        problem: why it is no good: absent, another version, or what its import raises; None where it is good.
        name: under which its version was found: the requirement's, or that of the project it continues.
    """

    requirement: Requirement
    version: str | None
    problem: str | None
    name: str = ""


@dataclass(frozen=True)
class Probe:
    """What became of an import, or of a question to a package.

    Attributes:
        value: the answer; True for an import.
        problem: why there is none; None where there is one.
    """

    value: Any = None
    problem: str | None = None


def import_all(groups: Iterable[Sequence[str]], processes: int) -> dict[str, Probe]:
    """Import modules, a process for each group, and give what became of each by its name.

    Names are modules; "repair" mends torchvision for those behind it in its group, and "cuda" lists the GPUs that torch can use,
    name and bytes of memory each. `processes`: how many at a time.
    """
    with ThreadPoolExecutor(max(1, processes)) as pool:
        return {name: probe for part in pool.map(_import_group, map(list, groups)) for name, probe in part.items()}


def found(requirements: Iterable[Requirement], probes: Mapping[str, Probe]) -> list[Package]:
    """Say of each requirement whether it is there, in the right version, and what its import said, where it was tried."""
    return [_package(one, probes.get(one.module)) for one in requirements]


def is_there(module: str) -> bool:
    """Whether a top-level module can be found; it is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def operators_there() -> bool:
    """Whether mmcv's compiled operators are there, by their file."""
    spec = importlib.util.find_spec("mmcv") if is_there("mmcv") else None
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return any(any(Path(folder).glob("_ext*")) for folder in folders)


def _package(requirement: Requirement, probe: Probe | None) -> Package:
    found = ((name, known) for name in requirement.names if (known := _version(name)) is not None)
    name, version = next(found, ("", None))
    if not is_there(requirement.module):
        return Package(requirement, None, "not installed")
    if version is not None and not fits(version, requirement.bounds):
        return Package(requirement, version, f"expected {requirement.bounds}; got {version}", name)
    return Package(requirement, version, probe.problem if probe is not None else None, name)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _import_group(names: list[str]) -> dict[str, Probe]:
    """Import one group in a process that finds exactly what this one would: with its path, whatever else Python would add."""
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), *names]
    try:
        made = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
        out, end = made.stdout, f"the process that imported it ended with status {made.returncode}"
    except subprocess.TimeoutExpired as error:
        out = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        end = f"its import took more than {_PATIENCE:g} s"
    answers: dict[str, Probe] = {}
    for line in out.splitlines():
        if line.startswith("@"):
            name, what, *value = json.loads(line[1:])
            if what == "begun":
                answers[name] = Probe(problem=end)  # unless the next line says otherwise
            else:
                answers[name] = Probe(value=value[0]) if what == "ok" else Probe(problem=value[0])
    left = [name for name in names if name not in answers]
    if left and len(left) < len(names):  # behind one that ended the process: they have done nothing wrong
        answers |= _import_group(left)
    for name in left:
        answers.setdefault(name, Probe(problem=end))
    return answers
