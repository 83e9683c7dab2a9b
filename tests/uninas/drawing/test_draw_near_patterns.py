"""Patterns: what almost matches one, what nests, and what folds."""

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.drawing.test_draw_patterns import CONV1, CONV3, DW3, DW7, GELU, NARROW, NORM, WIDEN, first_block
from tests.uninas.examples import framed, small, walked
from uninas import Block, Graph, GraphBuilder, InputError, op, parse_graph
from uninas.drawing import find_patterns, summarise_block, summarise_graph
from uninas.drawing.folding import fold, shut
from uninas.drawing.graph_view import GraphView
from uninas.drawing.layout import longest_path_layers
from uninas.drawing.naming import patterns
from uninas.drawing.naming.patterns import outermost
from uninas.graph import Node
from uninas.ops import INPUT


def chain(*ops) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.chain(0, *ops))


def test_dense_concatenations_are_one_pattern():
    builder = GraphBuilder()
    x = 0
    for layer in range(3):
        ratio = f"{1}/{layer + 1}"
        x = builder.add(op("concat"), x, builder.chain(x, op("batch_norm"), op("relu"), op("conv", kernel=3, ratio=ratio)))
    graph = builder.build(builder.add(op("conv", kernel=1, ratio="1/4"), x))
    assert summarise_graph(graph, 32) == "dense concat, 3 layers, conv1"


def residual_of(*ops) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.add(op("add"), 0, builder.chain(0, *ops)))


def leaking(*ops, at: int) -> Graph:
    """A chain and, added to its end, what stands at one place of it."""
    builder = GraphBuilder()
    places = [0]
    for operation in ops:
        places.append(builder.add(operation, places[-1]))
    return builder.build(builder.add(op("add"), places[-1], places[at]))


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (chain(CONV3, NORM, GELU, CONV3, NORM, GELU), "conv3-BN-GELU ×2"),  # two of them without a skip are no ResNet block
        (residual_of(CONV3, NORM, CONV3, NORM), "conv3-BN ×2, sum"),  # no activation between
        (residual_of(CONV3, GELU, CONV1), "conv3-GELU, conv1, sum"),
        (chain(WIDEN, NARROW), "conv1 ×2"),  # no activation: no MLP
        (chain(CONV1, GELU, CONV1), "conv1-GELU, conv1"),  # does not widen
        (chain(WIDEN, GELU, op("conv", kernel=3, ratio="1/4")), "conv1-GELU, conv3"),
        (chain(WIDEN, DW3, GELU, NARROW), "MLP ×4 dw3"),  # MBConv has an activation before its depthwise convolution
        (chain(WIDEN, DW3, NARROW), "expand ×4 + separable dw3"),
        (chain(WIDEN, op("softmax"), DW3, NARROW), "expand ×4 + separable dw3"),  # something else stands within
        (chain(DW7, op("layer_norm"), GELU, WIDEN, GELU, NARROW), "dw7-LN-GELU, MLP ×4"),  # ConvNeXt has no activation there
        (chain(DW7, WIDEN, GELU, NARROW), "dw7, MLP ×4"),  # nor is it without norm
        (chain(op("conv", kernel=3, ratio=4), NARROW), "conv3, conv1"),  # fused MBConv has an activation
        (leaking(WIDEN, GELU, DW3, GELU, NARROW, at=2), "ill typed"),
        (leaking(NORM, CONV3, GELU, CONV3, at=3), "BN, conv3-GELU, conv3, sum"),  # the sum skips half of it
        (leaking(WIDEN, GELU, NARROW, at=3), "MLP ×4, sum"),  # the sum reads its end twice: no skip
        (chain(NARROW, GELU, WIDEN), "reduce ÷4"),  # no spatial convolution: no bottleneck
        (chain(op("conv", kernel=1, groups=2, ratio=4), GELU, NARROW), "conv1g2-GELU, conv1"),
    ],
)
def test_what_almost_matches_is_said_as_it_is(graph, said):
    if said == "ill typed":
        with pytest.raises(InputError):
            summarise_graph(graph, 64)
    else:
        assert summarise_graph(graph, 64) == said


def test_one_sigmoid_for_two_products_is_one_gate_at_most():
    builder = GraphBuilder()
    gate = builder.chain(0, op("global_average_pool"), NARROW, GELU, WIDEN, op("sigmoid"), op("broadcast"))
    other = builder.add(CONV3, 0)
    products = [builder.add(op("multiply"), x, gate) for x in (0, other)]
    patterns = find_patterns(builder.build(builder.add(op("add"), *products)), 64)
    assert [pattern.text for pattern in patterns] == ["SE", "conv3"]


def test_a_product_is_no_skip():
    builder = GraphBuilder()
    graph = builder.build(builder.add(op("multiply"), builder.chain(0, WIDEN, GELU, NARROW), 0))
    assert summarise_graph(graph, 64) == "MLP ×4, product"


def test_gates_that_are_no_squeeze_and_excitation():
    def gate(*ops, of: int = 0) -> str:
        builder = GraphBuilder()
        other = builder.add(CONV3, 0)
        pooled = builder.chain((0, other)[of], op("global_average_pool"), *ops, op("sigmoid"), op("broadcast"))
        return summarise_graph(builder.build(builder.add(op("multiply"), (0, other)[1], pooled)), 64)

    reduce, restore = op("conv", kernel=1, ratio="1/4"), op("conv", kernel=1, ratio=4)
    assert gate(reduce, GELU, restore, of=1) == "conv3, SE"
    assert gate(CONV1, of=1) == "conv3, global gate"
    assert "SE" not in gate(reduce, GELU, restore, of=0)  # the mean of another map than it multiplies


