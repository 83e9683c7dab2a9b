"""The weights of an exported file: those of the compiled network under the names of its own layers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["filled_from"]


def filled_from(state: Mapping[str, Tensor], filled: Mapping[str, tuple[str, ...]]) -> dict[str, Tensor]:
    """Return the weights of an exported file.

    Args:
        state: of the compiled network.
        filled: layer of the file -> the layers of the compiled network that it is. Several were equal branches: their weights
            stand one after the other in the first dimension, as `uninas.compile.fused` joins them at each pass.
    """
    inside: dict[str, list[str]] = {}
    for name in state:
        parts = name.split(".")
        for end in range(1, len(parts)):
            inside.setdefault(".".join(parts[:end]), []).append(name)
    made: dict[str, Tensor] = {}
    for layer, sources in filled.items():
        for name in inside.get(sources[0], []):
            leaf = name[len(sources[0]) :]
            tensors = [state[source + leaf] for source in sources]
            joined = torch.cat(tensors) if len(tensors) > 1 and tensors[0].dim() else tensors[0]
            made[layer + leaf] = joined.detach().contiguous()
    return made
