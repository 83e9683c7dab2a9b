"""Pictures of networks: valid, complete, escaped, self-contained, nothing overlaps."""

import random
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.uninas.drawing.pictures import faults
from tests.uninas.examples import framed, walked
from tests.uninas.examples import small as small_preset
from uninas import IDENTITY, Architecture, Block, GraphBuilder, Stage, canonicalise, op, preset
from uninas.diff import diff
from uninas.drawing import draw_architecture, draw_blocks, draw_overview, draw_subblock
from uninas.drawing.diff_picture import draw_difference
from uninas.drawing.labels import FAMILIES, multiple, percent, quantity, type_label
from uninas.drawing.overview import overview
from uninas.networks.presets import PRESETS
from uninas.networks.zoo import ZOO
from uninas.ops import TABLE, FeatureMap

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def every_operation():
    """A graph with every operation of the table, at width 64."""
    b = GraphBuilder()
    x = b.chain(0, op("conv", kernel=3, groups=4, dilation=2), op("batch_norm"), op("gelu"), op("max_pool"), op("layer_norm"))
    x = b.chain(x, op("relu"), op("average_pool"), op("group_norm", groups=8), op("relu6"), op("silu"), op("hardswish"))
    x = b.chain(x, op("hard_sigmoid"), op("position_embedding"), op("layer_scale"), op("drop_path"))
    x = b.chain(x, op("row_column_bias"), op("tanh"), op("negate"), op("token_linear"))
    q, k, v = (b.add(op("slice", index=i, count=3), b.add(op("conv", kernel=1, ratio=3), x)) for i in range(3))
    m = b.add(op("matmul_qk", head_dim=32), q, k)
    m = b.chain(m, op("relative_position_bias"), op("softmax"), op("mask"), op("dropout"))
    a = b.add(op("matmul_av"), m, v)
    s = b.chain(a, op("global_average_pool"), op("conv", kernel=1, ratio="1/4"), op("conv", kernel=1, ratio=4))
    gated = b.add(op("multiply"), a, b.chain(s, op("broadcast"), op("sigmoid")))
    two = [b.add(op("conv", kernel=5, groups="depthwise", bias=False), gated), b.add(op("conv", kernel=1), gated)]
    joined = b.add(op("conv", kernel=1, ratio="1/2"), b.add(op("concat"), *two))
    b.chain(0, op("class_token"), op("take_class_token"))  # nor from the map with a token
    b.chain(0, op("space_to_depth"), op("conv", kernel=1, ratio="1/4"))  # leads nowhere: no operation comes back from its stride
    return b.build(b.add(op("add"), joined, b.add(op("identity"), 0), b.add(op("zero"), 0)))


def small(graph) -> Architecture:
    return Architecture((Stage(64, (Block((graph, None)),)),), classes=10, input_size=(32, 32))


@pytest.mark.parametrize("name", ["resnet", "efficientnet", "vit", "coatnet"])
def test_presets_are_drawn_as_valid_xml(name):
    drawings = [draw_architecture(preset(name), title=name), draw_overview(preset(name)), draw_blocks(preset(name))]
    for svg, has_overview, has_blocks in zip(drawings, (True, True, False), (True, False, True), strict=True):
        assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
        shown = texts(svg)
        assert ("Stage 4" in shown) == has_overview
        assert ("GELU" in shown) == has_blocks


@pytest.mark.parametrize("shut", [False, True], ids=["open", "folded"])
@pytest.mark.parametrize("name", [*PRESETS, *ZOO])
def test_nothing_overlaps_and_every_text_stands_in_its_box(name, shut):
    assert faults(draw_architecture(preset(name), title=name, shut=shut)) == []


@pytest.mark.parametrize(("a", "b"), [*pairwise([*PRESETS, *ZOO]), ("coatnet", "coatnet_0_224")])
def test_nothing_overlaps_in_comparisons(a, b):
    assert faults(draw_difference(diff(preset(a), preset(b)), (a, b))) == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1 << 32))
