"""Attention beside a dense computation: whole, in windows, with coarser or shared keys, between channels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.uninas.running import MacCounter, noise
from uninas import InputError, op
from uninas.analysis.graph_cost import frame_cost
from uninas.compile.module import GraphModule
from uninas.graph import Flow, Graph, GraphBuilder, GraphError
from uninas.ops import AttentionMap, FeatureMap, Op, Place

CHANNELS, HEAD_DIM = 12, 3


def attention(scores: Op, keys: Op | None = None, *, bias: bool = False, softmax: bool = True) -> Graph:
    """The input attends to itself, or to what an operation makes of it."""
    builder = GraphBuilder()
    key = 0 if keys is None else builder.add(keys, 0)
    node = builder.add(scores, 0, key)
    node = builder.add(op("relative_position_bias"), node) if bias else node
    node = builder.add(op("softmax"), node) if softmax else node
    return builder.build(builder.add(op("matmul_av"), node, key))


def module_of(graph: Graph, size: tuple[int, int], *, fused: bool) -> GraphModule:
    module = GraphModule(graph, Flow(CHANNELS, Place(*size, *size)), fused=fused, frame=True).double()
    for number, parameter in enumerate(module.parameters()):
        parameter.data.copy_(noise(*parameter.shape, seed=number, dtype=torch.float64))
    return module


def heads_of(x: Tensor, heads: int) -> Tensor:
    """(B, C, H, W) -> (B, heads, C / heads, N)."""
    return x.reshape(x.shape[0], heads, x.shape[1] // heads, -1)


def dense(q: Tensor, k: Tensor, v: Tensor, head_dim: int, seen: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    """Attention of each pixel to those that it sees (N, M), keys and values repeated for the heads that share them."""
    heads, key_heads = q.shape[1] // head_dim, k.shape[1] // head_dim
    one, two, three = (heads_of(x, n) for x, n in ((q, heads), (k, key_heads), (v, key_heads)))
    share = [head * key_heads // heads for head in range(heads)]
    scores = torch.einsum("bhcn,bhcm->bhnm", one, two[:, share]) / head_dim**0.5
    scores = scores if bias is None else scores + bias
    scores = scores if seen is None else scores.masked_fill(~seen, float("-inf"))
    made = torch.einsum("bhnm,bhcm->bhcn", scores.softmax(-1), three[:, share])
    return made.reshape(q.shape[0], -1, *q.shape[2:])


def window_of(y: int, side: int, window: int, shift: int) -> tuple[int, int]:
    """Number of a row's window, and whether the row came to its end from the map's other end."""
    if side <= window:
        return 0, 0
    place = (y - shift) % side
    return place // window, int(y < shift)


def seen_in_windows(size: tuple[int, int], window: int, shift: int) -> Tensor:
    """(N, N): who is in whose window, as a neighbour in the map."""
    height, width = size
    kind = [
        (window_of(y, height, window, shift), window_of(x, width, window, shift)) for y in range(height) for x in range(width)
    ]
    return torch.tensor([[one == other for other in kind] for one in kind])


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("size", "window", "shift"),
    [
        ((6, 8), 2, 0),
        ((6, 8), 2, 1),
        ((7, 5), 3, 0),
        ((7, 5), 3, 2),
        ((3, 8), 3, 1),
        ((3, 3), 3, 1),
        ((2, 9), 4, 3),
        ((1, 1), 2, 1),
    ],
)
def test_windows(size: tuple[int, int], window: int, shift: int, bias: bool, fused: bool) -> None:
    """Sizes that the window divides or not, sides that are smaller than it, shifts that bring rows from the other end."""
    module = module_of(attention(op("matmul_qk", head_dim=HEAD_DIM, window=window, shift=shift), bias=bias), size, fused=fused)
    x = noise(2, CHANNELS, *size, seed=9, dtype=torch.float64)
    table = None
    if bias:
        (learned,) = module.parameters()
        tall, wide = min(window, size[0]), min(window, size[1])
        assert learned.shape == (4, 2 * tall - 1, 2 * wide - 1)
        places = [(y, x) for y in range(size[0]) for x in range(size[1])]
        offsets = [[(a - c, b - d) for c, d in places] for a, b in places]
        within = [[(abs(a) < tall and abs(b) < wide) for a, b in row] for row in offsets]
        index = [
            [((a + tall - 1) * (2 * wide - 1) + b + wide - 1) if ok else 0 for (a, b), ok in zip(row, oks, strict=True)]
            for row, oks in zip(offsets, within, strict=True)
        ]
        table = learned.detach().flatten(1)[:, torch.tensor(index)]
    expected = dense(x, x, x, HEAD_DIM, seen_in_windows(size, window, shift), table)
    assert torch.allclose(module(x), expected, atol=1e-12)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("keys", "made"),
    [
        (op("average_pool", kernel=2, stride=2), (4, 3)),
        (op("conv", kernel=3, stride=3), (3, 2)),
        (op("global_average_pool"), (1, 1)),
        (op("conv", kernel=1, ratio="1/4"), (7, 5)),
        (op("conv", kernel=1, ratio="1/2"), (7, 5)),
        (op("conv", kernel=2, stride=2, ratio="1/4"), (4, 3)),
    ],
)
def test_coarser_and_shared_keys(keys: Op, made: tuple[int, int], fused: bool) -> None:
    """Keys at another stride, pooled keys, and fewer heads of keys than of queries."""
    graph = attention(op("matmul_qk", head_dim=HEAD_DIM), keys)
    module = module_of(graph, (7, 5), fused=fused)
    x = noise(2, CHANNELS, 7, 5, seed=9, dtype=torch.float64)
    builder = GraphBuilder()
    alone = module_of(builder.build(builder.add(keys, 0)), (7, 5), fused=False)
    alone.load_state_dict(module.state_dict())
    key = alone(x)
    assert key.shape[2:] == made
    assert torch.allclose(module(x), dense(x, key, key, HEAD_DIM), atol=1e-12)


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("fused", [True, False])
def test_between_channels(softmax: bool, fused: bool) -> None:
    """A map of a head's channels, linear in the pixels."""
    module = module_of(attention(op("matmul_qk", head_dim=HEAD_DIM, over="channels"), softmax=softmax), (7, 5), fused=fused)
    x = noise(2, CHANNELS, 7, 5, seed=9, dtype=torch.float64)
    pieces = heads_of(x, 4)
    scores = torch.einsum("bhcn,bhdn->bhcd", pieces, pieces) / 35**0.5
    expected = torch.einsum("bhcd,bhdn->bhcn", scores.softmax(-1) if softmax else scores, pieces)
    assert torch.allclose(module(x), expected.reshape(x.shape), atol=1e-12)


