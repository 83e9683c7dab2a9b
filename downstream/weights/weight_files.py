"""Weights files: read safely, loaded strictly.

    tensors = read_tensors("model.safetensors")    or a checkpoint of torch, timm, MMDetection, MMSegmentation
    load(model, "best.pth.tar")                    everything, or an error that says what differs
    load(model, "imagenet.safetensors", new_head=True)

A file is data: pickles are read by torch's restricted loader, which builds only tensors and plain containers.
"""

from __future__ import annotations

import argparse
import mmap
import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from uninas.errors import InputError
from uninas.files.writing import replacing

__all__ = [
    "check",
    "classes_of",
    "load",
    "metadata",
    "must_fit",
    "read_checkpoint",
    "read_tensors",
    "save",
    "save_checkpoint",
    "whole_file",
]

_NESTED = ("state_dict_ema", "model_ema", "state_dict", "model")  # keys under which checkpoints keep a state dict, best first
_ARRAYS = {"_reconstruct": numpy._core.multiarray._reconstruct, "scalar": numpy._core.multiarray.scalar}  # type: ignore[attr-defined]
_WRAPPERS = ("module.", "_orig_mod.")  # distributed, compiled
_BACKBONE = "backbone."  # of a detector or a segmenter


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a file of `save_checkpoint`: tensors and plain data. Raises InputError as `read_tensors`."""
    return _pickled(path)


def save_checkpoint(data: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain data in torch's format, atomically. Raises InputError as `save`."""
    whole_file(path, lambda part: torch.save(dict(data), part))


def read_tensors(path: str | Path, *, whole: bool = False) -> dict[str, Tensor]:
    """Read the tensors of a weights file by their names in the network.

    Args:
        path: .safetensors, or a checkpoint of torch: a state dict, by itself or under a usual key, averaged weights (EMA) first.
        whole: read all of a detector or a segmenter, not only its backbone.

    Raises:
        InputError: no such file, no weights, or a pickle of more than tensors and plain data.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: expected a weights file (.safetensors, .pth); no such file")
    found = _safetensors(path) if path.suffix == ".safetensors" else _pickled(path)
    key = next((key for key in _NESTED if isinstance(found.get(key), Mapping)), None)
    tensors = found if key is None else found[key]
    tensors = {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"{path}: expected tensors by name, or under one of {', '.join(_NESTED)}; got {_shown(found)}")
    for prefix in (*_WRAPPERS * 2, *(() if whole else (_BACKBONE,))):  # wrappers come in either order
        inside = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        tensors = inside or tensors
    return tensors


def metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file; empty for other files. Raises InputError as `read_tensors`."""
    if path.suffix != ".safetensors":
        return {}
    try:
        with safetensors.safe_open(path, "pt") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a safetensors file; {error}") from None


def _safetensors(path: Path) -> dict[str, Any]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a safetensors file; {error}") from None


def _pickled(path: Path) -> dict[str, Any]:
    _check_sizes(path)
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        rejected = re.search(r"(?i)unsupported (?:global|class)\b[^\n]{,80}", str(error))
        if rejected is None:
            raise InputError(f"{path}: expected a checkpoint of torch; it cannot be read as one") from None
        raise InputError(
            f"{path}: expected only tensors and plain data; the file would build other objects, and is rejected ({rejected[0]})"
        ) from None
    except Exception as error:  # on garbage the restricted loader raises nearly anything
        said = str(error).partition("\n")[0][:200] or type(error).__name__
        raise InputError(f"{path}: expected a checkpoint of torch; {said}") from None
    if not isinstance(found, Mapping):
        raise InputError(f"{path}: expected tensors by name; got {type(found).__name__}")
    return dict(found)


def _check_sizes(path: Path) -> None:
    """See that a checkpoint takes about as much memory as it has bytes, before torch unpacks it.

    Raises:
        InputError: members are compressed, as torch never writes them, or claim more than the file has; it would make a
            bytearray, which may have any size, the one such thing that the restricted loader makes.
    """
    try:
        with path.open("rb") as file:
            plain = file.read(2) != b"PK"
            if plain:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    grows = content.find(_GROWS) >= 0
            else:
                with zipfile.ZipFile(file) as archive:
                    _check_members(archive, path)
                    grows = any(_GROWS in archive.read(name) for name in archive.namelist() if name.endswith(".pkl"))
    except InputError:
        raise
    except Exception as error:  # on garbage zipfile raises nearly anything; an empty file cannot be mapped
        said = str(error).partition("\n")[0][:200] or type(error).__name__
        raise InputError(f"{path}: expected a checkpoint of torch; {said}") from None
    if grows:
        raise InputError(f"{path}: expected only tensors and plain data; it would make a bytearray, and is rejected")


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    if packed := next((info for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED), None):
        raise InputError(
            f"{path}: expected a checkpoint as torch writes it, not compressed; got {packed.filename[:80]!r} that is"
        )
    claimed, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
    if claimed > size:
        raise InputError(
            f"{path}: expected a checkpoint of torch; its members claim {claimed:,} bytes, and the file has {size:,}"
        )


