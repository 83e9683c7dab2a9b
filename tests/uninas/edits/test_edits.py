"""Edits: every kind happens everywhere and does what it says, draws are spread, priors and vocabularies are kept to."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
import torch

from tests.amounts import slow
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
from uninas.edits import CROSSOVERS, FRAGMENTS, PRIOR, REASONS, cross, crossover_edit, prior_of, propose_crossover
from uninas.edits.blocks import BLOCK_EDITS
from uninas.edits.edit import PARTS
from uninas.edits.fragments import FITTING
from uninas.edits.graphs import GRAPH_EDITS, MERGES, TYPED_EDITS
from uninas.edits.stages import STAGE_EDITS

KINDS = {**GRAPH_EDITS, **TYPED_EDITS, **BLOCK_EDITS, **STAGE_EDITS}
EVERY_NETWORK = [*PRESETS, *ZOO]
QUICK = ("coatnet", "mobilenetv3_large_100", "pvt_v2_b1")  # convolution, gates, attention, tokens, graphs of the frame


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


OF_STAGES = {"move_block", "remove_stage", "window", "dilation"}
"""What has no place in one stage of equal blocks whose class token and patches come with the stem."""


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
    if network.stages[0].tokens and kind in OF_STAGES:
        return False
    if kind == "class_token":
        return takes_class_token(network) or network.stages[0].tokens > 0
    if kind == "copy_block":
        return len({block for stage in network.stages for block in stage.blocks}) > 1
    return kind not in needed or any(needed[kind](o) for o in nodes)


@pytest.mark.parametrize("name", [name if name in QUICK else slow(name) for name in EVERY_NETWORK])
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