@pytest.mark.parametrize(
    ("scores", "keys", "macs", "tokens"),
    [
        (op("matmul_qk", head_dim=3), None, 2 * 12 * 35 * 35, 35),
        (op("matmul_qk", head_dim=3, window=3, shift=1), None, 2 * 12 * 6 * 9 * 9, 9),  # 3 x 2 windows, the last filled up
        (op("matmul_qk", head_dim=3, window=6), None, 2 * 12 * 2 * 30 * 30, 30),  # 2 windows of 6 x 5
        (op("matmul_qk", head_dim=3, over="channels"), None, 2 * 12 * 3 * 35, 3),
        (op("matmul_qk", head_dim=3), op("average_pool", kernel=2, stride=2), 2 * 12 * 35 * 12, 35),
        (op("matmul_qk", head_dim=3), op("global_average_pool"), 2 * 12 * 35, 35),
    ],
)
def test_costs(scores: Op, keys: Op | None, macs: int, tokens: int) -> None:
    """By hand, and as torch executes it."""
    graph = attention(scores, keys)
    counted = frame_cost(graph, Flow(CHANNELS, Place(7, 5, 7, 5)))
    assert (counted[1], counted[4]) == (macs, tokens)
    for fused in (True, False):
        module = module_of(graph, (7, 5), fused=fused)
        with MacCounter() as counter, torch.no_grad():
            module(noise(1, CHANNELS, 7, 5, dtype=torch.float64))
        assert counter.macs == macs


def test_types() -> None:
    builder = GraphBuilder()
    single = builder.add(op("conv", kernel=2, stride=2, ratio="1/4"), 0)
    scores = builder.add(op("matmul_qk", head_dim=3), 0, single)
    types = builder.build(builder.add(op("matmul_av"), scores, single)).frame_types(12)
    assert types[scores] == AttentionMap(4, False, keys=(False, 2, 0), key_heads=1)
    assert types[-1] == FeatureMap(12, False)
    assert str(types[scores]) == "attention map of 4 heads, 1 of keys, keys, stride 2"


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (attention(op("matmul_qk", head_dim=3, shift=1)), "shift below its window"),
        (attention(op("matmul_qk", head_dim=3, window=2, shift=2)), "shift below its window"),
        (attention(op("matmul_qk", head_dim=3, window=2), op("average_pool", kernel=2, stride=2)), "of one size in windows"),
        (attention(op("matmul_qk", head_dim=3, window=2, over="channels")), "without windows"),
        (attention(op("matmul_qk", head_dim=3), op("conv", kernel=1, ratio=2)), "cannot share 8 heads"),
        (attention(op("matmul_qk", head_dim=3, over="channels"), op("global_average_pool")), "one shape"),
        (attention(op("matmul_qk", head_dim=3), op("average_pool", stride=2), bias=True), "from each pixel of a grid to each"),
        (attention(op("matmul_qk", head_dim=3, over="channels"), bias=True), "from each pixel of a grid to each"),
        (attention(op("matmul_qk", head_dim=5)), "heads of 5"),
    ],
)
def test_what_does_not_fit_is_said(graph: Graph, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        graph.frame_types(12)


def test_a_window_is_a_number() -> None:
    with pytest.raises(InputError, match="from 0 to 64"):
        op("matmul_qk", head_dim=3, window=65)
    with pytest.raises(InputError, match="one of pixels, channels"):
        op("matmul_qk", head_dim=3, over="tokens")
