"""Networks off the template: stems, entries, heads and plain blocks that are graphs, at any stride and size."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.analysis.test_cost import module_params, really_made
from tests.uninas.analysis.test_trainable import trained
from tests.uninas.examples import disguised_network, framed, graph_of, random_frame
from tests.uninas.running import carried, distance, executed_macs, noise, scramble
from uninas import IDENTITY, Architecture, Block, FeatureMap, Graph, GraphError, Stage, canonicalise, cost
from uninas.compile.module import GraphModule, PlainBlock, build
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
    "a map of channels for values of another width": (
        [
            "%1 = conv(kernel=1, ratio=2) %0",
            "%2 = matmul_qk(head_dim=4, over=channels) %0 %0",
            "%3 = matmul_av %2 %1",
            "return %3",
        ],
        3,
    ),
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
