"""What the tests of exported source share: networks with weights that no symmetry hides, written into folders."""

from __future__ import annotations

import importlib.util
import random
import sys
from pathlib import Path
from types import ModuleType

import timm

from downstream.export import export
from downstream.subject import Subject, subject_of
from downstream.weights import weight_files
from tests.uninas.running import scramble
from uninas import Architecture, preset
from uninas.grammar.sampling import sample_network
from uninas.text import to_text

BOUNDS = {"params": 3_000_000, "macs": 100_000_000}


def published(name: str) -> Architecture:
    """A preset or a network of the zoo, at a small size."""
    return preset(name, classes=7, input_size=(64, 64))


def drawn(seed: int) -> Architecture:
    """A network of the universal space."""
    return sample_network(random.Random(seed), input_size=(64, 48), classes=5, bounds=BOUNDS)


def subject(architecture: Architecture, folder: Path, name: str = "found") -> Subject:
    """The network with weights in files."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(to_text(architecture, {"objective": "vkdnw_agg", "place": 1}))
    model = scramble(timm.create_model("uninas", arch=str(path), num_classes=architecture.classes))
    weight_files.save(model.state_dict(), folder / "weights.safetensors")
    return subject_of(str(path), weights=folder / "weights.safetensors")


def folder_of(architecture: Architecture, folder: Path, name: str = "found") -> tuple[Subject, Path]:
    """The network exported; and the folder."""
    chosen = subject(architecture, folder, name)
    export(chosen, "source", folder / "out")
    return chosen, folder / "out"


def imported(folder: Path, name: str) -> ModuleType:
    """The exported file as a module of that name."""
    spec = importlib.util.spec_from_file_location(name, folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
