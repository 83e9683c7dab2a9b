"""What a module keeps beside its parameters and buffers: put aside for a while, and put back.

Some networks keep what a forward pass computed in plain attributes: LeViT, TinyViT, EfficientViT and EfficientFormer gather their
attention biases once in evaluation mode, others note the size of the last input. Such a value is of the weights, the device and
the type that the network had then. What a measurement reads must be of its own weights, and none of it may outlive it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["kept", "switches_by_itself"]

_CONTAINERS = (dict, list, set, deque)


def switches_by_itself(module: nn.Module) -> bool:
    """Whether a module's class does something of its own when its mode is set, such as to forget or renew what it keeps."""
    return type(module).train is not nn.Module.train


@contextmanager
def kept(module: nn.Module) -> Iterator[None]:
    """Put every attribute of every submodule back at the end, also when an exception passes.

    That is: the same objects under the same names, new names forgotten, containers (nested ones too) with the same entries,
    tensors with the same values; which parameters, buffers and submodules there are, by identity. Hooks belong to who registered
    them, and the values of parameters and buffers are those of :mod:`proxies.measuring.state`.
    """
    found = [(submodule, dict(vars(submodule))) for submodule in module.modules()]
    inside = _Inside(module)
    for _, attributes in found:
        for name, value in attributes.items():
            if not _of_hooks(name):
                inside.look(value, names=name in ("_parameters", "_buffers", "_modules"))
    try:
        yield
    finally:
        for submodule, attributes in found:
            present = vars(submodule)
            for name in [name for name in present if name not in attributes and not _of_hooks(name)]:
                del present[name]
            for name, value in attributes.items():
                if present.get(name, present) is not value and not _of_hooks(name):
                    present[name] = value
        inside.put_back()


def _of_hooks(name: str) -> bool:
    return "_hook" in name


class _Inside:
    """What containers hold and tensors are, at one time."""

    def __init__(self, module: nn.Module) -> None:
        self._containers: dict[int, tuple[Any, Any]] = {}
        self._tensors: dict[int, tuple[Tensor, Tensor, int]] = {}
        self._others = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}

    def look(self, value: object, *, names: bool = False) -> None:
        """Note a value and what it holds; with ``names`` no more than which entries there are."""
        if isinstance(value, Tensor):
            if id(value) not in self._tensors and id(value) not in self._others and not value.is_meta:
                self._tensors[id(value)] = (value, value.detach().clone(), _version(value))
        elif isinstance(value, (*_CONTAINERS, tuple)) and id(value) not in self._containers:
            # Tuples too: an entry, once seen, keeps its identity while it is noted here.
            self._containers[id(value)] = (value, None if isinstance(value, tuple) else value.copy())
            if not names:
                for entry in value.values() if isinstance(value, dict) else value:
                    self.look(entry)

    def put_back(self) -> None:
        for container, copy in self._containers.values():
            if copy is not None and not _same(container, copy):
                container.clear()
                (container.extend if isinstance(container, (list, deque)) else container.update)(copy)
        for tensor, copy, version in self._tensors.values():
            if version < 0 or _version(tensor) != version:
                with torch.inference_mode(tensor.is_inference()), torch.no_grad():
                    tensor.copy_(copy)


def _version(tensor: Tensor) -> int:
    """How often a tensor was changed in place; -1 where torch does not count."""
    return -1 if tensor.is_inference() else tensor._version


def _same(container: Any, copy: Any) -> bool:
    if len(container) != len(copy):
        return False
    if isinstance(container, set):
        return bool(container == copy)
    if isinstance(container, dict):
        return all(key is other and container[key] is copy[key] for key, other in zip(container, copy, strict=True))
    return all(entry is other for entry, other in zip(container, copy, strict=True))
