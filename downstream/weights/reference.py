"""Weights in the format of the UniNAS reference implementation: an .npz with one array per parameter, `w/<name>`.

architecture, layers = read_reference(document, source)       uninas.reference: their layers and ours
load(model, "net.npz", layers)                                theirs into ours
save(model.state_dict(), "net.npz", layers)                   ours under their names

Counters of batches are left out, as there; buffers that follow from the architecture (indices, masks) are ignored.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor, nn

from downstream.weights.weight_files import whole_file
from uninas.errors import InputError
from uninas.reference import Layer
from uninas.reference.names import TABLES

__all__ = ["expected_shapes", "from_reference_names", "load", "read_arrays", "save", "to_reference_names"]

PREFIX = "w/"
_COUNTER = "num_batches_tracked"
_FOLLOWS = ("relative_position_index", "mask")  # last parts of the names of buffers without learned values
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}  # plain arrays never have a header of version 3

_MOST_HEADER, _MOST_ITEM = 1 << 14, 16
"""Bytes of a header, numpy's own limit and more, and of a number."""

Arrays = Mapping[str, "np.ndarray[Any, Any]"]


def to_reference_names(state: Mapping[str, Tensor], layers: Sequence[Layer]) -> dict[str, np.ndarray[Any, Any]]:
    """Give our parameters and statistics under the reference's names.

    Args:
        state: of a module of ours.
        layers: of the network in the reference.

    Returns:
        Name (without `w/`) -> array of the reference's shape. Layers that only the reference has, and never uses, get initial
        values.

    Raises:
        InputError: a layer is missing in the state, or the state has one that is not in the reference.
    """
    ours = _by_layer(state)
    made: dict[str, np.ndarray[Any, Any]] = {}
    for layer in layers:
        if layer.ours is None:
            made |= {f"{layer.theirs}.{leaf}": np.full(shape, value, "float32") for leaf, shape, value in layer.fresh}
            continue
        if layer.ours not in ours:
            raise InputError(f"expected weights with a layer {layer.ours}; there is none")
        for leaf, value in ours[layer.ours].items():
            value = value.detach().cpu().float()
            rows = value if layer.rows is None else value[list(layer.rows)]
            made[f"{layer.theirs}.{TABLES.get(leaf, leaf)}"] = (rows.flatten() if leaf in TABLES else rows).numpy()
    without = sorted(ours.keys() - {layer.ours for layer in layers})
    if without:
        raise InputError(f"expected weights of this architecture; {len(without)} layers are not in it, the first is {without[0]}")
    return made


