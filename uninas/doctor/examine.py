"""The examination: facts about the machine, and for each thing that one may want to do whether it can be done, and what mends it.

report = examine(Path("runs"), quick=False)
report.ready                     whether a search can run
report.facts, report.purposes    for a person; report.as_dict() for a program
"""

from __future__ import annotations

import importlib.util
import platform
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uninas.doctor import places, requirements
from uninas.doctor.packages import Package, Probe, found, import_all, operators_there
from uninas.doctor.places import Fact, size
from uninas.runtime import foreign, installing, machine
from uninas.runtime.version import version

__all__ = ["Lack", "Purpose", "Report", "examine"]

_TRAINING = ("timm", "torchvision")
"""Modules of trainings and exports, beside those that a search needs: timm, and what timm imports."""

_DASHBOARD = "ray.dashboard.optional_deps"
"""A module of Ray's that imports all that its dashboard needs."""

_CUDA = (
    "pip install --force-reinstall torch    # PyPI's builds for Linux have CUDA; others: https://pytorch.org/get-started/locally/"
)


@dataclass(frozen=True)
class Lack:
    """Something that is missing or broken, and the command that mends it; "" where no command does."""

    what: str
    cure: str = ""


@dataclass(frozen=True)
class Purpose:
    """Something that one may want to do here.

    Attributes:
        name: what.
        lacks: what it cannot be done without; it is ready where nothing is lacking.
        notes: what its user should know all the same.
        essential: whether a search cannot run without it.
    """

    name: str
    lacks: tuple[Lack, ...] = ()
    notes: tuple[str, ...] = ()
    essential: bool = False

    @property
    def ready(self) -> bool:
        """Whether nothing is lacking."""
        return not self.lacks


@dataclass(frozen=True)
class Report:
    """What was found."""

    facts: tuple[Fact, ...]
    purposes: tuple[Purpose, ...]
    packages: tuple[Package, ...]

    @property
    def ready(self) -> bool:
        """Whether a search can run."""
        return all(purpose.ready for purpose in self.purposes if purpose.essential)

    def as_dict(self) -> dict[str, Any]:
        """Give the report as JSON-able data."""
        return {
            "ready": self.ready,
            "facts": {fact.name: {"value": fact.data, "text": fact.value, "warning": fact.warning} for fact in self.facts},
            "packages": {
                package.requirement.names[0]: {
                    "version": package.version,
                    "required": package.requirement.bounds,
                    "problem": package.problem,
                }
                for package in self.packages
            },
            "purposes": {
                purpose.name: {
                    "ready": purpose.ready,
                    "essential": purpose.essential,
                    "missing": [{"what": lack.what, "command": lack.cure or None} for lack in purpose.lacks],
                    "notes": list(purpose.notes),
                }
                for purpose in self.purposes
            },
        }


def examine(folder: Path, *, quick: bool = False) -> Report:
    """Examine this machine.

    Args:
        folder: where runs would go; its disk counts.
        quick: whether packages are looked for and not imported, so that one that is there and broken is not found.
    """
    base, mm, onnx = requirements.of(), requirements.of("mm"), requirements.of("onnx")
    own = [one for one in mm if one.module not in {other.module for other in base}]  # the rest of mm are bounds
    bounds = [one for one in mm if one not in own]
    probes = {} if quick else _import(base, own, onnx)
    packages = {one.requirement.module: one for one in found([*base, *own, *onnx], probes)}
    graphics, usable = _graphics(probes)
    facts = [
        Fact("uninas", version(), version()),
        _python(),
        *places.processor(),
        graphics,
        *_versions(packages, own),
        places.disk("disk of runs", folder),
        places.temporary(),
        places.shared_memory(),
        *(places.port(number) for number in places.PORTS),
    ]
    needed = [packages[one.module] for one in base if one.module not in _TRAINING]
    purposes = [
        Purpose("search", (*_stop(facts), *_lacks(needed)), essential=True),
        Purpose("scoring on GPUs", _no_graphics(usable)),
        Purpose("training", *_training(packages, probes, quick=quick)),
        Purpose("detection and segmentation", _openmmlab([packages[one.module] for one in own], bounds, packages, probes, quick)),
        Purpose("export to ONNX", _lacks([packages[one.module] for one in onnx])),
        Purpose("dashboards", *_dashboards(packages, probes)),
    ]
    return Report(tuple(facts), tuple(purposes), tuple(packages.values()))


