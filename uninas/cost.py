"""Exact integer cost of an architecture, without torch.

MACs are fused multiply-adds of convolutions, linear layers and attention products (papers often print 2 x MACs as "FLOPs").
The stored form is counted as it was written; `live_params` counts, in the canonical form, what can receive a gradient.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from uninas.canonical import canonicalise
from uninas.errors import InputError
from uninas.graph import Architecture, Block, Graph, Stage
from uninas.ops import AttentionMap, Place, entries

_FLOAT_BYTES = 4
_LARGEST_SIDE = 1 << 16


@dataclass(frozen=True)
class Cost:
    """What an architecture costs at one input size, batch 1."""

    params: int
    """All parameters of the stored form."""
    live_params: int
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
        """The figures by name, ready for JSON."""
        return asdict(self)


_Sum = tuple[int, int, int, int, int]  # params, macs, layers, activation entries, attention tokens


def cost(architecture: Architecture, size: tuple[int, int] | None = None, classes: int | None = None) -> Cost:
    """Cost for an input of `size` = (height, width), default the reference size, and a head of `classes` outputs.

    `classes=0` leaves the head out (LayerNorm and linear layer): the backbone alone. Raises GraphError for an ill-typed graph.
    """
    classes = architecture.classes if classes is None else classes
    if size is not None and not all(1 <= side <= _LARGEST_SIDE for side in size):
        raise InputError(f"expected an input size from 1 to {_LARGEST_SIDE} pixels a side, came {size[0]}x{size[1]}")
    params, macs, layers, activations, tokens = _network(architecture, size, classes)
    canonical = canonicalise(architecture)
    live = params if canonical is architecture else _network(canonical, size, classes)[0]
    live -= _never_trained(canonical)
    return Cost(params, live, macs, layers, activations * _FLOAT_BYTES, tokens)


def _network(architecture: Architecture, size: tuple[int, int] | None, classes: int) -> _Sum:
    height, width = size or architecture.input_size
    pixels = -(-height // 2) * -(-width // 2)
    first, second = architecture.stem
    params = 9 * architecture.in_channels * first + 2 * first + 9 * first * second
    macs = (9 * architecture.in_channels * first + 9 * first * second) * pixels
    layers, tokens = 2, 0
    activations = (3 * first + second) * pixels  # convolution, BatchNorm, GELU; convolution
    channels = second
    incoming_pixels = pixels
    for stage, place in zip(architecture.stages, architecture.places(size), strict=True):
        for index, block in enumerate(stage.blocks):
            first_of_stage = (channels, incoming_pixels) if index == 0 else None
            p, m, n, a, t = _block(block, stage, place, first_of_stage)
            params, macs, layers, activations, tokens = (
                params + p,
                macs + m,
                layers + n,
                activations + a,
                max(tokens, t),
            )
        channels, incoming_pixels = stage.width, place.height * place.width
    if classes:
        params += 2 * channels + channels * classes + classes
        macs += channels * classes
        layers += 1
        activations += channels * incoming_pixels + channels + classes
    return params, macs, layers, activations, tokens


def _block(block: Block, stage: Stage, place: Place, incoming: tuple[int, int] | None) -> _Sum:
    """The template around a block's two graphs; `incoming` = (channels, pixels) where it is the first of its stage."""
    width, pixels = stage.width, place.height * place.width
    params = macs = layers = activations = tokens = 0
    if incoming is not None:  # the shortcut: average pool, and a projection where the width changes
        channels, _ = incoming
        activations += channels * pixels
        if channels != width:
            params, macs, layers = channels * width + width, channels * width * pixels, 1
            activations += width * pixels
    for index, graph in enumerate(block.subblocks):
        if graph is None:
            continue
        if incoming is not None and index == 0:  # norm1 at the incoming resolution and width, then the same road down
            channels, incoming_pixels = incoming
            params += 2 * channels
            activations += channels * incoming_pixels + channels * pixels
            if channels != width:
                params += channels * width + width
                macs += channels * width * pixels
                layers += 1
                activations += width * pixels
        else:
            params += 2 * width
            activations += width * pixels
        p, m, n, a, t = graph_cost(graph, width, place)
        params, macs, layers, tokens = params + p, macs + m, layers + n, max(tokens, t)
        activations += a + width * pixels  # and the residual addition
    return params, macs, layers, activations, tokens


def graph_cost(graph: Graph, width: int, place: Place) -> _Sum:
    """(params, macs, layers, activation entries, attention tokens) of one graph in a block of that width."""
    key = ("cost", width, place)
    found: _Sum | None = graph.memo.get(key)
    if found is None:
        found = graph.memo[key] = _graph_cost(graph, width, place)
    return found


def _graph_cost(graph: Graph, width: int, place: Place) -> _Sum:
    types = graph.types(width)
    params = macs = layers = activations = tokens = 0
    for index in range(1, len(graph.nodes)):
        operation, inputs = graph.nodes[index]
        spec, made = operation.spec, types[index]
        activations += entries(made, place)
        if spec.parameters is not None:
            params += spec.parameters(operation, types[inputs[0]], made, place)
            layers += spec.layer
        if spec.macs is not None:
            macs += spec.macs(operation, types[inputs[0]], made, place)
        if type(made) is AttentionMap:
            tokens = max(tokens, 1 if made.pooled else place.height * place.width)
    return params, macs, layers, activations, tokens


def _never_trained(canonical: Architecture) -> int:
    """Parameters of a canonical architecture that no gradient reaches: those that only ever see a zero.

    A layer fed by a zero still learns its bias; a norm whose map only reaches zeros learns nothing.
    """
    dead = 0
    channels = canonical.stem[1]
    for stage, place in zip(canonical.stages, canonical.places(), strict=True):
        for index, block in enumerate(stage.blocks):
            for sub, graph in enumerate(block.subblocks):
                if graph is None or not any(node.op.name == "zero" for node in graph.nodes):
                    continue
                types = graph.types(stage.width)
                reached = [True] + [False] * (len(graph.nodes) - 1)
                for i in range(1, len(graph.nodes)):
                    operation, inputs = graph.nodes[i]
                    spec = operation.spec
                    reached[i] = operation.name != "zero" and any(reached[j] for j in inputs)
                    if spec.bias_parameters is not None and graph.nodes[inputs[0]].op.name == "zero":
                        assert spec.parameters is not None
                        every = spec.parameters(operation, types[inputs[0]], types[i], place)
                        dead += every - spec.bias_parameters(operation, types[i])
                if not reached[graph.output]:
                    first = index == 0 and sub == 0
                    dead += 2 * (channels if first else stage.width)
                    if first and channels != stage.width:
                        dead += channels * stage.width + stage.width
        channels = stage.width
    return dead