@examples(60)
@given(st.integers(0, 1 << 32))
def test_patterns_of_any_network_nest_and_its_picture_folds(seed):
    rng = random.Random(seed)
    arch = rng.choice([lambda: walked(small(), rng, 15), lambda: framed(rng)])()
    for stage in arch.stages:
        for block in stage.blocks:
            for graph in block.subblocks:
                if graph is None:
                    continue
                found = find_patterns(graph, stage.width, stage.tokens, residual=block.residual)
                patterns = [pattern.nodes for pattern in found]
                assert all(one <= set(range(1, len(graph.nodes))) for one in patterns)
                assert all(one & other in (frozenset(), one, other) for one in patterns for other in patterns)
                outer = [pattern.nodes for pattern in outermost(found)]
                folded = shut(graph, outer)
                longest_path_layers(len(folded.members), folded.edges)  # which refuses cycles
                assert sorted(n for nodes in folded.members for n in nodes) == list(range(len(graph.nodes)))


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


def test_a_gated_mlp_is_said_to_multiply():
    builder = GraphBuilder()
    wide = builder.add(op("conv", kernel=1, ratio=4), 0)
    halves = [builder.add(op("slice", index=index, count=2), wide) for index in range(2)]
    product = builder.add(op("multiply"), halves[0], builder.add(op("silu"), halves[1]))
    gated = builder.build(builder.add(op("conv", kernel=1, ratio="1/2"), product))
    assert summarise_graph(gated, 64) == "expand ×4 + product"


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
    assert summarise_graph(heads(6), 192) == "attention 6 heads of 32"


def test_a_group_that_another_node_stands_within_stays_open():
    graph = chain(GELU, NORM, CONV1, NORM)
    assert shut(graph, [frozenset({1, 2})]).members == ((0,), (1, 2), (3,), (4,))
    assert shut(graph, [frozenset({1, 3})]).members == ((0,), (1,), (2,), (3,), (4,))
    builder = GraphBuilder()
    ends = [builder.chain(0, GELU, op("relu")), builder.chain(0, op("silu"), op("tanh"))]
    crossed = builder.build(builder.add(op("add"), *ends))
    assert shut(crossed, [frozenset({1, 4}), frozenset({2, 3})]).members == ((0,), (1,), (2,), (3,), (4,), (5,))


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


def test_a_long_chain_needs_little_memory():
    """What lies before each node is a bit a node: a set for each was gigabytes for a file of less than one megabyte."""
    graph = chain(*[CONV3] * 4000)
    graph.frame_types(32)
    tracemalloc.start()
    try:
        assert summarise_graph(graph, 32) == "conv3 ×4000"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30e6


def test_what_lies_between_two_nodes_is_on_a_path():
    """Against the definition: what depends on the first node and is needed by the last."""
    for seed in range(30):
        rng = random.Random(seed)
        nodes = [Node(op("add"), tuple(rng.choices(range(index), k=rng.randrange(1, 4)))) for index in range(1, 14)]
        graph = Graph((Node(INPUT, ()), *nodes), 13)
        view = GraphView(graph, 32)
        needs: list[set[int]] = []
        for node in graph.nodes:
            needs.append({*node.inputs}.union(*[needs[source] for source in node.inputs]))
        assert [view.past(node) for node in range(14)] == [sorted(past) for past in needs]
        for first in range(14):
            for last in range(14):
                assert view.depends(last, first) == (first in needs[last])
                expected = {node for node in needs[last] | {last} if node == first or first in needs[node]}
                assert view.between(first, last) == expected


def test_a_graph_that_is_named_often_is_summarised_once(monkeypatch):
    calls = []
    found = patterns.find_patterns
    monkeypatch.setattr(patterns, "find_patterns", lambda *args, **flags: calls.append(args) or found(*args, **flags))
    graph = chain(CONV1, GELU, CONV1)
    assert len({summarise_block(Block((graph,) * 16, residual=False), 32) for _ in range(5)}) == 1
    assert len(calls) == 1


def test_a_kept_summary_is_that_of_its_arguments():
    """Whatever changes the line is part of what it is kept by: an equal graph that keeps nothing yet has the same."""
    for graph, width in ((heads(6), 192), (heads(6), 384), (chain(CONV3, GELU, CONV3, op("softmax")), 32)):
        lines = []
        for flags in ({}, {"count_heads": False}, {"limit": 0}, {"residual": True}):
            lines.append(summarise_graph(graph, width, **flags))
            assert lines[-1] == summarise_graph(Graph(graph.nodes, graph.output), width, **flags)
        assert len(set(lines)) > 1
    one, two = heads(3), chain(CONV3, GELU, CONV3)
    assert [summarise_graph(one, width) for width in (96, 288)] == ["attention 3 heads of 32", "attention 9 heads of 32"]
    texts = [summarise_graph(two, 32, residual=residual) for residual in (False, True)]
    assert texts == ["conv3-GELU, conv3", "basic block conv3"]
