"""What edits do not make: graphs beyond a limit, operations without a meaning, what no edit is; refused in words."""

from __future__ import annotations

import random

import pytest

from tests.uninas.examples import around, graph_of, graphs_of, headed, small, tiny, walk
from uninas import (
    IDENTITY,
    Architecture,
    Block,
    Edit,
    GraphBuilder,
    InputError,
    Limits,
    Rejection,
    Stage,
    apply,
    canonicalise,
    mutate,
    op,
    preset,
    warnings_of,
)
from uninas.edits import crossover_edit
from uninas.networks.presets import letter_block

# --- limits and meaning -------------------------------------------------------------------------------------------------------


def test_limits_are_honoured() -> None:
    limits = Limits(nodes_per_subblock=12, blocks_per_stage=3, smallest_width=32, largest_width=64)
    start = small("vit").replace(stages=tuple(Stage(64, stage.blocks) for stage in small("vit").stages))
    refused = 0
    for seed in range(4):
        for step in walk(start, random.Random(seed), 400, limits):
            if isinstance(step, Rejection):
                refused += step.reason == "too_large"
                continue
            _, _, child = step
            assert all(len(graph.nodes) <= 12 for _, _, _, graph in graphs_of(child))
            assert all(1 <= len(stage.blocks) <= 3 and 32 <= stage.width <= 64 for stage in child.stages)
    assert refused > 20


def test_what_exceeds_a_limit_may_shrink_but_not_grow() -> None:
    network = around(headed(8, width=32), width=32)
    limits = Limits(nodes_per_subblock=10)
    before = len(graphs_of(canonicalise(network))[0][3].nodes)
    assert before > 10
    smaller = apply(network, Edit("remove", arguments={"node": before - 1, "instead": 0}), limits)
    assert isinstance(smaller, Architecture)
    larger = apply(network, Edit("insert", arguments={"consumer": 0, "slot": 0, "fragment": "gelu"}), limits)
    assert isinstance(larger, Rejection)
    assert larger.reason == "too_large"
    equal = apply(network, Edit("insert", stage=0, sub=1, arguments={"consumer": 0, "slot": 0, "fragment": "gelu"}), limits)
    assert isinstance(equal, Architecture), "the other sub-block is within its limit"


ONE_PIXEL = (8, 8)  # the second stage of a network of this size has one pixel

MEANINGLESS = {
    "softmax over one entry": ("softmax", "one entry"),
    "BatchNorm on one pixel": ("batch_norm", "1x1"),
    "pooling one pixel": ("max_pool", "changes nothing"),
    "a mask that covers the map": ("mask", "covers the whole map"),
    "a kernel on one pixel": ("conv3x3", "centre of the kernel"),
    "a depthwise kernel on one pixel": ("depthwise3x3", "centre of the kernel"),
}


@pytest.mark.parametrize("case", MEANINGLESS)
def test_meaningless_operations_are_not_made(case: str) -> None:
    fragment, why = MEANINGLESS[case]
    stages = tuple(Stage(32, (letter_block("T"),)) for _ in range(3))
    network = Architecture(stages, classes=3, input_size=ONE_PIXEL)
    edit = Edit("insert", 2, 0, 1, {"consumer": 1, "slot": 0, "fragment": fragment})
    result = apply(network, edit)
    assert isinstance(result, Rejection)
    assert result.reason == "meaningless"
    assert why in result.detail
    assert "stage 3, block 1" in result.detail
    larger = apply(network.replace(input_size=(224, 224)), edit)
    assert isinstance(larger, Architecture), "the same edit means something at another size"


def test_layer_norm_over_one_channel_is_not_made() -> None:
    lines = ["%1 = conv(kernel=1, ratio=1/32) %0", "%2 = gelu %1", "%3 = conv(kernel=1, ratio=32) %2", "return %3"]
    network = around(graph_of(*lines))
    result = apply(network, Edit("insert", arguments={"consumer": 2, "slot": 0, "fragment": "layer_norm"}))
    assert isinstance(result, Rejection)
    assert (result.reason, "one channel" in result.detail) == ("meaningless", True)


def test_moving_into_a_stage_too_small_is_not_made() -> None:
    network = Architecture(tuple(Stage(32, (letter_block(x),)) for x in "ETT"), classes=3, input_size=ONE_PIXEL)
    result = apply(network, Edit("copy_block", 2, 0, 0, {"from_stage": 0, "from_block": 0}))
    assert isinstance(result, Rejection)
    assert result.reason == "meaningless"


def test_presets_only_warn() -> None:

    network = preset("vit", input_size=(32, 32))
    warned = warnings_of(network)
    assert len(warned) == 2
    assert all("stage 4" in line and "attention map of one entry" in line for line in warned)
    assert isinstance(mutate(network, random.Random(0)), tuple | Rejection)


# --- refusals -----------------------------------------------------------------------------------------------------------------

