"""Names for groups of operations: the hand-made blocks are called what people call them."""

import pytest

from uninas import Block, Graph, GraphBuilder, op, parse_graph, preset
from uninas.draw import find_patterns, summarise_block, summarise_graph
from uninas.draw.folding import fold


def first_block(name: str, stage: int = 0) -> Block:
    return preset(name).stages[stage].blocks[0]


def chain(*ops) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.chain(0, *ops))


CONV1, CONV3, NORM, GELU = op("conv", kernel=1), op("conv", kernel=3), op("batch_norm"), op("gelu")


@pytest.mark.parametrize(
    ("name", "stage", "width", "summary"),
    [
        ("resnet", 0, 64, "conv3-BN-GELU ×2"),
        ("efficientnet", 1, 192, "MBConv ×4 dw5 + SE"),
        ("vit", 0, 96, "attention 3 heads + bias | MLP ×4"),
        ("coatnet", 3, 768, "attention 24 heads + bias | MLP ×4"),
    ],
)
def test_hand_made_blocks_have_their_names(name, stage, width, summary):
    assert summarise_block(first_block(name, stage), width) == summary


def test_without_counting_heads_a_summary_holds_at_every_width():
    block = first_block("vit")
    texts = {summarise_block(block, width, count_heads=False) for width in (96, 192, 768)}
    assert texts == {"attention, heads of 32 + bias | MLP ×4"}


def test_patterns_are_disjoint_or_nested_and_within_the_graph():
    for name in ("resnet", "efficientnet", "vit"):
        for graph in first_block(name).subblocks:
            found = [pattern.nodes for pattern in find_patterns(graph, 96)]
            for one in found:
                assert one <= set(range(len(graph.nodes)))
                assert all(one & other in (frozenset(), one, other) for other in found)


def test_squeeze_and_excitation_lies_within_its_mbconv():
    kinds = {pattern.kind: pattern for pattern in find_patterns(first_block("efficientnet").subblocks[0], 96)}
    assert set(kinds) == {"mbconv", "squeeze-excite"}
    assert kinds["squeeze-excite"].nodes < kinds["mbconv"].nodes


def test_gate_and_silu_are_told_apart():
    builder = GraphBuilder()
    silu = builder.add(op("multiply"), 0, builder.add(op("sigmoid"), 0))
    assert summarise_graph(builder.build(silu), 32) == "SiLU"
    builder = GraphBuilder()
    gate = builder.add(op("sigmoid"), builder.add(CONV3, 0))
    assert summarise_graph(builder.build(builder.add(op("multiply"), 0, gate)), 32) == "conv3, gate"


def test_narrowing_first_is_a_bottleneck_and_a_dense_kernel_no_mbconv():
    down, up = op("conv", kernel=1, ratio="1/4"), op("conv", kernel=1, ratio=4)
    assert summarise_graph(chain(down, CONV3, up), 64) == "bottleneck ÷4 conv3"
    widen, back = op("conv", kernel=1, ratio=4), op("conv", kernel=1, ratio="1/4")
    assert summarise_graph(chain(widen, CONV3, GELU, back), 64) == "expand ×4 conv3"
    assert summarise_graph(chain(widen, GELU, back), 64) == "MLP ×4"


def test_an_expansion_with_an_edge_out_of_it_has_no_name():
    builder = GraphBuilder()
    wide = builder.add(op("conv", kernel=1, ratio=4), 0)
    back = builder.add(op("conv", kernel=1, ratio="1/4"), builder.add(GELU, wide))
    other = builder.add(op("conv", kernel=3, ratio="1/4"), wide)
    graph = builder.build(builder.add(op("add"), back, other))
    assert all(pattern.kind != "mlp" for pattern in find_patterns(graph, 64))


def test_equal_neighbours_are_counted_and_long_summaries_cut():
    assert summarise_graph(chain(CONV3, NORM, CONV3, NORM, CONV3, NORM), 32) == "conv3-BN ×3"
    many = chain(GELU, CONV1, op("max_pool"), NORM, op("softmax"), op("layer_norm"), op("sigmoid"))
    assert summarise_graph(many, 32).endswith("more")


def test_absent_zero_and_identity():
    assert summarise_graph(None, 32) == ""
    assert summarise_graph(chain(op("zero")), 32) == "zero"
    assert summarise_graph(Graph(chain(GELU).nodes[:1], 0), 32) == "identity"
    assert summarise_block(Block((None, chain(op("zero")))), 32) == "no operation"


def heads(count: int) -> Graph:
    """Attention with a slice for every query, key and value of every head."""
    builder = GraphBuilder()
    qkv = builder.add(op("conv", kernel=1, ratio=3), 0)
    outputs = []
    for head in range(count):
        q, k, v = (builder.add(op("slice", index=3 * head + part, count=3 * count), qkv) for part in range(3))
        weights = builder.add(op("softmax"), builder.add(op("matmul_qk", head_dim=32), q, k))
        outputs.append(builder.add(op("matmul_av"), weights, v))
    return builder.build(builder.add(op("concat"), *outputs))


def test_heads_of_their_own_are_one_attention():
    assert summarise_graph(heads(6), 192) == "attention 6 heads"


def test_alike_branches_fold_and_unlike_ones_do_not():
    folded = fold(heads(12))
    sizes = sorted(len(nodes) for nodes in folded.members)
    assert sizes == [1, 1, 1] + [12] * 6  # input, qkv, concat; q, k, v, their product, softmax, its product
    assert all(len(nodes) == 1 for nodes in fold(first_block("vit").subblocks[0]).members)
    assert all(len(nodes) == 1 for nodes in fold(heads(2)).members)


def test_a_changed_head_stays_out_of_the_fold():
    graph = heads(12)
    lines = graph.text.split("\n")
    place = next(index for index, line in enumerate(lines) if " = softmax" in line)
    lines[place] = lines[place].replace("softmax", "mask")
    folded = fold(parse_graph("\n".join(lines)))
    assert sorted(len(nodes) for nodes in folded.members) == [1] * 9 + [11] * 6
