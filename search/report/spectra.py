"""Fisher spectra of the best network and of the presets, kept in the run folder so that they are computed once.

The only part of the report that needs torch, and only when the file spectra.json does not hold the answer already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uninas
from search.engine.finals.finalists import held_out_seeds
from search.report.data import Run
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import write_json

BEST = "best"
_VERSION = 3
CPU_IMAGES = 8
"""The most images of a spectrum that a processor computes."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a network's Fisher matrix, ascending, with their deciles and VKDNW (the deciles' entropy in nats)."""

    eigenvalues: tuple[float, ...]
    deciles: tuple[float, ...]
    entropy: float


@dataclass(frozen=True)
class Spectra:
    """By name, "best" and presets, the spectra; and for those without one the reason."""

    of: Mapping[str, Spectrum]
    left_out: Mapping[str, str]
    images: int


def presets_of(run: Run) -> tuple[dict[str, uninas.Architecture], dict[str, str]]:
    """The presets that the run was compared with, fitted to its budget; and by name why one cannot be built so.

    Where it was compared with none, those at its size, classes, stem, widths and depths.
    """
    built: dict[str, uninas.Architecture] = {}
    left_out: dict[str, str] = {}
    if fitted := {name: run.compared[name] for name in uninas.PRESETS if name in run.compared}:
        return fitted, dict(run.left_out)
    space = run.config.space
    for name in uninas.PRESETS:
        try:
            preset = uninas.preset(
                name,
                widths=space.widths,
                depths=space.depths,
                stem=space.stem,
                classes=run.config.classes,
                input_size=run.size(),
            )
            uninas.cost(preset)
            built[name] = preset
        except InputError as error:
            left_out[name] = str(error)
    return built, left_out


def cached(run: Run, folder: Path) -> Spectra | None:
    """The spectra stored in the run folder, or None where there are none for this network and these settings."""
    try:
        stored = read_json(folder / "spectra.json")
        if stored["key"] != _key(run):
            return None
        of = {
            name: Spectrum(_finite(one["eigenvalues"]), _finite(one["deciles"], 9), *_finite([one["entropy"]]))
            for name, one in stored["spectra"].items()
        }
        return Spectra(of, dict(stored["left_out"]), int(stored["images"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None  # a cache that cannot be read is no cache: the spectra are computed again


def _finite(values: Any, count: int | None = None) -> tuple[float, ...]:
    """Check numbers of a file. Raises ValueError or TypeError: none, another number of them, or one that is not finite."""
    found = tuple(map(float, values))
    if not found or not all(map(math.isfinite, found)) or len(found) != (count or len(found)):
        raise ValueError("no numbers of a spectrum")
    return found


def compute(run: Run, folder: Path | None = None) -> Spectra:
    """Compute the spectra at the run's size and classes; store them in the run folder where that is given.

    They are those of the first held-out seed: under the search's own seed the best network was selected.

    Without a GPU at most `CPU_IMAGES` of the run's batch are used: a spectrum is there to be looked at, and five networks of full
    size with the whole batch would take a processor an hour. A network that cannot be scored so is left out with its reason.
    """
    device = _device()
    images = run.config.batch if device == "cuda" else min(run.config.batch, CPU_IMAGES)
    presets, left_out = presets_of(run)
    networks = ({BEST: run.best} if run.best is not None else {}) | presets
    of = {}
    for name, architecture in networks.items():
        spectrum = _spectrum(run, architecture, device, images)
        if isinstance(spectrum, Spectrum):
            of[name] = spectrum
        else:
            left_out[name] = spectrum
    found = Spectra(of, left_out, images)
    if folder is not None:
        store(found, run, folder)
    return found


def store(found: Spectra, run: Run, folder: Path) -> None:
    """Store computed spectra in the run folder. Raises InputError: it is not writable, or the disk is full."""
    stored = {
        "key": _key(run),
        "device": _device(),
        "images": found.images,
        "spectra": {
            name: {"eigenvalues": list(one.eigenvalues), "deciles": list(one.deciles), "entropy": one.entropy}
            for name, one in found.of.items()
        },
        "left_out": dict(found.left_out),
    }
    write_json(folder / "spectra.json", stored)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _spectrum(run: Run, architecture: uninas.Architecture, device: str, images: int) -> Spectrum | str:
    """The spectrum of one network on fresh weights, or why it has none."""
    import proxies
    import uninas.compile

    config = run.config
    options = {name: value for name, value in _options(run).items() if value is not None}
    seed = _seed(run)
    try:
        module, shape = uninas.compile.build(architecture, classes=config.classes), (architecture.in_channels, *run.size())
        with proxies.prepared(module, input_shape=shape, batch=images, seed=seed, device=device) as inputs:
            found = proxies.fisher_spectrum(module, inputs, seed=seed, **options)
    except (proxies.ProxyFailure, InputError) as error:
        return str(error)
    except (MemoryError, RuntimeError) as error:
        if proxies.out_of_memory(error):
            return "out of memory"
        raise
    return Spectrum(tuple(found.eigenvalues), tuple(found.deciles), found.entropy)


def _seed(run: Run) -> int:
    return held_out_seeds(run.config.seed, 1)[0]


def _options(run: Run) -> dict[str, Any]:
    proxies = run.config.proxies
    return {"smoothing": proxies.smoothing, "micro_batch": proxies.micro_batch, "probes": proxies.probes}


def _key(run: Run) -> dict[str, Any]:
    """What decides the spectra, as JSON gives it back."""
    config = run.config
    return {
        "version": _VERSION,
        "best": run.best.digest if run.best is not None else None,
        "size": list(config.size),
        "classes": config.classes,
        "batch": config.batch,
        "seed": _seed(run),
        "beside": {name: network.digest for name, network in run.compared.items()},
        "widths": config.space.widths,
        "depths": config.space.depths,
        "stem": config.space.stem,
        "options": _options(run),
    }