def test_nothing_overlaps_in_pictures_of_random_networks(seed):
    rng = random.Random(seed)
    arch = rng.choice([lambda: walked(small_preset(), rng, 25), lambda: framed(rng)])()
    for stage, shut in ((None, False), (None, True), (1, False)):
        assert faults(draw_architecture(arch, stage=stage, shut=shut)) == []


def test_a_folded_picture_has_a_box_for_each_pattern_and_opens_to_its_operations():
    shown = texts(draw_architecture(preset("vit"), shut=True))
    assert {"attention, heads of 32 + bias", "MLP ×4"} <= set(shown)
    assert not {"softmax", "GELU"} & set(shown)
    assert {"softmax", "GELU"} <= set(texts(draw_architecture(preset("vit"))))


def test_one_stage_or_block_is_drawn_alone():
    shown = texts(draw_architecture(preset("resnet50"), stage=2))
    assert "Stage 2" in shown
    assert "Head" not in shown
    assert {"bottleneck ÷4 conv3/2 + conv1/2 skip", "bottleneck ÷4 conv3 + skip", "x  ·  512 ch"} <= set(shown)
    assert "conv 3×3 stride 2" not in texts(draw_architecture(preset("resnet50"), stage=2, block=1))
    empty = preset("mobilenetv2_100")
    empty = empty.replace(stages=(Stage(32, (), IDENTITY), *empty.stages))
    assert "MBConv ×6 dw3/2" not in texts(draw_architecture(empty, stage=1))  # a stage without blocks has none to draw
    assert "Transition into stage 2" in texts(draw_architecture(preset("resnet50"), stage=2, block=0))


