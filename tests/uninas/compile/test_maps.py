"""Attention maps as tensors of one channel a head: convolutions, norms, pooling and zeros on them, beside torch."""

from __future__ import annotations

import random

import pytest
import torch
from torch.nn import functional as F

from tests.uninas.examples import around, graph_of
from tests.uninas.running import MacCounter, executed_macs, noise, scramble
from uninas import Architecture, InputError, Rejection, canonicalise, cost, mutate, parse, to_text
from uninas.analysis.graph_cost import frame_cost
from uninas.canonical import canonical_frame
from uninas.compile.module import GraphModule, build
from uninas.drawing import summarise_graph
from uninas.graph import Flow, Graph, GraphError
from uninas.networks.presets import letter_block
from uninas.ops import Place

WIDTH, HEADS = 12, 3
GATED = (
    "%1 = matmul_qk(head_dim=4) %0 %0",
    "%2 = conv(kernel=3, ratio=2) %1",
    "%3 = batch_norm %2",
    "%4 = layer_norm %3",
    "%5 = slice(index=0, count=2) %4",
    "%6 = slice(index=1, count=2) %4",
    "%7 = max_pool %5",
    "%8 = global_average_pool %6",
    "%9 = conv(kernel=1) %8",
    "%10 = sigmoid %9",
    "%11 = broadcast %10",
    "%12 = multiply %7 %11",
    "%13 = concat %12 %6",
    "%14 = relative_position_bias(shared=true) %13",
    "%15 = conv(kernel=1, ratio=1/2, groups=3) %14",
    "%16 = softmax %15",
    "%17 = matmul_av %16 %0",
    "return %17",
)


def module_of(graph: Graph, size: tuple[int, int], *, fused: bool) -> GraphModule:
    module = GraphModule(graph, Flow(WIDTH, Place(*size, *size)), fused=fused).double()
    for number, parameter in enumerate(module.parameters()):
        parameter.data.copy_(noise(*parameter.shape, seed=number, dtype=torch.float64))
    return module.eval()


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("size", [(3, 4), (5, 2)])
def test_everything_that_fits_works_on_a_map(size: tuple[int, int], fused: bool) -> None:
    graph, count = graph_of(*GATED), size[0] * size[1]
    module = module_of(graph, size, fused=fused)
    x = noise(2, WIDTH, *size, seed=9, dtype=torch.float64)
    tables = [value for name, value in module.named_parameters() if name.endswith("table")]
    norm, over_channels = (
        next(layer for layer in module.children() if type(layer).__name__ == kind) for kind in ("BatchNorm2d", "LayerNorm2d")
    )
    convolutions = {
        layer.kernel_size[0] * 10 + layer.groups: layer for layer in module.children() if isinstance(layer, torch.nn.Conv2d)
    }
    first, gate, last = convolutions[31], convolutions[11], convolutions[13]
    (table,) = tables
    assert table.shape == (1, 2 * size[0] - 1, 2 * size[1] - 1)

    heads = x.reshape(2, HEADS, 4, count)
    scores = torch.einsum("bhci,bhcj->bhij", heads, heads) / 2
    made = norm(F.conv2d(scores, first.weight, first.bias, padding=1))
    made = F.layer_norm(made.movedim(1, -1), (6,), over_channels.weight, over_channels.bias, 1e-6).movedim(-1, 1)
    one, other = made[:, :3], made[:, 3:]
    weight = torch.sigmoid(gate(other.mean((2, 3), keepdim=True)))
    made = torch.cat([F.max_pool2d(one, 3, 1, 1) * weight, other], 1)
    y, across = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    y, across = y.flatten(), across.flatten()
    made = made + table[0][y[:, None] - y + size[0] - 1, across[:, None] - across + size[1] - 1]
    attention = last(made).softmax(-1)
    expected = torch.einsum("bhij,bhcj->bhci", attention, heads).reshape(x.shape)
    with torch.no_grad():
        assert float((module(x) - expected).abs().max()) < 1e-9