Requirements = Sequence[requirements.Requirement]


def _import(base: Requirements, mm: Requirements, onnx: Requirements) -> dict[str, Probe]:
    """Try all imports, as many processes at a time as there are cores."""
    others = [one.module for one in base if one.module not in ("torch", "ray", *_TRAINING)]
    groups = [
        ["torch", "cuda"],
        ["ray", "ray.tune", _DASHBOARD],
        others,
        ["repair", *reversed(_TRAINING)],
        ["repair", *(one.module for one in mm), "mmcv._ext"],
        [one.module for one in onnx],
    ]
    present = [
        [name for name in group if "." in name or name in ("cuda", "repair") or importlib.util.find_spec(name) is not None]
        for group in groups
    ]
    heads = ("torch", "ray", None, "timm", "mmengine", None)  # without which the rest of a group says nothing
    wanted = [group for group, head in zip(present, heads, strict=True) if group and (head is None or head in group)]
    return import_all(wanted, machine.cores())


def _python() -> Fact:
    have, bounds = platform.python_version(), requirements.pythons()
    if bounds and not requirements.fits(have, bounds):
        return Fact("Python", have, have, f"expected {bounds}: make a new environment with another Python", fatal=True)
    return Fact("Python", have, have)


def _versions(packages: Mapping[str, Package], own: Requirements) -> list[Fact]:
    """Give the versions of what people ask about first; all others are in the JSON object."""
    facts = []
    for module in ("torch", "ray", "timm", *(one.module for one in own), "onnx", "onnxruntime"):
        package = packages.get(module)
        if package is None:
            continue
        have, build = package.version or "none", ""
        if module == "torch" and package.version is not None:
            builds = _builds()
            build = f", built for {_named(builds)}"
        if module == "mmcv" and package.version is not None:
            build = ", with operators" if operators_there() else ", without operators"
        said = None if package.version is None else package.problem
        facts.append(Fact(module, have + build, package.version, said))
    return facts


def _builds() -> dict[str, str | None]:
    spec = importlib.util.find_spec("torch")
    place = Path(spec.origin).parents[1] if spec is not None and spec.origin else None
    return places.installed_builds("torch", str(place) if place else None)


def _named(builds: Mapping[str, str | None]) -> str:
    kinds = {"cuda": "CUDA", "hip": "ROCm"}
    return next((f"{kinds[name]} {value}" for name, value in builds.items() if value), "processors alone")


def _graphics(probes: Mapping[str, Probe]) -> tuple[Fact, bool | Lack]:
    """Say which GPUs there are, and whether torch can use them: whether it can, or what is lacking."""
    driver = places.gpus_of_the_driver()
    there = importlib.util.find_spec("torch") is not None
    builds = _builds() if there else {}
    cuda = probes.get("cuda", Probe())
    if cuda.value:
        names = ", ".join(f"{name}, {size(memory)}" for name, memory in cuda.value)
        return Fact("GPUs", names, [{"name": name, "memory": memory} for name, memory in cuda.value]), True
    data = [{"name": name, "memory": None} for name in driver]
    if not driver:
        return Fact("GPUs", "none found", data), Lack("no GPU was found: networks are scored and trained on processor cores")
    if there and not any(builds.values()):
        said = "torch was built for processors alone"
        return Fact("GPUs", ", ".join(driver), data, said), Lack(f"{said}, and here is {driver[0]}", _CUDA)
    if cuda.problem is None and cuda.value is None:  # torch was not asked
        return Fact("GPUs", ", ".join(driver), data), True
    said = f"torch cannot use it: {cuda.problem or 'its CUDA finds no device'}"
    return Fact("GPUs", ", ".join(driver), data, said), Lack(said, "nvidia-smi    # says whether the driver works")


def _no_graphics(usable: bool | Lack) -> tuple[Lack, ...]:
    return (usable,) if isinstance(usable, Lack) else ()


def _stop(facts: Iterable[Fact]) -> tuple[Lack, ...]:
    """Give what of the machine stops a search, and files of other projects among ours."""
    found = [Lack(f"{fact.name}: {fact.warning}") for fact in facts if fact.fatal]
    others = foreign.foreign_files()
    return (*found, *([] if others is None else [Lack(others)]))


