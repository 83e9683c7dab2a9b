"""Names for groups of operations: the hand-made blocks are called what people call them."""

from types import SimpleNamespace

import pytest

from uninas import Block, GraphBuilder, op, preset
from uninas.drawing import labels, overview, summarise_block, summarise_graph
from uninas.networks.presets import attention


def first_block(name: str, stage: int = 0) -> Block:
    return preset(name).stages[stage].blocks[0]


CONV1, CONV3, NORM, GELU = op("conv", kernel=1), op("conv", kernel=3), op("batch_norm"), op("gelu")


@pytest.mark.parametrize(
    ("name", "stage", "width", "summary"),
    [
        ("resnet", 0, 64, "basic block conv3"),
        ("efficientnet", 1, 192, "MBConv ×4 dw5 + SE"),
        ("vit", 0, 96, "attention 3 heads of 32 + bias | MLP ×4"),
        ("coatnet", 3, 768, "attention 24 heads of 32 + bias | MLP ×4"),
    ],
)
def test_hand_made_blocks_have_their_names(name, stage, width, summary):
    assert summarise_block(first_block(name, stage), width) == summary


def names_of(network: str) -> list[str]:
    """Stem, every distinct block and transition, head."""
    view = overview(preset(network))
    return [view.stem_text, *[kind.summary for kind in view.kinds if kind.role in ("Block", "Transition")], view.head_text]


@pytest.mark.parametrize(
    ("network", "names"),
    [
        (
            "resnet50",
            [
                "conv7/2-BN-ReLU, max pool 3×3 stride 2",
                "bottleneck ÷4 conv3 + conv1 skip",
                "bottleneck ÷4 conv3 + skip",
                "bottleneck ÷4 conv3/2 + conv1/2 skip",
                "global average",
            ],
        ),
        (
            "resnext50_32x4d",
            [
                "conv7/2-BN-ReLU, max pool 3×3 stride 2",
                "bottleneck ÷2 conv3g32 + conv1 skip",
                "bottleneck ÷2 conv3g32 + skip",
                "bottleneck ÷2 conv3g32/2 + conv1/2 skip",
                "global average",
            ],
        ),
        (
            "regnety_004",
            [
                "conv3/2-BN-ReLU",
                "bottleneck conv3g6/2 + SE + conv1/2 skip",
                "bottleneck conv3g13/2 + SE + conv1/2 skip",
                "bottleneck conv3g13 + SE + skip",
                "bottleneck conv3g26/2 + SE + conv1/2 skip",
                "bottleneck conv3g26 + SE + skip",
                "bottleneck conv3g55/2 + SE + conv1/2 skip",
                "bottleneck conv3g55 + SE + skip",
                "global average",
            ],
        ),
        (
            "mobilenetv2_100",
            [
                "conv3/2-BN-ReLU6",
                "separable dw3",
                "MBConv ×6 dw3/2",
                "MBConv ×6 dw3 + skip",
                "MBConv ×6 dw3/2",
                "MBConv ×6 dw3/2",
                "MBConv ×6 dw3",
                "MBConv ×6 dw3/2",
                "MBConv ×6 dw3",
                "conv1-BN-ReLU6, global average",
            ],
        ),
        (
            "mobilenetv3_large_100",
            [
                "conv3/2-BN-Hardswish",
                "separable dw3 + skip",
                "MBConv ×4 dw3/2",
                "MBConv ×3 dw3 + skip",
                "MBConv ×3 dw5/2 + SE",
                "MBConv ×3 dw5 + SE + skip",
                "MBConv ×6 dw3/2",
                "MBConv ×2.5 dw3 + skip",
                "MBConv ×2.3 dw3 + skip",
                "MBConv ×6 dw3 + SE",
                "MBConv ×6 dw3 + SE + skip",
                "MBConv ×6 dw5/2 + SE",
                "MBConv ×6 dw5 + SE + skip",
                "conv1-BN-Hardswish, global average, conv 1×1, Hardswish",
            ],
        ),
        (
            "efficientnet_b0",
            [
                "conv3/2-BN-SiLU",
                "separable dw3 + SE",
                "MBConv ×6 dw3/2 + SE",
                "MBConv ×6 dw3 + SE + skip",
                "MBConv ×6 dw5/2 + SE",
                "MBConv ×6 dw5 + SE + skip",
                "MBConv ×6 dw3/2 + SE",
                "MBConv ×6 dw5 + SE",
                "MBConv ×6 dw5/2 + SE",
                "MBConv ×6 dw3 + SE",
                "conv1-BN-SiLU, global average",
            ],
        ),
        ("convnext_tiny", ["conv4/4-LN", "ConvNeXt ×4 dw7 + skip", "LN, conv2/2", "global average, LN"]),
        (
            "swin_tiny_patch4_window7_224",
            [
                "conv4/4-LN",
                "attention, heads of 32, window 7 + bias | MLP ×4",
                "attention, heads of 32, window 7, shift 3 + bias | MLP ×4",
                "space to depth 2, LN, conv1",
                "LayerNorm, global average",
            ],
        ),
        (
            "pvt_v2_b1",
            [
                "conv7/4-LN",
                "attention 1 head of 64 + keys at 1/8 | MLP ×8 dw3",
                "LN",
                "conv3/2-LN",
                "attention 2 heads of 64 + keys at 1/4 | MLP ×8 dw3",
                "conv3/2-LN",
                "attention 5 heads of 64 + keys at 1/2 | MLP ×4 dw3",
                "conv3/2-LN",
                "attention 8 heads of 64 | MLP ×4 dw3",
                "global average",
            ],
        ),
        (
            "deit_small_patch16_224",
            ["conv16/16, + position embedding, class token, pixels", "attention 6 heads of 64 | MLP ×4", "LN, class token"],
        ),
        (
            "poolformer_s12",
            ["conv7/4", "pool mixer 3 + skip, MLP ×4 + skip", "conv3/2", "conv3/2", "conv3/2", "global average, LN"],
        ),
        (
            "coatnet_0_224",
            [
                "conv3/2-BN-GELU, conv3",
                "MBConv ×6 dw3/2 + SE + pooled conv1 skip",
                "MBConv ×4 dw3 + SE + skip",
                "MBConv ×8 dw3/2 + SE + pooled conv1 skip",
                "attention, heads of 32 + bias of a pooled map + pooled conv1 skip, MLP ×4 + skip",
                "attention, heads of 32 + bias | MLP ×4",
                "global average, LN, conv 1×1, tanh",
            ],
        ),
    ],
)
def test_published_blocks_have_their_names(network, names):
    assert names_of(network) == names