BAD_EDITS = [
    {"kind": "no such kind"},
    {"kind": "insert", "stage": 9},
    {"kind": "insert", "block": 9},
    {"kind": "insert", "sub": 2},
    {"kind": "insert"},
    {"kind": "insert", "consumer": 0, "slot": 0, "fragment": "no such fragment"},
    {"kind": "insert", "consumer": 999, "slot": 0, "fragment": "gelu"},
    {"kind": "insert", "consumer": 1, "slot": 7, "fragment": "gelu"},
    {"kind": "fork", "consumer": 0, "slot": 0, "fragment": "gelu", "merge": "glue"},
    {"kind": "connect", "consumer": 1, "slot": 0, "other": 5, "merge": "add"},
    {"kind": "remove", "node": 3, "instead": 3},
    {"kind": "remove", "node": 1, "instead": -1},
    {"kind": "replace", "node": 0, "op": "gelu"},
    {"kind": "replace", "node": 1, "op": "gelu("},
    {"kind": "replace", "node": 1, "op": "no_such_op"},
    {"kind": "unfork", "node": 1, "slot": 0},
    {"kind": "expansion", "node": 2, "channels": 64},
    {"kind": "expansion", "node": 1, "channels": 0},
    {"kind": "expansion", "node": 1},
    {"kind": "insert", "part": "stem", "consumer": 0, "slot": 0, "fragment": "gelu"},
    {"kind": "insert", "part": "head", "consumer": 0, "slot": 0, "fragment": "gelu"},
    {"kind": "insert", "part": "entry", "stage": 9, "consumer": 0, "slot": 0, "fragment": "gelu"},
    {"kind": "width", "part": "stem", "width": 32},
    {"kind": "stem", "form": "no such form", "width": 32, "act": "gelu"},
    {"kind": "stem", "form": "conv", "width": 32, "act": "no such act"},
    {"kind": "entry", "stage": 9, "form": "conv", "act": "gelu"},
    {"kind": "head", "form": "no such form", "act": "gelu"},
    {"kind": "add_stage", "form": "conv", "act": "gelu"},
    {"kind": "remove_stage", "stage": 4},
    {"kind": "crossover_stage", "width": 32},
    {"kind": "crossover_stage", "width": 32, "blocks": "g1 g2"},
    {"kind": "crossover_stage", "width": 32, "blocks": "absent"},
    {"kind": "deepen", "stage": 4},
    {"kind": "shorten", "block": 4},
    {"kind": "copy_block"},
    {"kind": "copy_block", "from_stage": 9, "from_block": 0},
    {"kind": "move_block", "to_stage": 9, "to_block": 0},
    {"kind": "move_block", "to_stage": 1, "to_block": 3},
    {"kind": "width"},
    {"kind": "width", "width": 0},
    {"kind": "width", "stage": 5, "width": 32},
    {"kind": "crossover", "sub1": "absent"},
    {"kind": "crossover", "sub1": "absent", "sub2": "nonsense"},
]


@pytest.mark.parametrize("data", BAD_EDITS, ids=str)
def test_an_edit_that_does_not_fit_says_what_was_expected(data: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"expect|unknown|known"):
        apply(small("efficientnet"), Edit.from_dict(data))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"kind": 3},
        {"kind": "a", "part": "roof"},
        {"kind": "a", "stage": -1},
        {"kind": "insert", "stage": True},
        {"kind": "insert", "x": [1]},
        {"kind": "insert", "x": 1.5},
        {"kind": "insert", "x": None},
        {"kind": "insert", "x": True},
    ],
    ids=str,
)
def test_what_is_no_edit_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected"):
        Edit.from_dict(data)


def test_replacing_by_an_operation_of_other_arity_is_ill_typed() -> None:
    result = apply(small(), Edit("replace", arguments={"node": 1, "op": "matmul_av"}))
    assert isinstance(result, Rejection)
    assert result.reason == "ill_typed"


def test_an_edit_that_changes_nothing_says_so() -> None:
    network = tiny("E")
    graph = graphs_of(canonicalise(network))[0][3]
    result = apply(network, Edit("replace", arguments={"node": 1, "op": graph.nodes[1].op.text}))
    assert isinstance(result, Rejection)
    assert result.reason == "no_change"


def test_too_symmetric_is_a_rejection() -> None:
    builder = GraphBuilder()
    points = [builder.add(op("conv", kernel=1), 0) for _ in range(240)]
    pairs = [(6 * ring + i, 6 * ring + (i + 1) % 6) for ring in range(40) for i in range(6)]
    sums = [builder.add(op("gelu"), builder.add(op("add"), points[a], points[b])) for a, b in pairs]
    hexagons = builder.build(builder.add(op("add"), *sums))
    result = apply(around(IDENTITY), crossover_edit(0, 0, Block((hexagons, None))))
    assert isinstance(result, Rejection)
    assert result.reason == "too_symmetric"