def test_costs_on_maps_are_by_hand_and_as_executed() -> None:
    height, width = 3, 4
    count = height * width
    graph = graph_of(*GATED)
    params, macs, layers, _, tokens = frame_cost(graph, Flow(WIDTH, Place(height, width, height, width)))
    table = (2 * height - 1) * (2 * width - 1)
    assert params == (3 * 6 * 9 + 6) + 2 * 6 + 2 * 6 + (3 * 3 + 3) + table + (3 * 2 + 3)
    assert macs == WIDTH * count**2 + 3 * 6 * 9 * count**2 + 9 + 6 * count**2 + WIDTH * count**2
    assert (layers, tokens) == (3, count)
    counter = MacCounter()
    with counter:
        module_of(graph, (height, width), fused=False)(noise(1, WIDTH, height, width, dtype=torch.float64))
    assert counter.macs == macs


def test_a_drawing_says_that_maps_are_convolved() -> None:
    assert summarise_graph(graph_of(*GATED), WIDTH) == "attention 3 heads of 4 + bias + conv on maps"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("conv(kernel=3, stride=2)", "expects a feature map to stride over"),
        ("max_pool(stride=2)", "expects a feature map to stride over"),
        ("group_norm", "expects a feature map"),
        ("layer_scale", "expects a feature map"),
        ("space_to_depth", "expects a feature map"),
        ("zero(pooled=true)", "expects a feature map"),
        ("slice(index=0, count=2)", "cannot take piece 0 of 3 channels in 2"),
        ("conv(kernel=1, ratio=1/2)", "not a whole number"),
    ],
)
def test_what_does_not_work_on_a_map_is_refused(line: str, message: str) -> None:
    lines = ("%1 = matmul_qk(head_dim=4) %0 %0", f"%2 = {line} %1", "%3 = matmul_av %2 %0", "return %3")
    with pytest.raises(GraphError, match=message):
        graph_of(*lines).types(WIDTH)


@pytest.mark.parametrize("scores", ["matmul_qk(head_dim=4, window=2)", "matmul_qk(head_dim=4, over=channels)"])
def test_maps_in_windows_or_between_channels_are_no_such_tensors(scores: str) -> None:
    lines = (f"%1 = {scores} %0 %0", "%2 = conv(kernel=1) %1", "%3 = matmul_av %2 %0", "return %3")
    with pytest.raises(GraphError, match="expects a feature map"):
        graph_of(*lines).types(WIDTH)


def test_one_head_shares_its_table_with_none() -> None:
    lines = ("%1 = matmul_qk(head_dim=12) %0 %0", "%2 = relative_position_bias(shared=true) %1", "%3 = matmul_av %2 %0")
    with pytest.raises(GraphError, match="expects several heads"):
        graph_of(*lines, "return %3").types(WIDTH)


# --- zeros ----------------------------------------------------------------------------------------------------------------


def outputs(network: Architecture) -> list[torch.Tensor]:
    """Of the stored form and of the canonical one, fused and unfused, with one seed's weights: none has any that differ."""
    x = noise(2, 3, 40, 24)
    made = []
    for form in (network, canonicalise(network)):
        for fused in (True, False):
            module = scramble(build(form, fused=fused).eval())
            with torch.no_grad():
                made.append(module(x))
    return made


ZEROS = [
    # a map that is zero before its softmax: every pixel is the mean of all values
    ("%1 = matmul_qk(head_dim=8) %0 %0", "%2 = zero %1", "%3 = softmax %2", "%4 = matmul_av %3 %0", "return %4"),
    ("%1 = zero(ratio=1/8, map=true) %0", "%2 = softmax %1", "%3 = matmul_av %2 %0", "return %3"),
    (
        "%1 = matmul_qk(head_dim=8) %0 %0",
        "%2 = zero %1",
        "%3 = mask %2",
        "%4 = add %3 %2",
        "%5 = softmax %4",
        "%6 = matmul_av %5 %0",
        "return %6",
    ),
    (
        "%1 = matmul_qk(head_dim=8) %0 %0",
        "%2 = gelu %1",
        "%3 = global_average_pool %2",
        "%4 = zero %3",
        "%5 = broadcast %4",
        "%6 = softmax %5",
        "%7 = matmul_av %6 %0",
        "return %7",
    ),
]


def test_maps_of_zeros_are_one_whatever_came_before() -> None:
    networks = [around(graph_of(*lines)) for lines in ZEROS]
    assert len({network.digest for network in networks}) == 1
    assert parse(to_text(canonicalise(networks[0]))).digest == networks[0].digest
    found = [made for network in networks for made in outputs(network)]
    for made in found:
        assert float((made - found[0]).abs().max()) < 1e-5


