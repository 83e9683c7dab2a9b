"""Operations beside what they are written down as: naive computations, counts by hand, the file version that brought each."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.uninas.running import noise
from uninas import InputError, canonicalise
from uninas.analysis.graph_cost import frame_cost
from uninas.compile.layers import LAYERS
from uninas.compile.module import GraphModule, build
from uninas.edits import Rejection, mutate
from uninas.graph import IDENTITY, Architecture, Block, Flow, Graph, GraphBuilder, GraphError, Stage
from uninas.ops import TABLE, Place, parse_op
from uninas.text import parse, to_text


def graph_of(*texts: str) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.chain(0, *map(parse_op, texts)))


def module_of(*texts: str, channels: int = 6, reference: tuple[int, int] = (7, 5)) -> GraphModule:
    return GraphModule(graph_of(*texts), Flow(channels, Place(*reference, *reference)), fused=True, frame=True).double()


def close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-12)


def test_a_new_operation_is_one_entry_and_one_layer() -> None:
    assert set(LAYERS) == set(TABLE) - {"input"}


SIX = {
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "hard_sigmoid": lambda x: min(max(x + 3, 0.0), 6.0) / 6,
    "hardswish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "silu": lambda x: x / (1 + torch.tensor(-x, dtype=torch.float64).exp().item()),
}


@pytest.mark.parametrize("name", SIX)
def test_activations(name: str) -> None:
    x = 4 * noise(2, 6, 7, 5, seed=0, dtype=torch.float64)
    expected = torch.tensor([SIX[name](value) for value in x.flatten().tolist()], dtype=torch.float64).view_as(x)
    assert close(module_of(name)(x), expected)
    assert (module_of(name)(torch.zeros_like(x)) == 0).all() == TABLE[name].keeps_zero


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 3)])
def test_space_to_depth_moves_tiles_into_channels(size: tuple[int, int]) -> None:
    x = noise(2, 6, *size, seed=0, dtype=torch.float64)
    made = module_of("space_to_depth(factor=2)")(x)
    height, width = -(-size[0] // 2), -(-size[1] // 2)
    assert made.shape == (2, 24, height, width)
    padded = torch.zeros(2, 6, 2 * height, 2 * width, dtype=torch.float64)
    padded[:, :, : size[0], : size[1]] = x
    for channel in range(24):
        down, across = divmod(channel % 4, 2)
        assert close(made[:, channel], padded[:, channel // 4, down::2, across::2])


@pytest.mark.parametrize("size", [(8, 12), (7, 5), (3, 9)])
@pytest.mark.parametrize("groups", ["1", "depthwise"])
def test_an_even_kernel_takes_patches(size: tuple[int, int], groups: str) -> None:
    module = module_of(f"conv(kernel=4, stride=4, groups={groups})")
    x = noise(2, 6, *size, seed=0, dtype=torch.float64)
    weights = dict(module.named_parameters())
    weight, bias = (next(value for name, value in weights.items() if name.endswith(end)) for end in ("weight", "bias"))
    height, width = -(-size[0] // 4), -(-size[1] // 4)
    padded = torch.zeros(2, 6, 4 * height, 4 * width, dtype=torch.float64)
    padded[:, :, : size[0], : size[1]] = x
    made = module(x)
    for row in range(height):
        for column in range(width):
            patch = padded[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            expected = (
                (patch * weight[:, 0]).sum((2, 3)) if groups == "depthwise" else torch.einsum("bcyx,ocyx->bo", patch, weight)
            )
            assert close(made[:, :, row, column], expected + bias)


@pytest.mark.parametrize("size", [(8, 12), (7, 5), (1, 2)])
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "padding"),
    [
        (7, 4, 1, 2),
        (2, 1, 1, 0),
        (2, 1, 1, 1),
        (3, 2, 1, 0),
        (3, 1, 2, 1),
        (4, 2, 1, 1),
        (5, 3, 2, 8),
        (3, 3, 1, 2),
        (1, 2, 1, -1),
        (1, 3, 1, -2),
        (3, 2, 1, -1),
    ],
)
def test_a_padding_says_where_the_first_window_begins(
    kernel: int, stride: int, dilation: int, padding: int, size: tuple[int, int]
) -> None:
    """Zeros stand before and after the map; there are ceil(side / stride) windows, whatever the padding."""
    module = module_of(f"conv(kernel={kernel}, stride={stride}, dilation={dilation}, padding={padding})")
    x = noise(2, 6, *size, seed=0, dtype=torch.float64)
    weight, bias = (next(value for name, value in module.named_parameters() if name.endswith(end)) for end in ("weight", "bias"))
    height, width = -(-size[0] // stride), -(-size[1] // stride)
    far = F.pad(x, [50] * 4)
    made = module(x)
    assert made.shape == (2, 6, height, width)
    for row in range(height):
        for column in range(width):
            top, left = 50 - padding + row * stride, 50 - padding + column * stride
            extent = dilation * (kernel - 1) + 1
            patch = far[:, :, top : top + extent : dilation, left : left + extent : dilation]
            assert close(made[:, :, row, column], torch.einsum("bcyx,ocyx->bo", patch, weight) + bias)


@pytest.mark.parametrize(
    "text",
    [
        "conv(kernel=3, padding=1)",
        "conv(kernel=2, stride=2, padding=0)",
        "conv(kernel=3, dilation=2, padding=2)",
        "conv(kernel=3, padding=3)",
        "conv(kernel=2)",
        "conv(kernel=1, padding=-1)",
        "conv(kernel=3, stride=2, padding=-2)",
        "conv(kernel=3, columns=5, stride=2, padding=0)",
        "conv(kernel=4, columns=3, stride=4)",
    ],
)
def test_a_window_is_written_in_one_way(text: str) -> None:
    with pytest.raises(GraphError, match="padding"):
        graph_of(text).frame_types(6)


@pytest.mark.parametrize("size", [(8, 12), (7, 5), (1, 3)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(("kernel", "columns"), [(1, 7), (7, 1), (3, 5)])
def test_a_kernel_that_is_not_square(kernel: int, columns: int, dilation: int, stride: int, size: tuple[int, int]) -> None:
    module = module_of(f"conv(kernel={kernel}, columns={columns}, dilation={dilation}, stride={stride})")
    x = noise(2, 6, *size, seed=0, dtype=torch.float64)
    weight, bias = (next(value for name, value in module.named_parameters() if name.endswith(end)) for end in ("weight", "bias"))
    assert weight.shape == (6, 6, kernel, columns)
    far = F.pad(x, [50] * 4)
    made = module(x)
    assert made.shape == (2, 6, -(-size[0] // stride), -(-size[1] // stride))
    for row in range(made.shape[2]):
        for column in range(made.shape[3]):
            top, left = (50 + stride * at - dilation * (side // 2) for at, side in ((row, kernel), (column, columns)))
            down, across = dilation * (kernel - 1) + 1, dilation * (columns - 1) + 1
            patch = far[:, :, top : top + down : dilation, left : left + across : dilation]
            assert close(made[:, :, row, column], torch.einsum("bcyx,ocyx->bo", patch, weight) + bias)


def test_a_square_kernel_says_its_side_once() -> None:
    with pytest.raises(GraphError, match="as many columns as rows"):
        graph_of("conv(kernel=3, columns=3)").frame_types(6)
    with pytest.raises(GraphError, match="without class tokens"):
        graph_of("class_token", "conv(kernel=1, columns=3)").frame_types(6)


def test_a_class_token_stands_before_the_pixels() -> None:
    x = noise(2, 6, 7, 5, seed=0, dtype=torch.float64)
    module = module_of("class_token(position=true)")
    token, position = module.parameters()
    made = module(x)
    assert made.shape == (2, 6, 36, 1)
    assert close(made[:, :, 0, 0], (token + position).expand(2, -1))
    assert close(made[:, :, 1:, 0], x.flatten(2))
    taken = module_of("class_token", "conv(kernel=1)", "take_class_token")
    linear = next(child for child in taken.children() if isinstance(child, torch.nn.Conv2d))
    expected = linear(next(taken.parameters())[:, None, None])
    assert close(taken(x), expected.expand(2, -1, -1, -1))
    with pytest.raises(GraphError, match="without class tokens"):
        graph_of("class_token", "conv(kernel=3)").frame_types(6)
    for zero in ("zero(tokens=1)", "zero(stride=2)"):
        with pytest.raises(GraphError, match="nor add more"):
            graph_of("class_token", zero).frame_types(6)
    with pytest.raises(GraphError, match="with a class token"):
        graph_of("take_class_token").frame_types(6)


def test_a_stage_of_class_tokens_needs_an_entry_and_says_so() -> None:
    entry = graph_of("class_token")
    blocks = (Block((graph_of("conv(kernel=1)"), None)),)
    made = Architecture((Stage(16, blocks, entry, tokens=1),), 10, (8, 8), (8, 16), 3, graph_of("take_class_token"))
    text = to_text(made)
    assert json.loads(text)["version"] == 3
    assert parse(text) == made
    assert build(made).eval()(noise(2, 3, 8, 8)).shape == (2, 10)
    for wrong, message in (
        (replace(made.stages[0], tokens=0), "lead to 16 channels, got 16 channels and 1 class token"),
        (replace(made.stages[0], transition=None), "expected a transition"),
    ):
        with pytest.raises(InputError, match=message):
            parse(to_text(made.replace(stages=(wrong,), head=None)))
        with pytest.raises(GraphError):
            canonicalise(made.replace(stages=(wrong,), head=None))


def test_a_linear_layer_over_pixels() -> None:
    module = module_of("token_linear")
    weight, bias = module.parameters()
    x = noise(2, 6, 7, 5, seed=0, dtype=torch.float64)
    assert close(module(x), (torch.einsum("nm,bcm->bcn", weight, x.flatten(2)) + bias).view_as(x))
    larger = noise(1, 6, 9, 8, seed=1, dtype=torch.float64)
    small = F.interpolate(larger, [7, 5], mode="bilinear")
    mixed = (torch.einsum("nm,bcm->bcn", weight, small.flatten(2)) + bias).view_as(small)
    assert close(module(larger), F.interpolate(mixed, [9, 8], mode="bilinear"))
    params, macs, *_ = frame_cost(graph_of("token_linear"), Flow(6, Place(9, 8, 7, 5)))
    assert (params, macs) == (35 * 35 + 35, 6 * 35 * 35)


def test_negate_and_tanh() -> None:
    x = noise(2, 6, 7, 5, seed=0, dtype=torch.float64)
    assert close(module_of("negate")(x), 0 - x)
    assert close(module_of("tanh")(x), 2 / (1 + (-2 * x).exp()) - 1)


def test_an_even_max_pool_tiles() -> None:
    x = noise(2, 6, 7, 5, seed=0, dtype=torch.float64)
    made = module_of("max_pool(kernel=2, stride=2)")(x)
    assert made.shape == (2, 6, 4, 3)
    for row in range(4):
        for column in range(3):
            assert close(made[:, :, row, column], x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].amax((2, 3)))


def test_group_norm_and_layer_scale() -> None:
    x = noise(2, 6, 7, 5, seed=0, dtype=torch.float64)
    groups = x.view(2, 3, 2 * 7 * 5)
    normed = (groups - groups.mean(-1, keepdim=True)) / (groups.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    assert close(module_of("group_norm(groups=3)")(x), normed.view_as(x))
    scale = module_of("layer_scale(initial=1/4)")
    assert close(scale(x), x / 4)
    next(scale.parameters()).data.copy_(torch.arange(6))
    assert close(scale(x), x * torch.arange(6.0)[:, None, None])


def test_a_position_embedding_follows_the_size() -> None:
    module = module_of("position_embedding")
    (weight,) = module.parameters()
    x = noise(2, 6, 7, 5, seed=0, dtype=torch.float64)
    assert close(module(x), x + weight)
    larger = noise(1, 6, 9, 8, seed=1, dtype=torch.float64)
    resized = F.interpolate(weight[None], [9, 8], mode="bicubic", align_corners=False, antialias=True)
    assert close(module(larger), larger + resized)
    weight.data.fill_(0.5)
    assert close(module(larger), larger + 0.5)


@pytest.mark.parametrize(("size", "side"), [((4, 4), 2), ((9, 9), 3), ((7, 5), 3), ((1, 2), 2), ((16, 9), 4), ((1, 1), 1)])
def test_a_bias_of_rows_to_columns_follows_the_size(size: tuple[int, int], side: int) -> None:
    """At sizes a^2 x a^2 as the reference has it, at others on the least grid with room for the rows and the columns."""
    module = module_of("row_column_bias", reference=(9, 9))
    (table,) = module.parameters()
    assert table.shape == (1, 5, 5)
    table.data.copy_(noise(1, 5, 5, seed=3, dtype=torch.float64))
    offsets = 2 * side - 1
    at = table[0] if side == 3 else F.interpolate(table[None], [offsets, offsets], mode="bilinear", align_corners=True)[0, 0]
    x = noise(2, 6, *size, seed=0, dtype=torch.float64)
    expected = x.clone()
    for r in range(size[0]):
        for c in range(size[1]):
            expected[:, :, r, c] += at[r // side - c // side + side - 1, r % side - c % side + side - 1]
    assert close(module(x), expected)


def test_a_bias_of_rows_to_columns_reads_no_class_token() -> None:
    with pytest.raises(GraphError, match="without class tokens"):
        graph_of("class_token", "row_column_bias").frame_types(6)
    pooled = module_of("global_average_pool", "row_column_bias", "broadcast")
    next(pooled.parameters()).data.fill_(2)
    assert close(pooled(torch.ones(1, 6, 7, 5).double()), torch.full((1, 6, 7, 5), 3.0).double())


def test_drop_path_drops_whole_samples_in_training_alone() -> None:
    module = module_of("drop_path(p=0.25)")
    x = torch.ones(2000, 6, 2, 2, dtype=torch.float64)
    assert close(module.eval()(x), x)
    torch.manual_seed(0)
    made = module.train()(x)
    each = made.flatten(1)
    assert close(each.amin(1), each.amax(1))
    assert set(each[:, 0].tolist()) == {0.0, 1 / 0.75}
    assert float(made.mean()) == pytest.approx(1.0, abs=0.05)


COSTS = {  # parameters and MACs by hand, for 6 channels at 7 x 5
    "relu6": (0, 0),
    "silu": (0, 0),
    "hardswish": (0, 0),
    "hard_sigmoid": (0, 0),
    "drop_path": (0, 0),
    "space_to_depth": (0, 0),
    "group_norm": (12, 0),
    "layer_scale": (6, 0),
    "position_embedding": (6 * 7 * 5, 0),
    "row_column_bias": (5 * 5, 0),  # seven rows lie on a 3 x 3 grid
    "tanh": (0, 0),
    "negate": (0, 0),
    "class_token": (6, 0),
    "class_token(position=true)": (12, 0),
    "token_linear": (35 * 35 + 35, 6 * 35 * 35),
    "conv(kernel=7, stride=4, padding=2)": (6 * 6 * 49 + 6, 6 * 6 * 49 * 4),
    "conv(kernel=2, stride=2)": (6 * 6 * 4 + 6, 6 * 6 * 4 * 4 * 3),
    "conv(kernel=1, columns=7, bias=false)": (6 * 6 * 7, 6 * 6 * 7 * 7 * 5),
    "conv(kernel=1, stride=2, padding=-1, bias=false)": (6 * 6, 6 * 6 * 4 * 3),
    "conv(kernel=4, stride=4, groups=depthwise)": (6 * 16 + 6, 6 * 16 * 4),
}


@pytest.mark.parametrize("text", COSTS)
def test_costs(text: str) -> None:
    params, macs, *_ = frame_cost(graph_of(text), Flow(6, Place(7, 5, 7, 5)))
    assert (params, macs) == COSTS[text]
    assert params == sum(value.numel() for value in module_of(text).parameters())


def around(graph: Graph) -> Architecture:
    return Architecture((Stage(16, (Block((graph, None)),)),), 10, (32, 32), (8, 16))


@pytest.mark.parametrize("name", sorted(set(TABLE) - {"input"}))
def test_a_file_names_the_oldest_version_that_can_say_it(name: str) -> None:
    """So that files which older programs can read stay readable by them."""
    since = TABLE[name].since
    assert since == (3 if name in NEW else 2 if name in ("relu", "average_pool") else 1)
    if since == 3 and "class_token" not in name and name != "space_to_depth":
        assert json.loads(to_text(around(graph_of(name))))["version"] == 3
    assert json.loads(to_text(around(graph_of("gelu"))))["version"] == 1
    assert json.loads(to_text(around(graph_of("conv(kernel=3)"))))["version"] == 1
    assert json.loads(to_text(around(graph_of("conv(kernel=3, columns=1)"))))["version"] == 4
    inside = Stage(16, (), graph_of("conv(kernel=1, ratio=2, stride=2, padding=-1)"))
    assert json.loads(to_text(around(graph_of("gelu")).replace(stages=(inside,), stem=(8, 8))))["version"] == 4


NEW = {
    "group_norm",
    "layer_scale",
    "relu6",
    "silu",
    "hardswish",
    "hard_sigmoid",
    "position_embedding",
    "row_column_bias",
    "drop_path",
    "space_to_depth",
    "tanh",
    "negate",
    "class_token",
    "take_class_token",
    "token_linear",
}


def test_a_head_that_pools_and_a_stage_of_its_entry_alone() -> None:
    """Version 3 can say them; the network runs, and gives what it gives without the words."""
    head = graph_of("global_average_pool", "conv(kernel=1, ratio=3)", "hardswish")
    entry = graph_of("conv(kernel=3, ratio=2, stride=2)")
    made = Architecture((Stage(16, (), entry),), 10, (32, 32), (8, 8), 3, head)
    assert json.loads(to_text(made))["version"] == 3
    assert parse(to_text(made)) == made
    assert json.loads(to_text(made.replace(stages=(Stage(16, (), entry),), head=None)))["version"] == 3
    network = build(made).eval()
    x = noise(2, 3, 32, 32, seed=0)
    features = network.forward_features(x)[-1]
    assert features.shape == (2, 16, 8, 8)
    conv = next(module for name, module in network.named_modules() if name.startswith("norm.conv"))
    expected = network.head(F.hardswish(conv(features.mean((2, 3), keepdim=True))).flatten(1))
    assert torch.allclose(network(x), expected, atol=1e-6)
    plain = made.replace(stages=(Stage(16, (Block((graph_of("gelu"),), residual=False),), IDENTITY),), stem=(8, 16), head=None)
    assert json.loads(to_text(plain))["version"] == 2


def test_a_network_without_blocks_is_edited_in_its_entries() -> None:
    made = Architecture((Stage(16, (), graph_of("conv(kernel=3, ratio=2, stride=2)")),), 10, (32, 32), (8, 8))
    kinds = ("insert", "fork", "kernel", "groups", "deepen", "move_block", "drop_subblock", "crossover")
    found = {
        kind: [mutate(made, random.Random(seed), prior={kind: 1.0, "deepen": 0.0}) for seed in range(20)] for kind in kinds[:4]
    }
    for kind, results in found.items():
        edits = [result[1] for result in results if not isinstance(result, Rejection)]
        assert {(edit.kind, edit.part) for edit in edits} == {(kind, "entry")}
    for kind in kinds[4:7]:
        refused = mutate(made, random.Random(0), prior={kind: 1.0})
        assert isinstance(refused, Rejection)
        assert refused.reason == "no_site"
