"""Edits: every kind happens everywhere and does what it says, draws are spread, priors and vocabularies are kept to."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
import torch

from tests.uninas.examples import around, graph_of, graphs_of, small, walk
from tests.uninas.running import executed_macs
from uninas import (
    IDENTITY,
    PRESETS,
    ZOO,
    Architecture,
    Block,
    Edit,
    Graph,
    GraphError,
    Limits,
    Rejection,
    Stage,
    apply,
    canonicalise,
    cost,
    mutate,
    parse,
    preset,
    propose,
    to_text,
)
from uninas.compile.module import build
from uninas.edits import (
    CROSSOVERS,
    FRAGMENTS,
    PRIOR,
    REASONS,
    cross,
    crossover_edit,
    prior_of,
    propose_crossover,
)
from uninas.edits.blocks import BLOCK_EDITS, block_at_width
from uninas.edits.edit import PARTS
from uninas.edits.forms import HEADS, STEMS, TRANSITIONS
from uninas.edits.fragments import FITTING
from uninas.edits.graphs import GRAPH_EDITS, MERGES, TYPED_EDITS
from uninas.edits.stages import STAGE_EDITS

KINDS = {**GRAPH_EDITS, **TYPED_EDITS, **BLOCK_EDITS, **STAGE_EDITS}
EVERY_NETWORK = [*PRESETS, *ZOO]


def network_of(name: str) -> Architecture:
    """A preset or published network at a small size."""
    return small(name) if name in PRESETS else preset(name, classes=7, input_size=(64, 64))


def check_child(parent: Architecture, edit: Edit, child: Architecture) -> None:
    """The edit replays from its JSON, the child is canonical and survives its text, its module runs and does what is counted."""
    assert apply(parent, Edit.from_dict(json.loads(json.dumps(edit.as_dict())))) == child
    assert canonicalise(child) is child
    assert child.digest != canonicalise(parent).digest
    assert parse(to_text(child)) == child
    figures = cost(child)
    with torch.device("meta"):
        module = build(child, fused=False)
    assert sum(p.numel() for p in module.parameters()) == figures.params
    assert executed_macs(module, child.input_size, device="meta") == figures.macs


OF_PIXELS = {"add_stage", "entry", "kernel", "move_block", "remove_stage", "stem", "window"}
"""What has no place in one stage of equal blocks whose class token comes with the stem."""


def takes_class_token(network: Architecture) -> bool:
    """Whether all that follows the last stage's entry can have a class token in front of its pixels, or has it."""
    last = network.stages[-1]
    if last.transition is None:
        return False
    graphs = [graph for block in last.blocks for graph in block.subblocks if graph is not None]
    try:
        for graph in graphs:
            graph.types(last.width, 1)
    except GraphError:
        return False
    return last.tokens == 0 or last.transition.nodes[last.transition.output].op.name == "class_token"


def possible(kind: str, network: Architecture) -> bool:
    """Whether a network has a place for a kind of edit; those that are not here have one in every network."""
    stem = [network.stem] if isinstance(network.stem, Graph) else []
    graphs = [*stem, *(g for *_, g in graphs_of(network)), *(stage.transition for stage in network.stages), network.head]
    nodes = [node.op for graph in graphs if graph is not None for node in graph.nodes]
    needed = {
        "head_dim": lambda o: o.name == "matmul_qk",
        "unfork": lambda o: o.spec.commutative,
        "dilation": lambda o: o.name == "conv" and o.values["kernel"] in (3, 5, 7, 9),
        "window": lambda o: o.name == "matmul_qk" and o.values["over"] == "pixels",
    }
    if kind == "class_token":
        return takes_class_token(network)
    if network.stages[0].tokens and kind in OF_PIXELS:
        return False
    if kind == "copy_block":
        return len({block for stage in network.stages for block in stage.blocks}) > 1
    return kind not in needed or any(needed[kind](o) for o in nodes)


@pytest.mark.parametrize("name", EVERY_NETWORK)
def test_every_kind_of_edit_acts_on_every_network(name: str) -> None:
    parent = canonicalise(network_of(name))
    rng, missing = random.Random(f"every kind on {name}"), []
    for kind in sorted(set(PRIOR) - set(CROSSOVERS)):
        for _ in range(60):
            made = mutate(parent, rng, prior={kind: 1.0})
            if not isinstance(made, Rejection):
                assert made[1].kind == kind
                check_child(parent, made[1], made[0])
                break
        else:
            missing.append(kind)
    assert missing == [kind for kind in sorted(PRIOR) if not possible(kind, parent)]


@pytest.mark.parametrize("name", ["mobilenetv3_large_100", "convnext_tiny", "coatnet"])
def test_every_part_of_a_network_is_edited(name: str) -> None:
    """Also of the template, once its parts were replaced."""
    parent, rng, prior = canonicalise(network_of(name)), random.Random(0), prior_of({"stem": 2, "entry": 2, "head": 2})
    seen = set()
    for _ in range(400):
        made = mutate(parent, rng, prior=prior)
        if not isinstance(made, Rejection):
            parent, edit = made
            seen |= {edit.part} if edit.kind in {**GRAPH_EDITS, **TYPED_EDITS} else set()
    assert seen == set(PARTS)