def test_every_operation_is_drawn_with_its_familys_colour():
    graph = every_operation()
    assert {node.op.name for node in graph.nodes} == set(TABLE)
    svg = draw_subblock(graph, 64)
    drawn = {style for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect") for style in rect.get("class", "").split()}
    assert {f"un-{family}" for family in FAMILIES} <= drawn
    shown = texts(svg)
    for label in (
        "conv 3×3, 4 groups, dilation 2",
        "depthwise 5×5",
        "mask |i−j| ≤ 5",
        "+ position bias",
        "dropout 0.5",
        "GroupNorm 8",
        "Hardswish",
        "LayerScale",
        "drop path 0.1",
        "space to depth 2",
    ):
        assert label in shown


def test_channels_stand_where_they_change():
    shown = texts(draw_subblock(every_operation(), 64))
    assert "192 ch" in shown  # behind the convolution to queries, keys and values
    assert "2 maps" in shown
    assert "16 ch, 1×1" in shown


def test_stride_and_class_token_stand_where_they_change():
    deit = texts(draw_architecture(preset("deit_small_patch16_224")))
    assert {"384 ch, stride 16", "384 ch + token", "x  ·  384 ch + token", "1536 ch"} <= set(deit)
    assert deit.count("384 ch + token") == 1  # where the token comes in
    mbconv = texts(draw_architecture(preset("efficientnet_b0"), stage=2, block=0))
    assert {"96 ch, stride 2", "96 ch, 1×1", "24 ch"} <= set(mbconv)
    assert mbconv.count("96 ch, stride 2") == 1  # once at the depthwise convolution, not behind the broadcast
    full, half = FeatureMap(96, False), FeatureMap(96, False, 2)
    assert type_label(half, 96) == type_label(half, 96, before=[full, half]) == "96 ch, stride 2"
    assert type_label(half, 96, before=[half]) == "96 ch"


def test_names_of_patterns_that_end_in_one_corner_stand_apart():
    b = GraphBuilder()
    x = b.chain(0, op("conv", kernel=1, ratio=4), op("gelu"))
    joint = b.add(op("conv", kernel=1, ratio=3), x)
    q, k, v = (b.add(op("slice", index=i, count=3), joint) for i in range(3))
    m = b.chain(b.add(op("matmul_qk", head_dim=32), q, k), op("softmax"))
    svg = draw_subblock(b.build(b.chain(b.add(op("matmul_av"), m, v), op("conv", kernel=1, ratio="1/4"))), 64)
    assert {"expand", "attention"} <= set(texts(svg))
    assert faults(svg) == []


@pytest.mark.parametrize(("name", "shut", "told"), [("vit", False, True), ("vit", True, False), ("resnet50", False, False)])
def test_the_legend_tells_of_attention_maps_where_some_are_labelled(name, shut, told):
    shown = texts(draw_architecture(preset(name), shut=shut))
    assert any(text.endswith(("map", "maps")) for text in shown) == told
    assert any("maps = heads of an attention map" in text for text in shown) == told
    assert not any("N × N" in text for text in shown)


def test_a_block_at_several_widths_is_labelled_in_multiples_and_drawn_once():
    svg = draw_architecture(preset("efficientnet"))
    shown = texts(svg)
    assert "4C" in shown
    assert "4C, 1×1" in shown
    assert shown.count("depthwise 5×5") == 1
    assert "×5" in shown  # stage 3 has five of them


def test_titles_are_escaped_and_control_characters_replaced():
    hostile = '</text><script>alert("1")</script> & "quoted" \x00\x1b\ud800'
    svg = draw_architecture(preset("resnet"), title=hostile)
    root = ElementTree.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert root.get("aria-label", "").startswith('</text><script>alert("1")</script> & "quoted" \ufffd')


def test_nothing_outside_is_referenced():
    svg = draw_architecture(preset("coatnet"))
    assert not re.search(r"(href|src|url\(|@import|<image|<script|<foreignObject)", svg)
    assert svg.count("http") == 1  # the namespace


def test_shares_add_up_to_the_whole():
    view = overview(preset("coatnet"))
    assert view.stem[0] + view.head[0] + sum(stage.params for stage in view.stages) == view.total.params
    assert view.stem[1] + view.head[1] + sum(stage.macs for stage in view.stages) == view.total.macs
    for stage in view.stages:
        assert sum(run.params for run in stage.runs) == stage.params
        assert sum(run.macs for run in stage.runs) == stage.macs


def test_kinds_count_blocks_by_stage():
    kinds = overview(preset("coatnet")).kinds
    assert [(kind.letter, kind.count, kind.per_stage) for kind in kinds] == [("A", 5, {1: 2, 2: 3}), ("B", 7, {3: 5, 4: 2})]


def test_more_than_26_kinds_have_letters_of_their_own():
    builders = [GraphBuilder() for _ in range(28)]
    graphs = [b.build(b.chain(0, *[op("gelu")] * (n + 1))) for n, b in enumerate(builders)]
    graphs = [g for g in graphs if g.types(8)]
    arch = Architecture((Stage(8, tuple(Block((g, None)) for g in graphs)),), classes=2, input_size=(32, 32))
    letters = [kind.letter for kind in overview(arch).kinds]
    assert letters[-2:] == ["AA", "AB"]
    ElementTree.fromstring(draw_architecture(arch))


def test_canonical_and_stored_forms_are_both_drawn():
    arch = preset("resnet")
    assert "S2 is zero" in " ".join(texts(draw_architecture(arch)))
    assert "S2 is absent" in " ".join(texts(draw_architecture(canonicalise(arch))))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (512, "512"), (99_960, "100 k"), (26_871_124, "26.9 M"), (4.213e9, "4.21 G")]
)
def test_quantities(value, text):
    assert quantity(value) == text


def test_percentages_and_multiples():
    assert [percent(part, 1000) for part in (0, 0.1, 4, 500)] == ["0 %", "< 0.1 %", "0.4 %", "50 %"]
    assert percent(1, 0) == "–"
    assert [multiple(channels, 96) for channels in (96, 384, 24, 144, 3)] == ["C", "4C", "C/4", "3C/2", "C/32"]
