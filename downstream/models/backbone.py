"""Shared by all uses of a network after the search: where it comes from, and how its stages run and train.

    network = build(architecture_of("coatnet"))
    drop_paths(network, 0.2)
    maps = stage_outputs(network.stem, network.stages, images, checkpointed=True)     [(B, width, H', W')], one per stage

Parameters have the names of `uninas.compile.build` everywhere, so that the bare network, the model of timm and the backbone of
MMDetection and MMSegmentation exchange weights directly.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint

from uninas.compile.module import Network, build
from uninas.edits.channels import reading
from uninas.errors import InputError
from uninas.graph import Architecture, Graph
from uninas.ops import IllTyped
from uninas.source import load
from uninas.text import from_document

__all__ = [
    "Source",
    "architecture_of",
    "drop_paths",
    "of_batches",
    "of_images",
    "pixel_maps",
    "places",
    "stage_outputs",
    "stage_strides",
    "stage_widths",
    "with_channels",
    "with_size",
]

Source = Architecture | Mapping[str, Any] | str
"""An architecture, the document of an architecture file, or what `uninas.source.load` reads: name of a preset, or path."""


def architecture_of(source: Source) -> Architecture:
    """Give the architecture that `source` names or is.

    Raises:
        InputError: not an architecture; the message says what was expected and where.
    """
    if isinstance(source, Architecture):
        return source
    if isinstance(source, Mapping):
        return from_document(dict(source), "arch")
    return load(source)


def of_images(architecture: Architecture) -> None:
    """Reject a network whose input is not red, green and blue, which training on image files needs.

    Raises:
        InputError: the architecture has another number of input channels.
    """
    if architecture.in_channels != 3:
        raise InputError(f"expected a network with 3 input channels, for images; got {architecture.in_channels}")


def of_batches(architecture: Architecture, batch: int, size: tuple[int, int]) -> None:
    """Reject a training in which a batch norm would see a single value per channel: one image, with a map of one pixel.

    Args:
        architecture: of the network.
        batch: images per batch, of one process.
        size: (H, W) of the images.

    Raises:
        InputError: torch would fail in the first step.
    """
    if batch > 1:
        return
    with torch.device("meta"), torch.no_grad():
        try:
            build(architecture).train()(torch.empty(batch, architecture.in_channels, *size))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):  # raised by torch
                raise
            raise InputError(
                f"--batch: expected at least 2 images, because at {size[0]}x{size[1]} a norm sees one value per channel of each; "
                f"got {batch}"
            ) from None


def stage_widths(source: Source) -> list[int]:
    """Give the channels of each stage's map, for a neck or a head that uses them.

    Raises:
        InputError: not an architecture; the message says what was expected and where.
    """
    return [stage.width for stage in architecture_of(source).stages]


def stage_strides(source: Source) -> list[int]:
    """Give the stride of each stage's map, whose sides are rounded up.

    Raises:
        InputError: not an architecture; the message says what was expected and where.
    """
    side = 1 << 24  # so large that rounding does not show
    return [round(side / place.height) for place in architecture_of(source).places((side, side))]


def with_channels(architecture: Architecture, channels: int) -> Architecture:
    """Give the architecture for images with another number of channels.

    A graph of the stem makes as many channels as before: its first convolutions have other ratios, and a stem that passes the
    image's channels on ends in one more convolution.

    Raises:
        InputError: no channels, or a stem that cannot read so many.
    """
    if channels < 1:
        raise InputError(f"in_chans: expected at least 1; got {channels}")
    stem = architecture.stem
    if isinstance(stem, Graph):
        try:
            stem = reading(stem, architecture.in_channels, channels)
        except IllTyped as error:
            raise InputError(
                f"in_chans: expected {architecture.in_channels}, or what the stem can read; got {channels}; {error}"
            ) from None
    return architecture.replace(in_channels=channels, stem=stem)


def with_size(architecture: Architecture, size: int | Sequence[int]) -> Architecture:
    """Give the architecture with another reference size, at which its tables, embeddings and layers over pixels are made.

    Raises:
        InputError: not a height and a width, or too small a size for the architecture.
    """
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or min(sides) < 1:
        raise InputError(f"img_size: expected a height and a width of at least 1 pixel, or one number for both; got {size}")
    made = architecture.replace(input_size=(int(sides[0]), int(sides[1])))
    try:
        made.flows()
    except IllTyped as error:
        raise InputError(f"img_size: {error}") from None
    return made


def places(count: int, indices: int | Sequence[int] | None) -> list[int]:
    """Resolve which of `count` stages or blocks are wanted.

    Args:
        count: of stages or blocks.
        indices: all (None), the last so many (a positive number), one counted from the end (a negative number), or a sequence
            of which negative ones are counted from the end.

    Raises:
        InputError: none, or one that is not there.
    """
    if indices is None:
        return list(range(count))
    if isinstance(indices, int):
        wanted = [count + indices] if indices < 0 else list(range(count - indices, count))
    else:
        wanted = [index + count if index < 0 else index for index in indices]
    if not wanted or not all(0 <= index < count for index in wanted):
        raise InputError(f"out_indices: expected some of the {count} stages, from 0 on; got {indices}")
    return wanted


def drop_paths(network: Network, rate: float) -> None:
    """Add stochastic depth (Huang et al. 2016) to the residual paths: from 0 in the first block linearly to `rate` in the last.

    Both paths of a block have its rate, as in transformers. Plain blocks have no such path; a network with only plain blocks
    gets a warning.

    Raises:
        InputError: a rate outside of [0, 1).
    """
    if not 0.0 <= rate < 1.0:
        raise InputError(f"drop_path_rate: expected at least 0 and less than 1; got {rate}")
    blocks = [block for stage in network.stages for block in stage.get_submodule("blocks").children()]
    paths = [[name for name, _ in block.named_children() if name.startswith("drop_path")] for block in blocks]
    if rate and not any(paths):
        warnings.warn(f"drop_path_rate {rate} has no effect: the network has no residual paths", stacklevel=2)
    for place, (block, names) in enumerate(zip(blocks, paths, strict=True)):
        drop = rate * place / max(1, len(blocks) - 1)
        for name in names:
            setattr(block, name, DropPath(drop) if drop else nn.Identity())


def stage_outputs(stem: nn.Module, stages: Iterable[nn.Module], x: Tensor, *, checkpointed: bool = False) -> list[Tensor]:
    """Run the stem and the stages.

    Args:
        stem: of a `uninas.compile.Network`; so are the stages.
        stages: all, or the first ones.
        x: (B, in_channels, H, W).
        checkpointed: keep only the input of each block, and compute the rest again in the backward pass (Chen et al. 2016).
            Gradients and statistics do not change.

    Returns:
        (B, width, H', W') of each stage, in the template at strides 4, 8, 16, 32, sides rounded up; with class tokens
        (B, width, tokens + H' W', 1), see `pixel_maps`.
    """
    x = stem(x)
    found = []
    for stage in stages:  # called, so that hooks on a stage see its map
        x = stage(x, run=_checkpointed) if checkpointed else stage(x)
        found.append(x)
    return found


def pixel_maps(
    architecture: Architecture, outputs: Iterable[Tensor], size: Sequence[int], wanted: Sequence[int] | None = None
) -> list[Tensor]:
    """Give the outputs of stages as maps, without class tokens.

    Args:
        architecture: of the network.
        outputs: of the first stages, as `stage_outputs` gives them, or of those that `wanted` names.
        size: (H, W) of the image.
        wanted: of which stages the outputs are.

    Returns:
        (B, width, H', W') of each stage.
    """
    strides, found = stage_strides(architecture), []
    for place, output in zip(range(len(strides)) if wanted is None else wanted, outputs, strict=False):
        tokens = architecture.stages[place].tokens
        if tokens:
            sides = [-(-side // strides[place]) for side in size]
            output = output[:, :, tokens:].reshape(*output.shape[:2], *sides)
        found.append(output)
    return found


def _checkpointed(block: nn.Module, x: Tensor) -> Tensor:
    made: Tensor = checkpoint(
        block, x, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _statistics_kept(block))
    )
    return made


@contextlib.contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Run a pass again without updating the running statistics of batch norms a second time."""
    norms = [module for module in block.modules() if isinstance(module, _NormBase) and module.track_running_stats]
    kept = [
        (norm, norm.momentum, None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()) for norm in norms
    ]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, seen in kept:
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and seen is not None:
                norm.num_batches_tracked.copy_(seen)
