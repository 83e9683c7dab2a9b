"""Exact integer cost of an architecture, without torch.

MACs are fused multiply-adds of convolutions, linear layers and attention products (papers often print 2 x MACs as "FLOPs").
The stored form is counted as it was written; trainable parameters are those of the canonical form that can receive a gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from uninas.analysis.graph_cost import Counts, frame_cost, graph_cost
from uninas.analysis.trainable import never_trained
from uninas.canonical import canonicalise
from uninas.errors import InputError
from uninas.graph import Architecture, Block, Flow, Graph, Stage, head_channels

_FLOAT_BYTES = 4
_LARGEST_SIDE = 1 << 16


@dataclass(frozen=True)
class Cost:
    """What an architecture costs at one input size, batch 1."""

    params: int
    """All parameters of the stored form."""
    trainable_params: int
    """Parameters that can receive a gradient."""
    macs: int
    """Multiply-adds of convolutions, linear layers and attention products."""
    layers: int
    """Convolution and linear layers."""
    activation_bytes: int
    """Sum of the sizes of all node outputs, float32."""
    attention_tokens: int
    """Side of the largest attention map; 0 without attention."""

    def as_dict(self) -> dict[str, int]:
        """Return the figures by name, ready for JSON.

        Trainable parameters are called `live_params` here, as in the journals that hold these figures since version 0.1.
        """
        return {"live_params" if name == "trainable_params" else name: value for name, value in vars(self).items()}

    @property
    def live_params(self) -> int:
        """The trainable parameters, by the name they had in version 0.1."""
        warnings.warn("`live_params` of a cost is now `trainable_params`", DeprecationWarning, stacklevel=2)
        return self.trainable_params


def cost(architecture: Architecture, size: tuple[int, int] | None = None, classes: int | None = None) -> Cost:
    """Count what an architecture costs.

    Args:
        architecture: in any form; it is counted as it was written.
        size: (height, width) of the input in pixels; default: the reference size.
        classes: outputs of the head; 0 leaves the head out (LayerNorm or the head's graph, and the linear layer): the backbone
            alone. Default: the architecture's.

    Raises:
        GraphError: a graph is ill typed.
        InputError: a side below 1 or above 65,536 pixels.
    """
    classes = architecture.classes if classes is None else classes
    if size is not None and not all(1 <= side <= _LARGEST_SIDE for side in size):
        raise InputError(f"expected an input size from 1 to {_LARGEST_SIDE} pixels per side, got {size[0]}x{size[1]}")
    params, macs, layers, activations, tokens = _network(architecture, size, classes)
    canonical = canonicalise(architecture)
    trainable = params if canonical is architecture else _network(canonical, size, classes)[0]
    trainable -= never_trained(canonical, classes)
    return Cost(params, trainable, macs, layers, activations * _FLOAT_BYTES, tokens)


def costs_of_parts(architecture: Architecture, size: tuple[int, int] | None = None) -> tuple[Counts, ...]:
    """Count the stem, each stage with its transition, and the head, in this order; arguments and errors as of `cost`."""
    return _parts(architecture, size, architecture.classes)


def _network(architecture: Architecture, size: tuple[int, int] | None, classes: int) -> Counts:
    return _total(_parts(architecture, size, classes))


def _parts(architecture: Architecture, size: tuple[int, int] | None, classes: int) -> tuple[Counts, ...]:
    flows = architecture.flows(size)
    stages = zip(architecture.stages, flows, flows[1:], strict=False)
    head = _total(_head(architecture, flows[-1], classes)) if classes else (0, 0, 0, 0, 0)
    return (_stem(architecture, size, flows[0]), *(_stage(stage, before, after) for stage, before, after in stages), head)


def _total(parts: Iterable[Counts]) -> Counts:
    params = macs = layers = activations = tokens = 0
    for p, m, n, a, t in parts:
        params, macs, layers, activations, tokens = params + p, macs + m, layers + n, activations + a, max(tokens, t)
    return params, macs, layers, activations, tokens


def _stem(architecture: Architecture, size: tuple[int, int] | None, made: Flow) -> Counts:
    channels, pixels = architecture.in_channels, made.place.height * made.place.width
    if isinstance(architecture.stem, Graph):
        return frame_cost(architecture.stem, Flow(channels, architecture.image(size)))
    first, second = architecture.stem
    params = 9 * channels * first + 2 * first + 9 * first * second
    macs = (9 * channels * first + 9 * first * second) * pixels
    return params, macs, 2, (3 * first + second) * pixels, 0  # activations: convolution, BatchNorm, GELU; convolution


def _stage(stage: Stage, before: Flow, after: Flow) -> Counts:
    """The transition, if there is one, and the blocks; `after` follows from `before`, but for how halves are rounded."""
    key = ("cost", before, after.place)
    found: Counts | None = stage.memo.get(key)
    if found is None:
        found = stage.memo[key] = _total(_stage_parts(stage, before, after))
    return found


def _stage_parts(stage: Stage, before: Flow, after: Flow) -> list[Counts]:
    parts = [] if stage.transition is None else [frame_cost(stage.transition, before)]
    for index, block in enumerate(stage.blocks):
        halved = before if index == 0 and stage.transition is None else None
        parts.append(_block(block, after, halved) if block.residual else _plain_block(block, after, halved))
    return parts


def _head(architecture: Architecture, given: Flow, classes: int) -> list[Counts]:
    """What stands before the global average pooling; the pooling and the linear layer."""
    channels, pixels = given.channels, given.pixels
    if architecture.head is None:
        before = (2 * channels, 0, 0, channels * pixels, 0)
    else:
        before = frame_cost(architecture.head, given)
        channels = head_channels(architecture)
    return [before, (channels * classes + classes, channels * classes, 1, channels + classes, 0)]


def _block(block: Block, at: Flow, halved: Flow | None) -> Counts:
    """The template around a residual block's graphs; `halved` is the map it reads where it halves the resolution."""
    width, pixels = at.channels, at.pixels
    params = macs = layers = activations = tokens = 0
    if halved is not None:
        params, macs, layers, activations, _ = _way_down(halved.channels, width, pixels)
    for index, graph in enumerate(block.subblocks):
        if graph is None:
            continue
        if halved is not None and index == 0:  # norm1 at the incoming resolution and width, then the same way down
            p, m, n, a, _ = _way_down(halved.channels, width, pixels)
            params, macs, layers, activations = params + p, macs + m, layers + n, activations + a
            params += 2 * halved.channels
            activations += halved.channels * halved.place.height * halved.place.width
        else:
            params += 2 * width
            activations += width * pixels
        p, m, n, a, t = graph_cost(graph, at)
        params, macs, layers, tokens = params + p, macs + m, layers + n, max(tokens, t)
        activations += a + width * pixels  # and the residual addition
    return params, macs, layers, activations, tokens


def _way_down(channels: int, width: int, pixels: int) -> Counts:
    """Count average pooling to `pixels` pixels, and a 1x1 convolution where the width changes."""
    if channels == width:
        return 0, 0, 0, channels * pixels, 0
    return channels * width + width, channels * width * pixels, 1, (channels + width) * pixels, 0


def _plain_block(block: Block, at: Flow, halved: Flow | None) -> Counts:
    parts = [] if halved is None else [_way_down(halved.channels, at.channels, at.pixels)]
    return _total([*parts, *[graph_cost(graph, at) for graph in block.subblocks if graph is not None]])
