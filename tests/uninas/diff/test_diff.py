"""Comparing networks: what an edit did is what the comparison says, and nothing is said of equal networks."""

import json
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.drawing.pictures import faults
from tests.uninas.examples import around, disguised_network, framed, graph_of, headed, small, walked
from uninas import Architecture, Graph, canonicalise, op, preset
from uninas.diff import Difference, GraphDiff, align, diff, diff_graphs
from uninas.diff.matching import pairing_cost
from uninas.diff.sequences import align_sequences
from uninas.drawing.diff_picture import draw_difference
from uninas.drawing.diff_terminal import difference_lines
from uninas.drawing.diff_words import graph_words
from uninas.edits import CROSSOVERS, FRAGMENTS, PRIOR, Edit, Limits, Rejection, apply, propose

PRESETS = ("coatnet", "resnet", "efficientnet", "vit")
SEEDS = st.integers(0, 1 << 32)


def start(rng: random.Random) -> Architecture:
    """A small network some edits away from a preset."""
    return walked(small(rng.choice(PRESETS)), rng, rng.randrange(10))


def edited(rng: random.Random, kind: str) -> tuple[Architecture, Edit, Architecture] | None:
    """A network, an edit of that kind, and what it gives; None where the draw is refused."""
    parent = canonicalise(start(rng))
    for _ in range(20):
        edit = propose(parent, rng, {kind: 1.0})
        child = edit if isinstance(edit, Rejection) else apply(parent, edit)
        if not isinstance(child, Rejection):
            return parent, edit, child
    return None


def parts(difference: Difference) -> tuple[list, list[GraphDiff], list]:
    """Blocks that differ, their graphs that differ, and the edits of these."""
    blocks = [block for stage in difference.stages for block in stage.blocks if block.kind != "equal"]
    graphs = [graph for block in blocks for graph in block.graphs if graph.kind != "equal"]
    return blocks, graphs, [edit for graph in graphs for edit in graph.edits]


def rebuilt(graph: GraphDiff) -> Counter:
    """The operations of A with the edits applied."""
    ops = Counter(node.op.text for node in graph.a.nodes)
    for edit in graph.edits:
        if edit.kind != "rewired":
            ops.subtract(graph.a.nodes[n].op.text for n in edit.before)
            ops.update(graph.b.nodes[n].op.text for n in edit.after)
    return +ops


OF_FRAMES = {"add_stage", "remove_stage", "stem", "entry", "head", "class_token", "copy_block"}
"""Kinds of edit whose difference is not told edit by edit, beyond that there is one."""


@examples(120)
@given(SEEDS, st.sampled_from(sorted(set(PRIOR) - set(CROSSOVERS))))
def test_a_comparison_says_what_an_edit_did(seed, kind):
    made = edited(random.Random(seed), kind)
    if made is None:
        return
    parent, edit, child = made
    difference = diff(parent, child)
    blocks, graphs, edits = parts(difference)
    widths = [stage.widths for stage in difference.stages if stage.widths[0] != stage.widths[1]]
    assert not difference.equal
    for graph in graphs:
        if graph.kind == "changed":
            assert rebuilt(graph) == Counter(node.op.text for node in graph.b.nodes)
    if kind in OF_FRAMES or edit.part != "block":
        return
    if kind == "width":
        assert widths == [(parent.stages[edit.stage].width, edit.arguments["width"])]
        return  # graphs whose ratios do not fit are refitted, and told as changed
    assert widths == []
    if kind == "deepen":
        (block,) = blocks
        assert (block.kind, block.block) == ("added", parent.stages[edit.stage].blocks[edit.block])
        assert block.after[0] == edit.stage + 1
    elif kind == "shorten" and len(parent.stages[edit.stage].blocks) > 1:
        (block,) = blocks
        assert (block.kind, block.block) == ("removed", parent.stages[edit.stage].blocks[edit.block])
    elif kind == "move_block":
        assert {block.kind for block in blocks} <= {"moved", "added", "removed", "changed"}
    elif kind == "drop_subblock":
        (block,) = blocks
        gone = parent.stages[edit.stage].blocks[edit.block].subblocks[edit.sub]
        assert block.kind == "removed" or [(g.kind, g.a) for g in graphs] == [("removed", gone)]
    elif kind in ("replace", "kernel", "head_dim"):
        (change,), (block,) = edits, blocks
        (graph,) = graphs
        assert block.before == (edit.stage + 1, edit.block + 1)
        operations = graph.a.nodes[change.before[0]].op, graph.b.nodes[change.after[0]].op.text
        assert (change.kind, *operations) == ("replaced", graph.a.nodes[edit.arguments["node"]].op, edit.arguments["op"])
    elif kind == "expansion":
        assert edits
        assert {change.kind for change in edits} == {"replaced"}
    elif kind in ("insert", "fork") and graphs[0].kind == "changed":
        (change,) = edits
        inserted = Counter(graphs[0].b.nodes[n].op.text for n in change.after)
        assert change.kind == "inserted"
        assert inserted >= Counter(node.op.text for node in FRAGMENTS[edit.arguments["fragment"]].nodes[1:])
        assert len(change.after) == len(graphs[0].b.nodes) - len(graphs[0].a.nodes)