ANYTHING = {"identity": op("identity"), "dropout": op("dropout"), "drop_path": op("drop_path"), "scale": op("layer_scale")}
WIDEN, NARROW = op("conv", kernel=1, ratio=4), op("conv", kernel=1, ratio="1/4")
DW7, DW3 = op("conv", kernel=7, groups="depthwise"), op("conv", kernel=3, groups="depthwise")


@pytest.mark.parametrize("between", ANYTHING.values(), ids=ANYTHING)
@pytest.mark.parametrize("act", ["relu", "silu", "hardswish", "gelu"])
@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm", "group_norm"])
def test_names_do_not_depend_on_norm_activation_and_what_is_transparent(between, act, norm):
    n, a = op(norm), op(act)
    shapes = {
        "MBConv ×4 dw3 + skip": [WIDEN, between, n, a, DW3, n, a, between, NARROW, n, between],
        "bottleneck ÷4 conv3 + skip": [NARROW, n, a, between, CONV3, n, between, a, WIDEN, n, between],
        "basic block conv3 + skip": [CONV3, n, a, between, CONV3, n, between],
        "fused MBConv ×4 conv3 + skip": [op("conv", kernel=3, ratio=4), n, a, between, NARROW, n, between],
        "ConvNeXt ×4 dw7 + skip": [DW7, between, n, WIDEN, a, between, NARROW, between],
        "MLP ×4 + skip": [n, between, WIDEN, a, between, NARROW, between],
    }
    for name, ops in shapes.items():
        builder = GraphBuilder()
        deep = builder.chain(0, *ops)
        assert summarise_graph(builder.build(builder.add(op("add"), 0, deep)), 64) == name


def test_norm_and_activation_may_stand_before_and_behind():
    """ResNet v2's order, and the shortcut from behind the first activation where it changes channels."""
    norm, act = op("batch_norm"), op("relu")
    builder = GraphBuilder()
    deep = builder.chain(0, norm, act, NARROW, norm, act, CONV3, norm, act, WIDEN)
    assert summarise_graph(builder.build(builder.add(op("add"), deep, 0)), 64) == "bottleneck ÷4 conv3 + skip"
    builder = GraphBuilder()
    first = builder.chain(0, norm, act)
    deep = builder.chain(first, NARROW, norm, act, CONV3, norm, act, WIDEN)
    graph = builder.build(builder.add(op("add"), deep, builder.add(CONV1, first)))
    assert summarise_graph(graph, 64) == "BN, ReLU, bottleneck ÷4 conv3 + conv1 skip"


def test_a_transformer_block_as_one_graph():
    builder = GraphBuilder()
    attended = builder.chain(attention(builder, builder.add(op("layer_norm"), 0), bias=False), CONV1, op("drop_path"))
    x = builder.add(op("add"), 0, attended)
    deep = builder.chain(x, op("layer_norm"), WIDEN, GELU, NARROW, op("drop_path"))
    graph = builder.build(builder.add(op("add"), x, deep))
    assert summarise_graph(graph, 64) == "attention 2 heads of 32 + skip, MLP ×4 + skip"


def test_queries_that_share_keys_are_told():
    """Multi-query attention: as few heads of keys and values as their channels make."""
    builder = GraphBuilder()
    query, key, value = (builder.add(op("conv", kernel=1, ratio=ratio), 0) for ratio in (1, "1/4", "1/4"))
    scores = builder.chain(builder.add(op("matmul_qk", head_dim=16), query, key), op("softmax"))
    graph = builder.build(builder.add(CONV1, builder.add(op("matmul_av"), scores, value)))
    assert summarise_graph(graph, 64) == "attention 4 heads of 16, 1 of keys"


def test_what_an_operations_label_adds_is_said_of_attention(monkeypatch):
    monkeypatch.setattr(labels, "op_label", lambda op: op.spec.label.format(**op.values))
    spec = SimpleNamespace(
        label="q · kᵀ, windows of {window}",
        attributes=[SimpleNamespace(name=n, default=d) for n, d in (("head_dim", None), ("window", 0), ("shifted", False))],
    )
    plain = SimpleNamespace(spec=spec, values={"head_dim": 32, "window": 0, "shifted": False})
    windowed = SimpleNamespace(spec=spec, values={"head_dim": 32, "window": 7, "shifted": True})
    assert labels.qualifiers(plain, known=("head_dim",)) == []
    assert labels.qualifiers(windowed, known=("head_dim",)) == ["windows of 7", "shifted"]