@pytest.mark.parametrize("kind", CROSSOVERS)
def test_two_networks_of_any_kinds_are_crossed(kind: str) -> None:
    rng = random.Random(kind)
    networks = {name: canonicalise(network_of(name)) for name in EVERY_NETWORK}
    refused = Counter[str]()
    for one, other in zip(EVERY_NETWORK, EVERY_NETWORK[1:] + EVERY_NETWORK[:1], strict=True):
        made = cross(networks[one], networks[other], rng, prior={kind: 1.0})
        if isinstance(made, Rejection):
            refused[made.reason] += 1
            continue
        child, edit = made
        check_child(networks[one], edit, child)
        theirs = {graph.text for *_, graph in graphs_of(networks[other])} | {"return %0"}
        assert edit.kind == kind
        if kind == "crossover_stage":
            assert child.stages[edit.stage].width in {stage.width for stage in networks[other].stages}
            assert {g.text for block in child.stages[edit.stage].blocks for g in block.subblocks if g is not None} <= theirs
    assert refused.total() <= 4, refused


def test_equal_parents_and_a_prior_without_crossover_give_no_site() -> None:
    network = small("resnet")
    for one, other, prior in (
        (network, network, {"crossover": 1.0}),
        (network, small("vit"), prior_of(dict.fromkeys(CROSSOVERS, 0))),
    ):
        drawn = propose_crossover(one, other, random.Random(0), prior)
        assert isinstance(drawn, Rejection)
        assert drawn.reason == "no_site"


def test_every_kind_is_drawn_and_accepted_on_a_walk() -> None:
    """Crossovers alone need two parents: `cross` draws them."""
    drawn: Counter[str] = Counter()
    accepted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for name in sorted(PRESETS):
        rng = random.Random(f"kinds of {name}")
        parent = small(name)
        for _ in range(600):
            edit = propose(parent, rng)
            if isinstance(edit, Rejection):
                refused[edit.reason] += 1
                continue
            drawn[edit.kind] += 1
            child = apply(parent, edit)
            if isinstance(child, Rejection):
                refused[child.reason] += 1
                continue
            accepted[edit.kind] += 1
            parent = child if rng.random() < 0.5 else parent
    drawn["class_token"] += 1  # by few networks: `test_every_kind_of_edit_acts_on_every_network`
    accepted["class_token"] += 1
    assert set(drawn) == set(PRIOR) - set(CROSSOVERS) == set(KINDS) - set(CROSSOVERS)
    assert set(accepted) == set(drawn)
    assert set(refused) <= set(REASONS)
    assert {"no_site", "ill_typed", "no_change", "meaningless"} <= set(refused)


def test_every_fragment_and_merge_is_inserted_somewhere() -> None:
    fragments, merges = set(), set()
    for seed in range(6):
        for step in walk(small("coatnet"), random.Random(seed), 400, Limits(nodes_per_subblock=40)):
            if not isinstance(step, Rejection):
                fragments.add(step[1].arguments.get("fragment"))
                merges.add(step[1].arguments.get("merge"))
    assert fragments - {None} == set(FRAGMENTS)
    assert merges - {None} == set(MERGES)


@pytest.mark.parametrize("kind", FITTING)
def test_fragments_keep_the_type_of_the_edges_they_fit(kind: str) -> None:
    starts = {
        "full": ["%1 = gelu %0"],
        "sequence": ["%1 = gelu %0"],
        "pooled": ["%1 = global_average_pool %0", "%2 = gelu %1", "%3 = broadcast %2"],
        "attention": ["%1 = matmul_qk(head_dim=8) %0 %0", "%2 = gelu %1", "%3 = matmul_av %2 %0"],
    }
    lines = starts[kind]
    graph = graph_of(*lines, f"return %{len(lines)}")
    network = around(graph, width=64)
    if kind == "sequence":
        entry, head = graph_of("%1 = class_token %0", "return %1"), graph_of("%1 = take_class_token %0", "return %1")
        network = network.replace(stages=(Stage(64, (Block((graph, None)),), entry, tokens=1),), stem=(8, 64), head=head)
    position = {"pooled": 2, "attention": 2}.get(kind, 1)
    for fragment in FITTING[kind]:
        edit = Edit("insert", arguments={"consumer": position, "slot": 0, "fragment": fragment})
        child = apply(network, edit)
        assert isinstance(child, Architecture), (fragment, child)


def test_crossover_carries_the_donor() -> None:
    one, donor = small("coatnet"), small("vit").stages[0].blocks[0]
    edit = crossover_edit(1, 0, donor)
    child = apply(one, Edit.from_dict(edit.as_dict()))
    assert isinstance(child, Architecture)
    assert child.stages[1].blocks[0] == canonicalise(small("vit")).stages[0].blocks[0]
    empty = apply(one, crossover_edit(2, 1, type(donor)((None, IDENTITY))))
    assert isinstance(empty, Architecture)
    assert empty.stages[2].blocks[1].subblocks == (None, IDENTITY)


# --- what edits do --------------------------------------------------------------------------------------------------------


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