@examples(30)
@given(SEEDS)
def test_nothing_is_said_of_equal_networks_however_they_are_written(seed):
    rng = random.Random(seed)
    arch = rng.choice([start, framed])(rng)
    other, _ = disguised_network(arch, rng)
    for difference in (diff(arch, arch), diff(arch, other)):
        assert difference.equal
        assert difference.settings == ()
        assert difference.stem is difference.head is None
        assert all(stage.equal for stage in difference.stages)


@examples(40)
@given(SEEDS)
def test_unrelated_networks_are_compared_and_all_of_both_is_accounted_for(seed):
    rng = random.Random(seed)
    a, b = canonicalise(rng.choice([start, framed])(rng)), canonicalise(rng.choice([start, framed])(rng))
    difference = diff(a, b)
    assert difference.equal == (a.digest == b.digest)
    blocks = [block for stage in difference.stages for block in stage.blocks]
    for arch, places in ((a, [block.before for block in blocks]), (b, [block.after for block in blocks])):
        wanted = [(s, n) for s, stage in enumerate(arch.stages, 1) for n in range(1, len(stage.blocks) + 1)]
        assert sorted(place for place in places if place is not None) == wanted
    for _, graphs, _ in [parts(difference)]:
        for graph in graphs:
            if graph.kind == "changed":
                assert graph.edits
                assert rebuilt(graph) == Counter(node.op.text for node in graph.b.nodes)
    json.dumps(difference.as_dict())
    list(difference_lines(difference, ("a", "b")))
    assert faults(draw_difference(difference, ("a", "b"))) == []


CHAIN = ("%1 = conv(kernel=3) %0", "%2 = batch_norm %1", "%3 = gelu %2")


def told(a: tuple[str, ...], b: tuple[str, ...], width: int = 32) -> list[str]:
    forms = [canonicalise(around(graph_of(*lines), width=width)).stages[0].blocks[0].subblocks[0] for lines in (a, b)]
    return [f"{words.sign} {words.text}" for words in graph_words(diff_graphs(*forms, (width, 0), (width, 0)), residual=True)]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (("%1 = conv(kernel=3) %0", "%2 = batch_norm %1", "return %2"), ["− GELU %3 was between BatchNorm %2 and the output"]),
        (
            ("%1 = conv(kernel=5) %0", "%2 = batch_norm %1", "%3 = gelu %2", "return %3"),
            ["~ conv 5×5 %1 between the input and BatchNorm %2: kernel 3 became 5"],
        ),
        (
            (*CHAIN[:2], "%3 = relu %2", "return %3"),
            ["~ GELU became ReLU %3 between BatchNorm %2 and the output"],
        ),
        ((*CHAIN, "%4 = add %3 %0", "return %4"), ["+ + %4 between the input, GELU %3 and the output"]),
        (
            (*CHAIN, "%4 = conv(kernel=3) %3", "%5 = batch_norm %4", "%6 = gelu %5", "return %6"),
            ["+ conv3-BN-GELU between GELU %3 and the output"],
        ),
    ],
)
def test_edits_are_told_with_their_places(changed, expected):
    assert told((*CHAIN, "return %3"), changed) == expected


def test_swapped_operands_and_other_sources_are_rewirings():
    qkv = ["%1 = conv(kernel=1, ratio=3) %0", *(f"%{i + 2} = slice(index={i}, count=3) %1" for i in range(3))]
    rest = ("%6 = softmax %5", "%7 = matmul_av %6 %4", "return %7")
    one = (*qkv, "%5 = matmul_qk(head_dim=16) %2 %3", *rest)
    assert told(one, (*qkv, "%5 = matmul_qk(head_dim=16) %2 %2", *rest)) != []
    lines = told(
        ("%1 = gelu %0", "%2 = conv(kernel=3) %1", "%3 = conv(kernel=1) %2", "%4 = add %3 %1", "return %4"),
        ("%1 = gelu %0", "%2 = conv(kernel=3) %1", "%3 = conv(kernel=1) %2", "%4 = add %3 %0", "return %4"),
    )
    assert lines == ["~ + %4 now reads the input, no longer GELU %1"]