def _lacks(packages: Iterable[Package]) -> tuple[Lack, ...]:
    """Give what is wrong with packages: all that are absent or of another version by one command."""
    bad = [package for package in packages if package.problem is not None]
    absent = [one for one in bad if one.version is None or one.problem is None or one.problem.startswith("expected ")]
    broken = [one for one in bad if one not in absent]
    found = []
    if absent:
        what = "; ".join(f"{one.requirement.names[0]}: {one.problem}" for one in absent)
        found.append(Lack(what, shlex.join(["pip", "install", *(one.requirement.text for one in absent)])))
    for one in broken:
        exact = f"{one.name or one.requirement.names[0]}=={str(one.version).partition('+')[0]}"  # any build of the version
        cure = shlex.join(["pip", "install", "--force-reinstall", "--no-deps", exact])
        found.append(Lack(f"{one.requirement.names[0]} {one.version} cannot be imported: {one.problem}", cure))
    return tuple(found)


def _training(
    packages: Mapping[str, Package], probes: Mapping[str, Probe], *, quick: bool
) -> tuple[tuple[Lack, ...], tuple[str, ...]]:
    """What trainings lack, and whether torchvision had to be repaired."""
    found = [*_lacks([packages["timm"]])] if "timm" in packages else []
    if importlib.util.find_spec("torchvision") is None:
        found.append(Lack("torchvision: not installed", "pip install torchvision"))
    elif not quick and (said := probes.get("torchvision", Probe()).problem) is not None:
        found.append(Lack(f"torchvision cannot be imported: {said}", "pip install --force-reinstall torch torchvision"))
    mended = probes.get("repair", Probe()).value is True
    said = "torchvision was built for another torch: it is repaired when it is imported, and has no operators of its own"
    return tuple(found), (said,) if mended else ()


def _openmmlab(
    own: Sequence[Package], bounds: Requirements, packages: Mapping[str, Package], probes: Mapping[str, Probe], quick: bool
) -> tuple[Lack, ...]:
    """What detection and segmentation lack: packages, mmcv's operators, and a torch and NumPy that OpenMMLab bears."""
    found = []
    absent = [one for one in own if one.version is None]
    if absent:
        names = ", ".join(one.requirement.names[0] for one in absent)
        build = f"{installing.MMCV}; " if any(one.requirement.module == "mmcv" for one in absent) else ""
        found.append(Lack(f"not installed: {names}", f"{build}{installing.with_extra('mm')}"))
    found += _lacks([one for one in own if one.version is not None])
    if all(one.version is not None for one in own if one.requirement.module == "mmcv") and not operators_there():
        found.append(Lack("mmcv has no compiled operators (mmcv._ext)", installing.MMCV))
    elif not quick and (said := probes.get("mmcv._ext", Probe()).problem) is not None:
        found.append(Lack(f"mmcv's compiled operators cannot be loaded: {said}", installing.MMCV))
    for bound in bounds:
        package = packages.get(bound.module)
        if package is not None and package.version is not None and not requirements.fits(package.version, bound.bounds):
            what = f"{bound.module}: expected {bound.bounds}; got {package.version}"
            found.append(Lack(what, shlex.join(["pip", "install", bound.text])))
    return tuple(found)


def _dashboards(packages: Mapping[str, Package], probes: Mapping[str, Probe]) -> tuple[tuple[Lack, ...], tuple[str, ...]]:
    """What Ray's dashboard lacks; and whether Prometheus and Grafana are at hand, which draw figures over time."""
    ray = packages.get("ray")
    found = [Lack("ray: not installed", shlex.join(["pip", "install", ray.requirement.text]))] if ray and not ray.version else []
    said = probes.get(_DASHBOARD, Probe()).problem
    if said is not None and not found:
        found.append(Lack(f"Ray's dashboard cannot be imported: {said}", "pip install 'ray[default]'"))
    absent = [name for name in ("prometheus", "grafana") if not any(map(shutil.which, (name, f"{name}-server")))]
    note = f"not found: {', '.join(absent)}; for figures over time, see docs/guides/watch.md"
    return tuple(found), (note,) if absent else ()
