"""Fit weights to a network of the same architecture that reads images of other channels, or has another reference size.

    wanted = model.state_dict()
    tensors = adapted(tensors, wanted, source=architecture, target=model.architecture)

Tables of relative position bias and position embeddings are resized as the network does at any other size, so that the adapted
weights compute the same at the new reference size. The convolutions that read the image are adapted by timm
(`timm.models.adapt_input_conv`), which is told their names; here are only those of other stems.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from timm.models import adapt_input_conv
from torch import Tensor, nn

from uninas.compile.attention import resized_table
from uninas.compile.layer_names import layer_names
from uninas.compile.layers import TokenLinear, resized
from uninas.compile.module import build
from uninas.errors import InputError
from uninas.graph import Architecture, Graph
from uninas.rules.inference import is_filled

__all__ = ["adapted", "first_conv", "first_convolutions", "set_reference_size"]


def adapted(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, source: Architecture, target: Architecture
) -> dict[str, Tensor]:
    """Give the weights of `source` the names and shapes that they have in `target`, as far as those differ in the input.

    Args:
        tensors: by their names in the network of `source`.
        wanted: of the module built for `target`.
        source: the architecture of the weights, with their input channels and reference size.
        target: the same architecture with other ones.

    Returns:
        The tensors by their names in `target`. Those that `first_convolutions` names keep their input channels.

    Raises:
        InputError: weights that depend on the input in another way.
    """
    found = dict(tensors)
    if source.in_channels != target.in_channels:
        found = _other_channels(found, wanted, source, target)
    return {
        name: tensor if name not in wanted else _other_size(name, tensor, wanted[name].shape) for name, tensor in found.items()
    }


def first_convolutions(stem: tuple[int, int] | Graph) -> tuple[str, ...]:
    """Name the convolutions that read the image with all of its channels, as timm's `first_conv` does."""
    if not isinstance(stem, Graph):
        return ("stem.conv1",)
    return tuple(
        f"stem.{name}.conv" if is_filled(node.op) else f"stem.{name}"
        for node, name in zip(stem.nodes, layer_names(stem), strict=True)
        if node.op.name == "conv" and node.inputs == (0,) and node.op.values["groups"] == 1
    )


def first_conv(stem: tuple[int, int] | Graph) -> str | tuple[str, ...] | None:
    """Give `first_convolutions` in the form in which timm's configurations hold it."""
    names = first_convolutions(stem)
    return names[0] if len(names) == 1 else names or None


def _other_channels(
    tensors: dict[str, Tensor], wanted: Mapping[str, Tensor], source: Architecture, target: Architecture
) -> dict[str, Tensor]:
    if not isinstance(source.stem, Graph) or not isinstance(target.stem, Graph):
        return tensors  # the template's first convolution is timm's to adapt
    renamed = {  # the names of a graph's layers hold their ratios, which follow the channels
        f"stem.{old}.": (f"stem.{new}.", node)
        for old, new, node in zip(layer_names(source.stem), layer_names(target.stem), range(len(source.stem.nodes)), strict=False)
        if old is not None
    }
    plain = first_convolutions(target.stem)
    made = {}
    for name, tensor in tensors.items():
        old = next((old for old in renamed if name.startswith(old)), None)
        if old is not None:
            new, node = renamed[old]
            name = new + name[len(old) :]
            if name in wanted and tensor.shape != wanted[name].shape and name.rpartition(".")[0] not in plain:
                tensor = _folded(tensor, source.stem, node, source.in_channels, target.in_channels, name)
        made[name] = tensor
    return made


def _folded(tensor: Tensor, stem: Graph, node: int, before: int, after: int, name: str) -> Tensor:
    """Adapt a convolution that reads tiles of the image: each channel's pixels of a tile stand together."""
    op, inputs = stem.nodes[node]
    reads = stem.nodes[inputs[0]]
    if op.name != "conv" or reads.op.name != "space_to_depth" or reads.inputs != (0,) or tensor.dim() != 4:
        raise InputError(
            f"in_chans: expected {before}, those of the weights, because {name.rpartition('.')[0]} depends on them otherwise "
            f"than as a convolution of the image; got {after}: leave pretrained out, or train on images of {before} channels"
        )
    out, read, height, width = tensor.shape
    pixels = tensor.reshape(out, before, read // before, height, width).transpose(1, 2).flatten(0, 1)
    made = adapt_input_conv(after, pixels, before).reshape(out, read // before, after, height, width)
    return made.transpose(1, 2).reshape(out, -1, height, width)


def _other_size(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    if tensor.shape == shape or tensor.dim() != len(shape) or tensor.dim() != 3 or tensor.shape[0] != shape[0]:
        return tensor
    if name.endswith(".table"):
        return resized_table(tensor, shape[1], shape[2])
    return resized(tensor, list(shape[1:])) if name.endswith(".embedding") else tensor


@torch.no_grad()
def set_reference_size(module: nn.Module, architecture: Architecture) -> None:
    """Give the size-dependent parameters of a network the shapes that they have at the reference size of `architecture`.

    Args:
        module: stem and stages of the same architecture at another reference size, or some of them.
        architecture: at the new one.

    Raises:
        InputError: a layer over the pixels of a map has one weight for each, which has no counterpart at another size.
    """
    with torch.device("meta"):
        wanted = build(architecture, classes=1).state_dict()
    changed = {
        name: shape
        for name, parameter in module.named_parameters()
        if name in wanted and not name.startswith("head.") and (shape := wanted[name].shape) != parameter.shape
    }
    over_pixels = [f"{name}." for name, layer in module.named_modules() if isinstance(layer, TokenLinear)]
    if any(name.startswith(tuple(over_pixels)) for name in changed):
        raise InputError(
            f"img_size: expected the size for which the network was built, because its token_linear layers have a weight for "
            f"each pixel of it; got {architecture.input_size[0]}x{architecture.input_size[1]}: images of any size can be given "
            "as they are, or build it with img_size= and train it"
        )
    for name, shape in changed.items():
        place, _, leaf = name.rpartition(".")
        owner = module.get_submodule(place)
        old = getattr(owner, leaf)
        setattr(owner, leaf, nn.Parameter(_other_size(name, old, shape).clone(), requires_grad=old.requires_grad))