def test_two_graphs_with_little_in_common_are_named_whole():
    vit, net = preset("vit").stages[0].blocks[0].subblocks[0], preset("efficientnet").stages[0].blocks[0].subblocks[0]
    (words,) = graph_words(diff_graphs(vit, net, (96, 0), (96, 0)), residual=True)
    assert words.text == "attention 3 heads of 32 + bias became MBConv ×4 dw5 + SE"


def least_cost(a: Graph, b: Graph, most: float) -> float:
    """The least cost of any pairing, `most` or less, by branch and bound over all of them."""
    best, pairs = most, {0: 0}

    def go(first: int) -> None:
        nonlocal best
        waiting, free = len(a.nodes) - first, len(b.nodes) - len(pairs)
        cost = pairing_cost(a, b, pairs)
        if cost - waiting - free + abs(waiting - free) >= best - 1e-9:  # whatever is paired now may only add to the rest
            return
        if not waiting:
            best = cost
            return
        for second in set(range(1, len(b.nodes))) - set(pairs.values()):
            pairs[first] = second
            go(first + 1)
            del pairs[first]
        go(first + 1)

    go(1)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_one_edit_among_many_equal_heads_is_found(seed):
    rng = random.Random(seed)
    heads = headed(8, width=64, piece=(op("gelu"),), on_map=(op("mask"),), post=(op("sigmoid"),))
    parent = canonicalise(around(heads, width=64))
    while True:
        edit = propose(parent, rng, {"insert": 1.0, "replace": 1.0})
        child = edit if isinstance(edit, Rejection) else apply(parent, edit, Limits(nodes_per_subblock=200))
        if not isinstance(child, Rejection) and edit.stage == edit.block == edit.sub == 0:
            break
    edits = parts(diff(parent, child))[2]
    assert [change.kind for change in edits] == [{"insert": "inserted", "replace": "replaced"}[edit.kind]]


@pytest.mark.parametrize(("edits", "least_exact"), [(1, 1.0), (3, 0.9)])
def test_pairings_of_small_graphs_are_the_cheapest(edits, least_exact):
    """Always after one edit; mostly after three."""
    exact = []
    for seed in range(150):
        rng = random.Random(seed)
        arch = walked(around(graph_of("%1 = conv(kernel=3) %0", "%2 = gelu %1", "return %2")), rng, 5)
        other = arch
        for _ in range(edits):
            made = propose(other, rng)
            child = made if isinstance(made, Rejection) else apply(other, made)
            other = other if isinstance(child, Rejection) or made.kind in ("deepen", "width") else child
        a, b = (one.stages[0].blocks[0].subblocks for one in (arch, other))
        if not a or not b or a[0] is None or b[0] is None or max(len(a[0].nodes), len(b[0].nodes)) > 8:
            continue
        cost = pairing_cost(a[0], b[0], align(a[0], b[0]))
        exact.append(least_cost(a[0], b[0], cost) >= cost - 1e-9)
    assert len(exact) > 50
    assert sum(exact) >= least_exact * len(exact)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("", "", []),
        ("AAA", "AAAA", [(0, 0), (1, 1), (2, 2), (None, 3)]),
        ("ABC", "BCD", [(0, None), (1, 0), (2, 1), (None, 2)]),
        ("AB", "BA", [(0, None), (1, 0), (None, 1)]),
        ("AxB", "AyB", [(0, 0), (1, 1), (2, 2)]),
        ("Bb", "C", [(0, None), (1, 0)]),
        ("bB", "C", [(0, 0), (1, None)]),
    ],
)
def test_sequences_are_aligned_by_the_fewest_unequal_items(a, b, expected):
    def distance(one, other):
        return 0.2 if one in "Ab" else 0.3

    assert align_sequences(a, b, distance) == expected


def test_a_block_moved_within_or_across_stages_is_told_as_moved():
    arch = canonicalise(preset("coatnet"))
    other = apply(arch, Edit("move_block", 0, 1, arguments={"to_stage": 2, "to_block": 1}))
    (block,) = parts(diff(arch, other))[0]
    assert (block.kind, block.before, block.after) == ("moved", (1, 2), (3, 2))


def test_stages_that_come_and_go_are_told():
    arch = preset("convnext_tiny")
    difference = diff(arch, arch.replace(stages=arch.stages[:3]))
    assert [(stage.before, stage.after) for stage in difference.stages] == [(1, 1), (2, 2), (3, 3), (4, None)]
    assert difference.as_dict()["difference"]["layers"] == -10