_GROWS = b"bytearray"


class _Blank:
    """Stands for what a checkpoint contains besides weights, and is not read here."""

    def __init__(self, *arguments: object) -> None: ...


_HARMLESS: list[Any] = [
    argparse.Namespace,  # in checkpoints of timm: their arguments
    (_Blank, "mmengine.logging.history_buffer.HistoryBuffer"),  # OpenMMLab's hold what was logged: buffers of arrays,
    (_Blank, "builtins.getattr"),
    (_Blank, "__builtin__.getattr"),  # and names of their methods
    numpy.ndarray,
    numpy.dtype,
    *{type(numpy.dtype(kind)) for kind in ("float64", "float32", "int64", "int32")},
    *((function, f"numpy.{core}.multiarray.{name}") for core in ("core", "_core") for name, function in _ARRAYS.items()),
]
"""What the restricted loader may build besides tensors and plain containers."""


def _shown(found: Mapping[str, Any]) -> str:
    return "nothing" if not found else "the keys " + ", ".join(map(str, list(found)[:5]))


def load(module: nn.Module, path: str | Path, *, new_head: bool = False, backbone: bool = False) -> None:
    """Load a weights file into a model, completely.

    Args:
        module: a network in any of its uses: classifier, backbone, detector or segmenter.
        path: see `read_tensors`.
        new_head: keep the module's classifier where it has another number of classes than the file's.
        backbone: the module ends at its last stage: later stages, final norm and classifier of the file are ignored.

    Raises:
        InputError: as `read_tensors`; names or shapes differ, or a value is not finite. The module is unchanged then.
    """
    wanted = module.state_dict()
    tensors = read_tensors(path, whole=any(name.startswith(_BACKBONE) for name in wanted))
    if backbone:
        stages = {name.split(".")[1] for name in wanted if name.startswith("stages.")}
        behind = {f"stages.{name.split('.')[1]}." for name in tensors if name.startswith("stages.")}
        behind -= {f"stages.{stage}." for stage in stages}
        tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith(("norm.", "head.", *behind))}
    if new_head and any(name in wanted and wanted[name].shape != tensor.shape for name, tensor in _head(tensors).items()):
        tensors = {name: wanted[name] if name in _head(tensors) else tensor for name, tensor in tensors.items()}
    classes = [len(where["head.weight"]) for where in (tensors, wanted) if "head.weight" in where]
    if len(classes) == 2 and classes[0] != classes[1]:
        raise InputError(f"{path}: expected a classifier of {classes[1]} classes; it has {classes[0]}")
    _fit(tensors, wanted, path)
    module.load_state_dict(tensors)


def must_fit(path: str | Path, other: str | Path) -> None:
    """Check that a file has the weights of the same whole model as another one.

    Raises:
        InputError: as `load`.
    """
    _fit(read_tensors(path, whole=True), read_tensors(other, whole=True), path)


def _fit(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: str | Path) -> None:
    missing, foreign = sorted(wanted.keys() - tensors.keys()), sorted(tensors.keys() - wanted.keys())
    other = sorted(name for name in wanted.keys() & tensors.keys() if wanted[name].shape != tensors[name].shape)
    if missing or foreign or other:
        raise InputError(
            f"{path}: expected weights of this architecture; "
            + "; ".join(
                f"{len(names)} {what}, the first is {names[0]}"
                for names, what in ((missing, "missing"), (foreign, "unknown"), (other, "of another shape"))
                if names
            )
        )
    broken = [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise InputError(f"{path}: expected finite numbers; {len(broken)} tensors hold NaN or infinity, the first is {broken[0]}")


def _head(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith("head.")}


def save(tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, atomically.

    Raises:
        InputError: the disk is full, or the folder is not writable.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    whole_file(Path(path), lambda part: safetensors.torch.save_file(plain, part, dict(metadata or {})))


def whole_file(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` make a file beside `path`, then move it there. Raises InputError as `save`."""
    try:
        with replacing(path) as part:
            write(part)
            mask = os.umask(0o077)
            os.umask(mask)
            part.chmod(0o666 & ~mask)  # safetensors makes it readable only by its owner
    except (OSError, RuntimeError, SafetensorError) as error:  # torch raises RuntimeError when the disk is full
        raise InputError(f"{path}: cannot be written: {str(error).partition(chr(10))[0]}") from None


def check(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, where: str) -> None:
    """Check that tensors have the names and shapes of those that are wanted, and finite values.

    Raises:
        InputError: `where`, and what differs.
    """
    _fit(tensors, wanted, where)


def classes_of(path: str | Path) -> int | None:
    """Read how many classes the classifier in a weights file has; None where it has none. Raises InputError as `read_tensors`."""
    path = Path(path)
    if path.suffix != ".safetensors":
        weight = read_tensors(path).get("head.weight")
        return None if weight is None else len(weight)
    try:
        with safetensors.safe_open(path, "pt") as file:
            return int(file.get_slice("head.weight").get_shape()[0]) if "head.weight" in file.keys() else None  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a safetensors file; {error}") from None