def test_attention_by_a_map_of_zeros_is_zero() -> None:
    lines = ("%1 = matmul_qk(head_dim=8) %0 %0", "%2 = zero %1", "%3 = matmul_av %2 %0", "%4 = add %3 %0", "return %4")
    assert around(graph_of(*lines)).digest == around(graph_of("return %0")).digest
    assert around(graph_of(*lines[:3], "return %3")).digest == around(None).digest


@pytest.mark.parametrize(
    "lines",
    [
        (
            "%1 = class_token %0",
            "%2 = zero(pooled=true) %1",
            "%3 = conv(kernel=1) %2",
            "%4 = broadcast %3",
            "%5 = add %1 %4",
            "return %5",
        ),
        ("%1 = zero(tokens=1) %0", "%2 = conv(kernel=1) %1", "%3 = class_token %0", "%4 = add %3 %2", "return %4"),
        ("%1 = global_average_pool %0", "%2 = zero(tokens=1) %1", "%3 = conv(kernel=1) %2", "%4 = broadcast %3", "return %4"),
        (
            "%1 = class_token %0",
            "%2 = matmul_qk(head_dim=4) %1 %1",
            "%3 = zero %2",
            "%4 = softmax %3",
            "%5 = matmul_av %4 %1",
            "return %5",
        ),
    ],
)
def test_zeros_beside_class_tokens_have_their_shape(lines: tuple[str, ...]) -> None:
    """A pooled one is one pixel, whatever it is broadcast to later; of the canonical form as of the stored one."""
    graph = graph_of(*lines)
    place = Place(5, 3, 5, 3)
    x = noise(2, WIDTH, 5, 3, dtype=torch.float64)
    for form in (graph, canonical_frame(graph, Flow(WIDTH, place))):
        for fused in (True, False):
            made = GraphModule(form, Flow(WIDTH, place), fused=fused, frame=True).double().eval()(x)
            assert made.shape == (2, WIDTH, 16, 1)


# --- edits, halves ----------------------------------------------------------------------------------------------------------


def test_networks_with_convolutions_on_maps_are_edited_like_others() -> None:
    start = canonicalise(around(graph_of(*(line.replace("head_dim=4", "head_dim=16") for line in GATED)), width=48))
    rng, kinds = random.Random(0), set()
    for _ in range(300):
        made = mutate(start, rng)
        if not isinstance(made, Rejection):
            child, edit = made
            kinds.add(edit.kind)
            assert parse(to_text(child)) == child
            assert cost(child).params == sum(value.numel() for value in build(child).parameters())
            if len(kinds) < 25:
                assert executed_macs(build(child, fused=False), (40, 40)) == cost(child).macs
    assert {"insert", "remove", "kernel", "groups", "width"} <= kinds


def test_a_template_that_rounds_down_is_another_network() -> None:
    up = Architecture((*around(letter_block("R").subblocks[0]).stages,) * 2, 5, (36, 44), (8, 16))
    down = up.replace(rounding="down")
    assert [place[:2] for place in up.places()] == [(9, 11), (5, 6)]
    assert [place[:2] for place in down.places()] == [(9, 11), (4, 5)]
    assert up.digest != down.digest
    assert '"version": 3' in to_text(down)
    assert parse(to_text(down)) == down
    assert canonicalise(down).rounding == "down"
    for network in (up, down):
        for size in ((36, 44), (70, 33)):
            assert executed_macs(build(network, fused=False), size) == cost(network, size).macs
    with pytest.raises(GraphError, match="too small: halves are rounded down"):
        cost(down, (5, 64))
    for text, message in (('"down"', None), ('"left"', 'expected "rounding" to be "up" or "down"'), ("3", '"rounding"')):
        changed = to_text(down).replace('"rounding": "down"', f'"rounding": {text}')
        if message is None:
            assert parse(changed) == down
        else:
            with pytest.raises(InputError, match=message):
                parse(changed)
    assert parse(to_text(down).replace("[36, 44]", "[7, 44]")).places()[-1][:2] == (1, 5), "the stem's convolution rounds up"
    with pytest.raises(InputError, match="<text>: an input of 6x44 is too small: halves are rounded down"):
        parse(to_text(down).replace("[36, 44]", "[6, 44]"))
