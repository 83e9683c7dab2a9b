"""Edits: each does what it says, and priors and vocabularies bound what is drawn."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.uninas.edits.test_edits import network_of
from tests.uninas.examples import around, graph_of, graphs_of, headed, small
from uninas import IDENTITY, Architecture, Edit, Graph, InputError, Rejection, apply, canonicalise, op, propose
from uninas.edits import FRAGMENTS, PRIOR, VOCABULARIES, prior_of, vocabulary
from uninas.edits.blocks import block_at_width
from uninas.edits.forms import HEADS, STEMS, TRANSITIONS


def edited(graph: Graph, kind: str, **arguments: int | str) -> str:
    """The text of the first sub-block after one edit of it."""
    child = apply(around(graph), Edit(kind, arguments=arguments))
    assert isinstance(child, Architecture), child
    graph_after = child.stages[0].blocks[0].subblocks[0]
    assert graph_after is not None
    return graph_after.text.replace("\n", "; ")


CHAIN = graph_of("%1 = conv(kernel=1, ratio=4) %0", "%2 = gelu %1", "%3 = conv(kernel=1, ratio=1/4) %2", "return %3")


def test_edits_of_a_graph_do_what_they_say() -> None:
    assert edited(IDENTITY, "insert", consumer=0, slot=0, fragment="gelu") == "%1 = gelu %0; return %1"
    assert edited(CHAIN, "insert", consumer=1, slot=0, fragment="max_pool").startswith("%1 = max_pool %0; %2 = conv")
    assert edited(CHAIN, "remove", node=3, instead=0) == "return %0"
    assert edited(CHAIN, "remove", node=2, instead=1) == (
        "%1 = conv(kernel=1, ratio=4) %0; %2 = conv(kernel=1, ratio=1/4) %1; return %2"
    )
    assert edited(CHAIN, "replace", node=2, op="sigmoid").split("; ")[1] == "%2 = sigmoid %1"
    assert edited(CHAIN, "expansion", node=1, channels=64).split("; ")[::2] == [
        "%1 = conv(kernel=1, ratio=2) %0",
        "%3 = conv(kernel=1, ratio=1/2) %2",
    ]
    assert edited(CHAIN, "kernel", node=3, op="conv(kernel=3, ratio=1/4)").split("; ")[2].endswith("(kernel=3, ratio=1/4) %2")
    assert edited(IDENTITY, "fork", consumer=0, slot=0, fragment="gelu", merge="add") in (
        "%1 = gelu %0; %2 = add %1 %0; return %2",
        "%1 = gelu %0; %2 = add %0 %1; return %2",
    )
    gate = edited(IDENTITY, "fork", consumer=0, slot=0, fragment="gelu", merge="gate")
    assert "sigmoid" in gate
    assert "multiply" in gate
    split = edited(IDENTITY, "fork", consumer=0, slot=0, fragment="gelu", merge="split")
    assert "slice(index=0, count=2)" in split
    assert "concat" in split
    assert "add" in edited(CHAIN, "connect", consumer=0, slot=0, other=0, merge="add")
    summed = graph_of("%1 = gelu %0", "%2 = sigmoid %0", "%3 = add %1 %2", "return %3")
    assert edited(summed, "unfork", node=3, slot=1) in ("%1 = gelu %0; return %1", "%1 = sigmoid %0; return %1")
    attention = graph_of("%1 = matmul_qk(head_dim=8) %0 %0", "%2 = softmax %1", "%3 = matmul_av %2 %0", "return %3")
    assert edited(attention, "head_dim", node=1, op="matmul_qk(head_dim=16)").startswith("%1 = matmul_qk(head_dim=16)")


def test_edits_of_blocks_do_what_they_say() -> None:
    network = canonicalise(small())
    blocks = [stage.blocks for stage in network.stages]

    def after(kind: str, stage: int, block: int, sub: int = 0, **arguments: int) -> Architecture:
        child = apply(network, Edit(kind, stage, block, sub, arguments))
        assert isinstance(child, Architecture), child
        return child

    assert after("deepen", 2, 1).stages[2].blocks == (*blocks[2], blocks[2][1])
    assert after("shorten", 2, 0).stages[2].blocks == (blocks[2][1],)
    assert after("shorten", 0, 0).stages[0].blocks[0].subblocks == (None, None)
    assert after("copy_block", 0, 0, from_stage=3, from_block=0).stages[0].blocks == blocks[3]
    moved = after("move_block", 2, 1, to_stage=0, to_block=1)
    assert moved.stages[0].blocks == (blocks[0][0], blocks[2][1])
    assert moved.stages[2].blocks == (blocks[2][0],)
    assert after("drop_subblock", 3, 0, 1).stages[3].blocks[0].subblocks == (blocks[3][0].subblocks[0], None)
    assert after("width", 0, 0, width=48).stages[0].width == 48


def test_edits_of_stages_and_the_frame_do_what_they_say() -> None:
    network = canonicalise(small())
    stages = network.stages

    def after(kind: str, stage: int = 0, part: str = "block", **arguments: int | str) -> Architecture:
        child = apply(network, Edit(kind, stage, arguments=arguments, part=part))
        assert isinstance(child, Architecture), child
        return child

    small_map = apply(network, Edit("stem", arguments={"form": "patches", "width": 40, "act": "gelu"}, part="stem"))
    assert isinstance(small_map, Rejection), "at 64 pixels the last stage would have one token"
    assert small_map.reason == "meaningless"
    network = canonicalise(small(size=(128, 128)))
    assert after("width", part="stem", slot=0, width=48).stem == (48, 64)
    assert after("width", part="stem", slot=1, width=48).stem == (32, 48)
    stemmed = after("stem", part="stem", form="patches", width=40, act="gelu")
    assert isinstance(stemmed.stem, Graph)
    assert stemmed.stem.text == "%1 = conv(kernel=4, ratio=40/3, stride=4) %0\n%2 = layer_norm %1\nreturn %2"
    assert [flow.channels for flow in stemmed.flows()] == [40, 32, 64, 64, 96]
    kept = after("entry", 1, "entry", form="project", act="relu")
    assert [place.height for place in kept.places()] == [32, 32, 16, 8]
    assert kept.stages[1].blocks == stages[1].blocks
    longer = after("add_stage", 2, form="conv", width=96, act="relu")
    assert [stage.width for stage in longer.stages] == [32, 64, 64, 96, 96]
    assert longer.stages[3].blocks == (stages[2].blocks[-1],)
    odd = after("add_stage", 2, form="conv", width=80, act="relu").stages[3].blocks[0].subblocks[0]
    assert odd is not None
    assert "matmul_qk(head_dim=40)" in odd.text, "32 does not divide 80"
    assert after("remove_stage", 1).stages == (stages[0], *stages[2:])
    assert after("head", part="head", form="none", act="relu").head == IDENTITY


def test_what_reads_another_width_is_fitted_to_it() -> None:
    """Entries keep what they lead to, groups and gates keep as near as they can to what they were."""
    network = canonicalise(network_of("regnety_004"))  # widths 48, 104, 208, 440; groups 8 wide

    def after(edit: Edit) -> Architecture:
        child = apply(network, edit)
        assert isinstance(child, Architecture), child
        return child

    wider = after(Edit("width", 1, arguments={"width": 112}))
    assert [stage.width for stage in wider.stages] == [48, 112, 208, 440]
    (block,) = wider.stages[1].blocks[0].subblocks
    assert block is not None
    assert "conv(kernel=3, groups=14, bias=false)" in block.text
    assert "conv(kernel=1, ratio=1/4) " in block.text  # 26 of 104 before, 28 of 112 now
    assert wider.stages[2].transition is not None
    assert "conv(kernel=1, ratio=13/7, bias=false, stride=2) %0" in wider.stages[2].transition.text  # 112 -> 208
    stemmed = after(Edit("width", arguments={"width": 24}, part="stem"))
    assert stemmed.flows()[0].channels == 24
    assert stemmed.stages[1:] == network.stages[1:]
    fewer = after(Edit("remove_stage", 2))
    assert [flow.channels for flow in fewer.flows()] == [32, 48, 104, 440]
    stages = network.stages
    assert block_at_width(stages[1].blocks[0], 104, 440) == stages[3].blocks[0], "RegNet's own block of that width"


def test_an_inner_width_may_be_any_whole_number_of_channels() -> None:
    network = canonicalise(network_of("efficientnet_b0"))
    (graph,) = network.stages[2].blocks[0].subblocks
    assert graph is not None
    opens = next(i for i, node in enumerate(graph.nodes) if node.op.text == "conv(kernel=1, ratio=6, bias=false)")
    child = apply(network, Edit("expansion", 2, 0, arguments={"node": opens, "channels": 148}))
    assert isinstance(child, Architecture)
    (made,) = child.stages[2].blocks[0].subblocks
    assert made is not None
    convs = [
        (types[node.inputs[0]][0], types[i][0])
        for types in [made.types(40)]
        for i, node in enumerate(made.nodes)
        if node.op.name == "conv"
    ]
    assert sorted(convs) == [(10, 148), (40, 148), (148, 10), (148, 40), (148, 148)]
    drawn = {
        edit.arguments["channels"]
        for edit in (propose(network, random.Random(i), {"expansion": 1.0}) for i in range(300))
        if isinstance(edit, Edit)
    }
    assert len(drawn) > 60
    assert all(int(channels) % 8 == 0 or int(channels) < 16 for channels in drawn)


def test_every_form_is_drawn() -> None:
    network = canonicalise(network_of("resnet50"))
    for kind, forms in (("stem", STEMS), ("entry", TRANSITIONS), ("head", HEADS), ("add_stage", TRANSITIONS)):
        edits = [propose(network, random.Random(i), {kind: 1.0}) for i in range(120)]
        assert {edit.arguments["form"] for edit in edits if isinstance(edit, Edit)} == set(forms)


def test_a_prior_and_a_vocabulary_do_not_depend_on_the_order_of_their_names() -> None:
    one, other = prior_of({"insert": 9, "fork": 0}), prior_of({"fork": 0, "insert": 9})
    assert list(one.items()) == list(other.items())
    words = [vocabulary(names) for names in (["gelu", "conv3x3", "mask"], ["mask", "gelu", "conv3x3", "gelu"])]
    assert words[0] == words[1]
    assert list(one) == list(PRIOR)
    edits = [propose(small(), random.Random(3), prior, word) for prior, word in zip((one, other), words, strict=True)]
    assert edits[0] == edits[1]


def test_a_weight_of_zero_and_a_word_left_out_are_never_drawn() -> None:
    prior, words = prior_of({"insert": 50, "remove": 0}), vocabulary(["uninas"])
    drawn = [propose(small(), random.Random(i), prior, words) for i in range(400)]
    kinds = Counter(edit.kind for edit in drawn if isinstance(edit, Edit))
    assert "remove" not in kinds
    assert kinds["insert"] > kinds.total() / 2
    inserted = {edit.arguments["fragment"] for edit in drawn if isinstance(edit, Edit) and edit.kind == "insert"}
    assert inserted <= set(VOCABULARIES["uninas"])
    narrow = vocabulary(["gelu", "sigmoid"])
    for seed in range(100):
        edit = propose(small(), random.Random(seed), {"insert": 1, "fork": 1, "replace": 1}, narrow)
        if isinstance(edit, Edit):
            new = str(edit.arguments.get("fragment", edit.arguments.get("op")))
            assert new in ("gelu", "sigmoid", "add", "multiply")


def test_the_vocabulary_of_the_paper_is_what_it_was() -> None:
    assert len(VOCABULARIES["uninas"]) == 23
    assert set(VOCABULARIES["uninas"]) <= set(FRAGMENTS) == set(VOCABULARIES["universal"])


@pytest.mark.parametrize(
    ("read", "value", "words"),
    [
        (prior_of, {"insrt": 1}, "nearest is 'insert'"),
        (prior_of, {"insert": -1}, "at least 0 for insert"),
        (prior_of, dict.fromkeys(PRIOR, 0), "weight above 0"),
        (prior_of, {"insert": 1e308, "fork": 1e308}, "finite sum"),
        (vocabulary, ["universl"], "nearest is 'universal'"),
        (vocabulary, ["conv3x4"], "nearest is 'conv3x3'"),
        (vocabulary, [], "got none"),
    ],
)
def test_priors_and_vocabularies_that_cannot_be(read: object, value: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(value)  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["insert", "fork", "connect", "remove", "replace"])
def test_24_heads_do_not_draw_24_times_the_edits(kind: str) -> None:
    """Of about 200 nodes all but a dozen lie inside the heads; drawn node by node, over nine tenths of edits would, too."""
    chain = (op("conv", kernel=1), op("gelu"), op("layer_norm"))
    graph = headed(24, width=96, piece=(op("gelu"),), on_map=(op("relative_position_bias"),), before=chain, after=chain)
    network = around(graph, width=96)
    ((_, _, _, graph),) = graphs_of(canonicalise(network))
    types = graph.types(96)
    inside = {i for i, made in enumerate(types) if type(made).__name__ == "AttentionMap" or made[0] == 4}
    assert len(inside) / len(graph.nodes) > 0.9
    rng = random.Random(kind)
    drawn: list[bool] = []
    while len(drawn) < 400:
        edit = propose(network, rng, {kind: 1.0})
        if isinstance(edit, Edit) and edit.sub == 0:
            place = edit.arguments
            if "consumer" in place:
                consumer = int(place["consumer"])
                source = graph.nodes[consumer].inputs[int(place["slot"])] if consumer else graph.output
                drawn.append(source in inside)
            else:
                drawn.append(place["node"] in inside)
    assert 0.05 < sum(drawn) / len(drawn) < 0.8
