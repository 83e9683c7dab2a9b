"""Networks off the template: stems, entries, heads and plain blocks that are graphs, at any stride and size."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.analysis.test_cost import module_params, really_made, trained
from tests.uninas.examples import disguised_network, framed, graph_of, random_frame, tiny
from tests.uninas.running import carried, distance, executed_macs, noise, scramble
from uninas import (
    IDENTITY,
    Architecture,
    Block,
    FeatureMap,
    Graph,
    GraphError,
    InputError,
    Rejection,
    Stage,
    apply,
    canonicalise,
    cost,
    mutate,
    op,
    parse,
    to_text,
    warnings_of,
)
from uninas.compile.module import GraphModule, PlainBlock, build
from uninas.edits import Edit, crossover_edit
from uninas.graph import Flow
from uninas.ops import Place

SEEDS = st.integers(0, 2**32 - 1)

CONV = graph_of("%1 = conv(kernel=3) %0", "return %1")
ZERO = graph_of("%1 = zero %0", "return %1")
DOWN = graph_of("%1 = conv(kernel=3, ratio=2, bias=false, stride=2) %0", "%2 = batch_norm %1", "return %2")
STEM = graph_of("%1 = conv(kernel=3, ratio=16/3, bias=false) %0", "return %1")


def plain(*graphs: Graph | None) -> Block:
    return Block(graphs, residual=False)


def network(*blocks: Block, entry: Graph | None = IDENTITY, stem: Graph = STEM, head: Graph | None = None) -> Architecture:
    """One stage behind a stem of 16 channels that keeps the size."""
    width = 16 if entry is None else entry.frame_types(16)[entry.output][0]
    return Architecture((Stage(width, blocks, entry),), classes=3, input_size=(21, 26), stem=stem, head=head)


# --- types are what torch makes ---------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 23), st.integers(1, 23))
@examples(100)
def test_inferred_shapes_are_those_that_torch_makes_at_any_size(seed: int, height: int, width: int) -> None:
    rng = random.Random(seed)
    graph = random_frame(rng, 16, rng.randrange(7), zeros=0.5)
    types = graph.frame_types(16)
    made = types[graph.output]
    assert isinstance(made, FeatureMap)
    place = Place(height, width, height, width)
    for fused in (True, False):
        module = GraphModule(graph, Flow(16, place), fused=fused, frame=True).eval()
        at = place.strided(made.stride)
        assert module(noise(1, 16, height, width)).shape == (1, made.channels, at.height, at.width)
    assert at.height == -(-height // made.stride)


def test_pools_take_the_mean_and_the_largest_of_what_is_there() -> None:
    """By hand on a 3x3 map: windows that hang over the edge, and tiles of which the last is cut off."""
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    expected = {
        "average_pool": [[2.0, 2.5, 3.0], [3.5, 4.0, 4.5], [5.0, 5.5, 6.0]],
        "average_pool(stride=2)": [[2.0, 3.0], [5.0, 6.0]],
        "average_pool(kernel=2, stride=2)": [[2.0, 3.5], [6.5, 8.0]],
        "max_pool": [[4.0, 5.0, 5.0], [7.0, 8.0, 8.0], [7.0, 8.0, 8.0]],
        "max_pool(stride=2)": [[4.0, 5.0], [7.0, 8.0]],
    }
    for text, values in expected.items():
        graph = graph_of(f"%1 = {text} %0", "return %1")
        made = GraphModule(graph, Flow(1, Place(3, 3, 3, 3)), fused=True, frame=True)(x)
        assert made[0, 0].tolist() == values, text


def test_a_postponed_broadcast_takes_its_own_stride() -> None:
    """A map pooled from stride 2 is made full at stride 2, where a convolution needs it full."""
    graph = graph_of(
        "%1 = max_pool(stride=2) %0",
        "%2 = global_average_pool %1",
        "%3 = broadcast %2",
        "%4 = relu %3",
        "%5 = conv(kernel=3) %4",
        "%6 = add %1 %5",
        "return %6",
    )
    place = Place(9, 7, 9, 7)
    fused, unfused = (GraphModule(graph, Flow(4, place), fused=flag, frame=True).double() for flag in (True, False))
    unfused.load_state_dict(fused.state_dict())
    assert "expand" in {step.kind for step in fused.plan.steps}
    x = noise(2, 4, 9, 7, dtype=torch.float64)
    assert unfused(x).shape == (2, 4, 5, 4)
    assert distance(fused(x), unfused(x)) < 1e-12


def test_relu_is_zero_below_zero() -> None:
    graph = graph_of("%1 = relu %0", "return %1")
    x = noise(1, 4, 3, 3)
    assert torch.equal(GraphModule(graph, Flow(4, Place(3, 3, 3, 3)), fused=True)(x), torch.where(x > 0, x, torch.zeros(())))


ILL_TYPED = {
    "a sum of two strides": (["%1 = max_pool(stride=2) %0", "%2 = add %0 %1", "return %2"], 2),
    "a concatenation of two strides": (["%1 = max_pool(stride=2) %0", "%2 = concat %0 %1", "return %2"], 2),
    "a gate from another stride": (
        ["%1 = max_pool(stride=2) %0", "%2 = global_average_pool %1", "%3 = broadcast %2", "%4 = multiply %0 %3", "return %4"],
        4,
    ),
    "values of another stride": (
        ["%1 = max_pool(stride=2) %0", "%2 = matmul_qk(head_dim=4) %1 %1", "%3 = matmul_av %2 %0", "return %3"],
        3,
    ),
    "an even window that does not tile": (["%1 = average_pool(kernel=2) %0", "return %1"], 1),
    "an even window with gaps": (["%1 = average_pool(kernel=2, stride=4) %0", "return %1"], 1),
    "a stride over a pooled map": (
        ["%1 = global_average_pool %0", "%2 = conv(kernel=1, stride=2) %1", "%3 = broadcast %2", "return %3"],
        2,
    ),
    "an even window that overlaps": (["%1 = conv(kernel=4, stride=2) %0", "return %1"], 1),
    "an even window that is dilated": (["%1 = conv(kernel=2, stride=2, dilation=2) %0", "return %1"], 1),
    "an even window without a stride": (["%1 = max_pool(kernel=2) %0", "return %1"], 1),
    "groups that leave channels": (["%1 = group_norm(groups=5) %0", "return %1"], 1),
    "depth of a pooled map": (["%1 = global_average_pool %0", "%2 = space_to_depth %1", "return %2"], 2),
    "a place of a pooled map": (["%1 = global_average_pool %0", "%2 = position_embedding %1", "return %2"], 2),
    "an attention map returned": (["%1 = matmul_qk(head_dim=4) %0 %0", "return %1"], 1),
    "strides without bound": ([*(f"%{i} = max_pool(stride=64) %{i - 1}" for i in range(1, 9)), "return %8"], 3),
    "zeros without bound": ([*(f"%{i} = zero(stride=65536) %{i - 1}" for i in range(1, 9)), "return %8"], 2),
}


@pytest.mark.parametrize("case", ILL_TYPED)
def test_what_does_not_fit_is_refused_at_its_node(case: str) -> None:
    lines, node = ILL_TYPED[case]
    with pytest.raises(GraphError) as caught:
        graph_of(*lines).frame_types(16)
    assert caught.value.node == node


def test_a_block_may_not_change_the_size() -> None:
    with pytest.raises(GraphError, match="stride 2"):
        graph_of("%1 = max_pool(stride=2) %0", "return %1").types(16)


def test_an_entry_leads_to_its_stage() -> None:
    wrong = network(plain(CONV), entry=DOWN).replace(stages=(Stage(48, (plain(IDENTITY),), DOWN),))
    for derive in (cost, canonicalise, build, Architecture.places):
        with pytest.raises(GraphError, match="48 channels, got 32 channels, stride 2"):
            derive(wrong)


def test_places_follow_the_strides_of_the_frame() -> None:
    third = graph_of("%1 = conv(kernel=3, stride=3) %0", "return %1")
    stages = (Stage(16, (plain(CONV),), IDENTITY), Stage(16, (plain(CONV),), third), Stage(24, (Block((None, None)),)))
    made = Architecture(stages, input_size=(32, 20), stem=STEM).places((50, 31))
    assert made == (Place(50, 31, 32, 20), Place(17, 11, 11, 7), Place(9, 6, 6, 4))


# --- the compiled module ----------------------------------------------------------------------------------------------------


@given(SEEDS)
@examples(40)
def test_fused_and_unfused_agree_and_cost_what_is_counted(seed: int) -> None:
    rng = random.Random(seed)
    architecture = framed(rng, zeros=0.3)
    fused = scramble(build(architecture).double(), seed % 1000).train(rng.random() < 0.5)
    unfused = build(architecture, fused=False).double().train(fused.training)
    unfused.load_state_dict(fused.state_dict())
    figures = cost(architecture)
    assert module_params(fused) == figures.params
    for size in ((29, 34), (17, 40)):
        x = noise(2, 3, *size, seed=seed, dtype=torch.float64)
        assert distance(unfused(x), fused(x)) < 1e-8
        form = canonicalise(architecture)
        with torch.device("meta"):
            module = build(form)
        assert executed_macs(module, size, device="meta") == cost(form, size).macs
    for (name, one), (_, two) in zip(fused.named_buffers(), unfused.named_buffers(), strict=True):
        assert torch.allclose(one, two, rtol=1e-9, atol=1e-12), name


@given(SEEDS)
@examples(25)
def test_activation_bytes_are_those_of_all_node_outputs(seed: int) -> None:
    architecture = canonicalise(framed(random.Random(seed)))
    with torch.no_grad():
        assert cost(architecture, (23, 31)).activation_bytes == really_made(build(architecture, fused=False).eval(), (23, 31))


@given(SEEDS)
@examples(30)
def test_trainable_params_are_those_that_a_gradient_reaches(seed: int) -> None:
    architecture = framed(random.Random(seed), zeros=1.0)
    last = architecture.stages[-1]
    nodes = [node for block in last.blocks for graph in block.subblocks if graph is not None for node in graph.nodes]
    if last.tokens and not any(node.op.name == "matmul_av" for node in nodes):
        assert cost(architecture).trainable_params >= trained(architecture)  # see the head of uninas.analysis.trainable
    else:
        assert cost(architecture).trainable_params == trained(architecture)


def test_a_plain_zero_cuts_off_all_before_it() -> None:
    architecture = network(plain(CONV), plain(ZERO), plain(CONV), head=graph_of("%1 = batch_norm %0", "return %1"))
    figures = cost(architecture)
    # The convolution behind the zero learns its bias; what reads that bias learns all.
    assert figures.trainable_params == 16 + 2 * 16 + 16 * 3 + 3 == trained(architecture)
    through = network(plain(CONV), Block((ZERO, None)), plain(CONV))
    assert cost(through).trainable_params == cost(network(plain(CONV), plain(CONV))).params == trained(through)


def test_the_door_to_scores_counts_entries_and_blocks() -> None:
    architecture = Architecture(
        (
            Stage(16, (plain(CONV, CONV),), IDENTITY),
            Stage(32, (plain(CONV), Block((CONV, None))), DOWN),
            Stage(8, (plain(CONV),)),
        ),
        stem=STEM,
        head=CONV,
        input_size=(20, 20),
        classes=3,
    )
    module = build(architecture)
    order: list[str] = []
    for name, part in [*module.scoring_layers(), *module.block_outputs()]:
        part.register_forward_hook(lambda part, given, made, name=name: order.append(name))
    module(noise(1, 3, 20, 20))
    layers, blocks = [name for name, _ in module.scoring_layers()], [name for name, _ in module.block_outputs()]
    assert [name for name in order if name in layers] == layers
    assert [name for name in order if name in blocks] == blocks
    assert blocks == ["stages.0.blocks.0", "stages.1.entry", "stages.1.blocks.0", "stages.1.blocks.1", "stages.2.blocks.0"]
    assert layers[0].startswith("stem.")
    assert layers[-2:] == ["norm.conv_kernel_3_0", "head"]
    assert [tuple(f.shape[1:]) for f in module.forward_features(noise(1, 3, 20, 20))] == [(16, 20, 20), (32, 10, 10), (8, 5, 5)]
    assert build(architecture, classes=0)(noise(1, 3, 20, 20)).shape == (1, 8)


def test_a_plain_block_without_an_entry_halves_the_resolution_first() -> None:
    module = build(network(plain(CONV), entry=None)).double()
    block = module.stages[0].blocks[0]
    assert isinstance(block, PlainBlock)
    x = noise(2, 16, 7, 9, dtype=torch.float64)
    pooled = torch.nn.functional.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
    assert torch.equal(block(x), dict(block.named_modules())["sub1.conv_kernel_3_0"](pooled))


# --- the canonical form ---------------------------------------------------------------------------------------------------------


@given(SEEDS)
@examples(300)
def test_disguises_share_form_and_digest(seed: int) -> None:
    rng = random.Random(seed)
    architecture = canonicalise(framed(rng, zeros=0.3))
    assert canonicalise(architecture) is architecture
    other, _ = disguised_network(architecture, rng, rewrites=rng.randrange(1, 12))
    assert canonicalise(other) == architecture
    assert other.digest == architecture.digest


@given(SEEDS)
@examples(30)
def test_the_canonical_form_computes_the_same(seed: int) -> None:
    rng = random.Random(seed)
    architecture = canonicalise(framed(rng, zeros=0.3))
    other, renamed = disguised_network(architecture, rng)
    one = scramble(build(architecture).double(), seed).eval()
    two = scramble(build(other, fused=False).double(), seed + 1).eval()
    two.load_state_dict({**two.state_dict(), **carried(one.state_dict(), renamed)})
    x = noise(2, 3, 23, 32, seed=seed, dtype=torch.float64)
    with torch.no_grad():
        assert distance(two(x), one(x)) < 1e-10


def test_blocks_that_do_nothing_are_absent() -> None:
    assert network(plain(CONV), plain(IDENTITY)).digest == network(plain(CONV)).digest
    assert network(plain(CONV, IDENTITY)).digest == network(plain(None, CONV)).digest == network(plain(CONV)).digest
    assert network(plain(CONV), Block((ZERO, None))).digest == network(plain(CONV)).digest
    assert network(plain(IDENTITY)).digest == network(Block((None, None))).digest
    assert network(plain(IDENTITY), entry=None).digest == network(Block((None, ZERO)), entry=None).digest
    assert len(canonicalise(network(plain(IDENTITY), plain(CONV), entry=None)).stages[0].blocks) == 2, "the first one halves"


def test_a_plain_zero_stays() -> None:
    dead = graph_of("%1 = conv(kernel=1, bias=false) %0", "%2 = zero %1", "%3 = gelu %2", "return %3")
    assert canonicalise(network(plain(dead))).stages[0].blocks == (plain(ZERO),)
    assert network(plain(dead)).digest == network(plain(ZERO)).digest
    assert network(plain(ZERO)).digest != network(plain(IDENTITY)).digest
    module = build(network(plain(ZERO)))
    assert torch.equal(module(noise(2, 3, 21, 26)), module.head.bias.expand(2, -1))


def test_the_digest_changes_with_every_part() -> None:
    base = network(plain(CONV), entry=DOWN)
    others = [
        base.replace(stem=(8, 16)),
        base.replace(stem=graph_of("%1 = conv(kernel=1, ratio=16/3, bias=false) %0", "return %1")),
        base.replace(head=graph_of("%1 = layer_norm %0", "return %1")),
        base.replace(stages=(Stage(32, base.stages[0].blocks),)),
        network(Block((CONV, None)), entry=DOWN),
        network(plain(CONV, CONV), entry=DOWN),
        network(plain(CONV), plain(CONV), entry=DOWN),
    ]
    assert len({architecture.digest for architecture in [base, *others]}) == 8


def test_golden_digest() -> None:
    """As of the presets: a name in journals."""
    assert network(plain(CONV), Block((CONV, None)), entry=DOWN, head=CONV).digest == GOLDEN


GOLDEN = "6dfa9099b64810efb314e57435223d2db9c1a2f9171f9031eaa3b32fda0cb849"


# --- the file -------------------------------------------------------------------------------------------------------------------


@given(SEEDS)
@examples(150)
def test_text_round_trip(seed: int) -> None:
    architecture = framed(random.Random(seed), zeros=0.5)
    text = to_text(architecture, {"note": 1})
    assert parse(text) == architecture
    assert to_text(parse(text), {"note": 1}) == text


def test_what_version_1_can_say_is_written_in_version_1() -> None:
    assert json.loads(to_text(tiny()))["version"] == 1
    news = [
        tiny().replace(stem=STEM, stages=()),
        tiny().replace(head=CONV),
        tiny().with_block(0, 0, plain(CONV)),
        tiny().replace(stages=(Stage(32, tiny().stages[0].blocks, DOWN), *tiny().stages[1:])),
        tiny().with_subblock(0, 0, 1, graph_of("%1 = relu %0", "return %1")),
        tiny().with_subblock(0, 0, 1, graph_of("%1 = average_pool %0", "return %1")),
        tiny().with_subblock(0, 0, 1, graph_of("%1 = max_pool(stride=2) %0", "return %0")),
    ]
    assert {json.loads(to_text(architecture))["version"] for architecture in news} == {2}


def test_the_examples_of_the_documentation_are_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture_file.md").read_text(encoding="utf-8")
    examples = [text for text in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE) if '"format"' in text]
    assert [len(parse(text).stages) for text in examples] == [1, 2]


def document(**changes: object) -> str:
    made = json.loads(to_text(network(plain(CONV), Block((CONV, None)), entry=DOWN, head=CONV)))
    made.update(changes)
    return json.dumps(made)


def one_stage(**changes: object) -> list[dict[str, object]]:
    return [{"width": 32, "entry": "g2", "blocks": [{"plain": ["g3"]}], **changes}]


WRONG = {
    "new keys in an old version": (document(version=1), "unknown key 'head'"),
    "a new stem in an old version": (document(version=1, head=None), "unknown key 'head'"),
    "a stem that is no graph": (document(stem="g9"), "stem: no graph is called 'g9'"),
    "a stem that is absent": (document(stem="absent"), "stem: no graph is called 'absent'"),
    "a stem that is a number": (document(stem=3), '"stem" to be two integers'),
    "a head that is a list": (document(head=["g1"]), "head: expected a graph's name"),
    "a head that is no graph": (document(head="gelu"), "head: no graph"),
    "a transition that is no graph": (document(stages=one_stage(entry="g9")), "stage 1, transition: no graph"),
    "a transition that is true": (document(stages=one_stage(entry=True)), "stage 1, transition: expected a graph's name"),
    "a transition to another width": (
        document(stages=one_stage(width=33)),
        "stage 1: expected its transition to lead to 33 channels",
    ),
    "an unknown key of a stage": (document(stages=one_stage(exit="g1")), "stage 1: unknown key 'exit'"),
    "a plain block of none": (document(stages=one_stage(blocks=[{"plain": []}])), "1 to 16 graph names"),
    "a plain block of too many": (document(stages=one_stage(blocks=[{"plain": ["g3"] * 17}])), "1 to 16 graph names"),
    "a plain block that is a text": (document(stages=one_stage(blocks=[{"plain": "g3"}])), "1 to 16 graph names"),
    "a plain block of nowhere": (document(stages=one_stage(blocks=[{"plain": ["g9"]}])), "block 1: no graph is called 'g9'"),
    "a block of another kind": (document(stages=one_stage(blocks=[{"dense": ["g3"]}])), "block 1: expected two graph names"),
    "a block of two kinds": (document(stages=one_stage(blocks=[{"plain": ["g3"], "x": 1}])), "block 1: expected two graph names"),
    "a stem of a wrong ratio": (document(in_channels=4), "stem, node %1"),
    "a transition that pools": (
        document(
            graphs={**json.loads(document())["graphs"], "p": ["%1 = global_average_pool %0", "return %1"]},
            stages=one_stage(entry="p"),
        ),
        "stage 1, transition: expected it to return a full feature map, got 16 channels, pooled",
    ),
    "a head that is an attention map": (
        document(head="p", graphs={**json.loads(document())["graphs"], "p": ["%1 = matmul_qk(head_dim=4) %0 %0", "return %1"]}),
        "head, node %1: a graph of the frame returns a feature map, got attention map of 8 heads",
    ),
    "a stride of zero": (document(graphs={"g1": ["%1 = conv(kernel=3, stride=0) %0", "return %1"]}), "from 1 to 64"),
    "a stride of a half": (document(graphs={"g1": ["%1 = max_pool(stride=1/2) %0", "return %1"]}), "from 1 to 64"),
    "an endless stride": (document(graphs={"g1": ["%1 = zero(stride=99999999999) %0", "return %1"]}), "from 1 to 65536"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_where_it_is_wrong(case: str) -> None:
    text, said = WRONG[case]
    with pytest.raises(InputError) as caught:
        parse(text, "net.json")
    assert str(caught.value).startswith("net.json: ")
    assert said in str(caught.value)


@given(SEEDS)
@examples(200)
def test_damaged_files_give_clear_errors_only(seed: int) -> None:
    """One value or key of a valid file replaced by another from anywhere in it."""
    rng = random.Random(seed)
    content = json.loads(document())
    places: list[tuple[object, object]] = []

    def collect(value: object) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):  # type: ignore[arg-type]
            places.append((value, key))
            if isinstance(inner, dict | list):
                collect(inner)

    collect(content)
    holder, key = rng.choice(places)
    other, index = rng.choice(places)
    holder[key] = rng.choice([other[index], None, -1, 1.5, "absent", [], {}, "%1 = conv(kernel=3, stride=64) %0"])  # type: ignore[index]
    try:
        text = json.dumps(content)
    except ValueError:  # a value put inside itself
        return
    try:
        cost(parse(text, "net.json"))
    except InputError as error:
        message = str(error)
    else:
        return
    assert "net.json" in message


# --- edits and meaning ----------------------------------------------------------------------------------------------------------


@given(SEEDS)
@examples(30)
def test_walks_stay_well_typed(seed: int) -> None:
    rng = random.Random(seed)
    parent = canonicalise(framed(rng))
    for _ in range(12):
        made = mutate(parent, rng)
        if isinstance(made, Rejection):
            continue
        child, edit = made
        assert canonicalise(child) is child
        assert apply(parent, edit) == child
        assert parse(to_text(child)) == child
        parent = child
    with torch.device("meta"):
        assert module_params(build(parent)) == cost(parent).params
        assert executed_macs(build(parent, fused=False), parent.input_size, device="meta") == cost(parent).macs


def test_edits_change_plain_blocks_and_keep_their_kind() -> None:
    parent = network(plain(CONV), plain(CONV))
    edit = Edit("insert", 0, 1, 0, {"consumer": 0, "slot": 0, "fragment": "gelu"})
    child = apply(parent, edit)
    assert child == network(plain(CONV), plain(graph_of("%1 = conv(kernel=3) %0", "%2 = gelu %1", "return %2")))
    assert apply(child, Edit("drop_subblock", 0, 1)) == network(plain(CONV))
    assert apply(parent, Edit("copy_block", 0, 0, 0, {"from_stage": 0, "from_block": 1})) == Rejection(
        "no_change", "copy_block leaves the canonical form as it was"
    )
    assert apply(parent, crossover_edit(0, 1, plain(ZERO, CONV))) == network(plain(CONV), plain(ZERO, CONV))
    assert apply(parent, crossover_edit(0, 1, Block((None, CONV)))) == network(plain(CONV), Block((None, CONV)))
    wide = apply(network(plain(CONV), entry=DOWN), Edit("width", 0, 0, 0, {"width": 64}))
    assert isinstance(wide, Architecture)
    assert (wide.stages[0].width, wide.flows()[0]) == (64, network(plain(CONV), entry=DOWN).flows()[0])


def test_what_has_no_meaning_is_warned_of() -> None:
    small = graph_of("%1 = conv(kernel=3, stride=32) %0", "%2 = batch_norm %1", "%3 = max_pool %2", "return %3")
    assert warnings_of(network(plain(CONV), entry=small)) == [
        "stage 1, transition, %2 batch_norm: BatchNorm on a 1x1 map cannot train at batch 1",
        "stage 1, block 1, sub-block 1, %1 conv(kernel=3): only the centre of the kernel sees a 1x1 map",
    ]
    strided = graph_of("%1 = max_pool(stride=32) %0", "%2 = conv(kernel=1, stride=2) %1", "return %2")
    assert warnings_of(network(plain(IDENTITY), stem=STEM, head=strided)) == [
        "head, %2 conv(kernel=1, stride=2): a 1x1 map has nothing to stride over"
    ]
    pooled = graph_of("%1 = max_pool(stride=32) %0", "%2 = average_pool %1", "return %2")
    assert warnings_of(network(plain(IDENTITY), head=pooled)) == ["head, %2 average_pool: pooling a 1x1 map changes nothing"]
    assert warnings_of(network(plain(CONV), entry=DOWN, head=CONV)) == []


def test_relative_position_tables_have_their_strides_size() -> None:
    lines = [
        "%1 = max_pool(stride=4) %0",
        "%2 = matmul_qk(head_dim=4) %1 %1",
        "%3 = relative_position_bias %2",
        "%4 = softmax %3",
        "%5 = matmul_av %4 %1",
        "return %5",
    ]
    architecture = network(plain(IDENTITY), entry=graph_of(*lines))
    table = build(architecture).get_parameter("stages.0.entry.relative_position_bias_0.table")
    assert table.shape == (4, 2 * 6 - 1, 2 * 7 - 1)  # 21 x 26 at stride 4: 6 x 7
    assert cost(architecture).attention_tokens == 42
    assert cost(architecture, (8, 9)).attention_tokens == 2 * 3
    assert op("max_pool", stride=4).text == "max_pool(stride=4)"