def expected_shapes(layers: Sequence[Layer], state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Give the arrays that a module needs: name (without `w/`) -> shape in the reference.

    Args:
        layers: of the network in the reference.
        state: the module's.
    """
    ours = _by_layer(state)
    return {
        f"{layer.theirs}.{TABLES.get(leaf, leaf)}": _shape(leaf, value if layer.rows is None else value[list(layer.rows)])
        for layer in layers
        if layer.ours is not None
        for leaf, value in ours.get(layer.ours, {}).items()
    }


def from_reference_names(arrays: Arrays, layers: Sequence[Layer], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the state dict of a module from the reference's arrays.

    Args:
        arrays: name (without `w/`) -> array.
        layers: of the network in the reference.
        state: of the module, with its names, shapes and types. Counters keep their values.

    Raises:
        InputError: an array is missing, unknown, of another shape, or not finite.
    """
    made = {name: value.clone() for name, value in state.items()}
    ours = _by_layer(made)
    filled: set[str] = set()
    for layer in layers:
        for leaf, value in ours.get(layer.ours, {}).items() if layer.ours is not None else ():
            name = f"{layer.theirs}.{TABLES.get(leaf, leaf)}"
            wanted = value if layer.rows is None else value[list(layer.rows)]
            found = _tensor(arrays, name, _shape(leaf, wanted)).reshape(wanted.shape).to(value.dtype)
            if layer.rows is None:
                value.copy_(found)
            else:
                value[list(layer.rows)] = found
            filled.add(str(layer.ours))
    missing = sorted(ours.keys() - filled)
    if missing:
        raise InputError(f"expected layers for all weights; {len(missing)} have none, the first is {missing[0]}")
    _reject_unknown(arrays, expected_shapes(layers, state), layers)
    return made


def _reject_unknown(names: Iterable[str], shapes: Mapping[str, tuple[int, ...]], layers: Sequence[Layer]) -> None:
    """Raise InputError for an array that is not needed, nor of a layer of only the reference, nor an ignored buffer."""
    fresh = {f"{layer.theirs}.{leaf}" for layer in layers for leaf, _, _ in layer.fresh}
    unknown = sorted(n for n in set(names) - shapes.keys() - fresh if n.rpartition(".")[2] not in (*_FOLLOWS, _COUNTER))
    if unknown:
        raise InputError(f"expected weights of this architecture; {len(unknown)} are unknown, the first is {unknown[0][:80]!r}")


def _shape(leaf: str, value: Tensor) -> tuple[int, ...]:
    """Give the shape in the reference of a parameter of ours, or of some of its rows: its tables are flat."""
    return (value.numel(),) if leaf in TABLES else tuple(value.shape)


def _by_layer(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Group a state dict: layer -> parameter -> value, without counters."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, value in state.items():
        layer, _, leaf = name.rpartition(".")
        if leaf != _COUNTER:
            found.setdefault(layer, {})[leaf] = value
    return found


def _tensor(arrays: Arrays, name: str, shape: tuple[int, ...]) -> Tensor:
    if name not in arrays:
        raise InputError(f"expected the weights {name}; there are none of that name")
    array = arrays[name]
    if array.shape != shape:
        raise InputError(f"{name}: expected the shape {list(shape)}, got {list(array.shape)}")
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers")
    return torch.from_numpy(np.array(array, "float64" if array.dtype.itemsize > 4 else "float32"))


def read_arrays(path: Path, layers: Sequence[Layer], state: Mapping[str, Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """Read the arrays of a file that a module needs, by name without `w/`. Other arrays are not read.

    Names, shapes and types are checked before any data are unpacked: a small file can contain gigabytes.

    Args:
        path: an .npz.
        layers: of the network in the reference.
        state: of the module, with its names and shapes.

    Raises:
        InputError: no such file, not an .npz, no weights at all; an array is missing, unknown, of another shape, or not numeric.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return _weights_in(archive, layers, expected_shapes(layers, state))
    except FileNotFoundError:
        raise InputError(f"{path}: expected a weights file (.npz); no such file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # on garbage zipfile and numpy raise nearly anything
        said = str(error).partition("\n")[0][:200] or type(error).__name__
        raise InputError(f"{path}: expected an .npz of arrays w/NAME; {said}") from None


def _weights_in(
    archive: zipfile.ZipFile, layers: Sequence[Layer], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray[Any, Any]]:
    """Read the expected arrays after checking every name and every header."""
    stored = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    members = {name.removeprefix(PREFIX): info for name, info in stored.items() if name.startswith(PREFIX)}
    if not members:
        raise InputError(
            f"expected arrays {PREFIX}NAME, got {', '.join(repr(name[:80]) for name in list(stored)[:3]) or 'nothing'}"
        )
    for name in shapes:
        if name not in members:
            raise InputError(f"expected the weights {name}; there are none of that name")
    _reject_unknown(members, shapes, layers)
    for name, shape in shapes.items():
        _check_header(archive, members[name], name, shape)
    found = {}
    for name in shapes:
        with archive.open(members[name]) as stream:
            found[name] = npy.read_array(stream, allow_pickle=False)
    return found


def _check_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str, shape: tuple[int, ...]) -> None:
    """Raise InputError unless the header of an .npy member declares numbers of that shape; its data are not unpacked."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # LZMA would allocate as much as the file says
        raise InputError(f"{name}: expected a stored or deflated member, got compression {member.compress_type}")
    with archive.open(member) as packed:
        stream = io.BytesIO(packed.read(_MOST_HEADER))  # a header may claim gigabytes for itself
        try:
            version = npy.read_magic(stream)
            if version not in _HEADERS:
                raise InputError(f"{name}: expected an .npy file of version 1 or 2, got {version}")
            got, _, dtype = _HEADERS[version](stream)
        except InputError:
            raise
        except Exception:  # a header is a Python literal, which fails in many ways
            raise InputError(f"{name}: expected an .npy file, got something else") from None
    if got != shape:
        raise InputError(f"{name}: expected the shape {list(shape)}, got {str(list(got))[:80]}")
    if dtype.kind not in "fiu" or dtype.itemsize > _MOST_ITEM:
        raise InputError(f"{name}: expected finite numbers, got {str(dtype)[:40]}")


def load(module: nn.Module, path: str | Path, layers: Sequence[Layer]) -> None:
    """Load a file of the reference's weights into a network, completely. On an error the module is unchanged.

    Raises:
        InputError: as `read` and `from_reference_names`.
    """
    path = Path(path)
    state = module.state_dict()
    arrays = read_arrays(path, layers, state)
    try:
        made = from_reference_names(arrays, layers, state)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    module.load_state_dict(made)


def save(state: Mapping[str, Tensor], path: str | Path, layers: Sequence[Layer]) -> None:
    """Write a state dict under the reference's names, atomically.

    Raises:
        InputError: as `to_reference_names`; the disk is full, or the folder is not writable.
    """
    arrays = {f"{PREFIX}{name}": array for name, array in to_reference_names(state, layers).items()}

    def write(part: Path) -> None:
        with part.open("wb") as file:  # given a name, numpy would append .npz
            np.savez(file, **arrays)  # type: ignore[arg-type]

    whole_file(Path(path), write)
