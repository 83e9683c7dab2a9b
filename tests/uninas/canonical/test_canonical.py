"""The canonical form: the same computation written otherwise has the same form, name and output; anything else has not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.examples import around, disguised_network, graph_of, graphs_of, small, tiny, walked
from tests.uninas.running import carried, distance, noise, scramble
from uninas import IDENTITY, PRESETS, Architecture, Block, Graph, Node, Stage, canonical_text, canonicalise, op, preset
from uninas.compile.module import build

GOLDEN = {
    "resnet": "29305de060fc2fdf35c65ac5c0029030cd5d42b03c7554db403a2c2f9fac1a00",
    "efficientnet": "20a17b6ca3fd9e2d1f176ee2adb7cb4ac5c26cc5507fde65c837871fa7bc22db",
    "vit": "37c37f99c4604c682919952e3401f4861cb256814b250ad8516b70ffb933117a",
    "coatnet": "b8b68d8a9d002f8a8891cd6707a1c48e006f83d968364b66a31150276f819b5a",
}
"""Digests are names in journals: a change of the canonical text is a new version of it, never a side effect."""

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", PRESETS)
def test_golden_digests(name: str) -> None:
    assert preset(name).digest == GOLDEN[name]


@given(SEEDS)
@examples(2000)
def test_disguises_share_form_and_digest(seed: int) -> None:
    rng = random.Random(seed)
    network = walked(small(rng.choice(sorted(PRESETS))), rng, rng.randrange(8))
    network = canonicalise(network)
    other, _ = disguised_network(network, rng, rewrites=rng.randrange(1, 16))
    form = canonicalise(other)
    assert form == network
    assert other.digest == network.digest
    assert canonicalise(form) is form, "canonicalising twice changes nothing"


@given(SEEDS)
@examples(200)
def test_equal_digest_means_equal_output_for_equal_weights(seed: int) -> None:
    rng = random.Random(seed)
    network = canonicalise(walked(tiny(rng.choice(["ET", "TR", "TE"])), rng, rng.randrange(1, 8)))
    other, renamed = disguised_network(network, rng, rewrites=8)
    assert other.digest == network.digest
    one = scramble(build(network).double(), seed).eval()
    two = scramble(build(other, fused=False).double(), seed + 1).eval()  # dead operations keep these weights
    two.load_state_dict({**two.state_dict(), **carried(one.state_dict(), renamed)})
    x = noise(2, 3, 35, 46, seed=seed, dtype=torch.float64)
    with torch.no_grad():
        assert distance(two(x), one(x)) < 1e-10


@given(SEEDS)
@examples(200)
def test_the_stored_form_before_canonicalisation_computes_the_same(seed: int) -> None:
    """From the other side: the disguise is the parent here, and its own canonical form computes its output."""
    rng = random.Random(seed)
    network = canonicalise(walked(tiny("T"), rng, rng.randrange(6)))
    first, renamed = disguised_network(network, rng)
    second, again = disguised_network(canonicalise(first), rng)
    one = scramble(build(first, fused=False).double(), seed).eval()
    form = build(canonicalise(first), fused=False).double().eval()
    back = {new: old for old, new in renamed.items()}
    kept = carried(one.state_dict(), back)
    form.load_state_dict({name: kept[name] for name in form.state_dict()})
    two = build(second).double().eval()
    two.load_state_dict({**two.state_dict(), **carried(form.state_dict(), again)})
    x = noise(1, 3, 29, 40, seed=seed, dtype=torch.float64)
    with torch.no_grad():
        assert distance(form(x), one(x)) < 1e-10
        assert distance(two(x), one(x)) < 1e-10


REAL_CHANGES = {
    "classes": lambda a: a.replace(classes=8),
    "input size": lambda a: a.replace(input_size=(64, 65)),
    "input channels": lambda a: a.replace(in_channels=4),
    "stem": lambda a: a.replace(stem=(32, 65)),
    "width": lambda a: a.replace(stages=(Stage(64, a.stages[0].blocks), *a.stages[1:])),
    "one more block": lambda a: a.with_blocks(2, (*a.stages[2].blocks, a.stages[2].blocks[0])),
    "a stage's boundary": lambda a: a.replace(stages=(Stage(32, a.stages[0].blocks * 2), *a.stages[1:])),
    "swapped sub-blocks": lambda a: a.with_block(2, 0, Block(a.stages[2].blocks[0].subblocks[::-1])),
    "an absent sub-block": lambda a: a.with_subblock(3, 0, 1, None),
    "an empty sub-block": lambda a: a.with_subblock(3, 0, 1, IDENTITY),
}


@pytest.mark.parametrize("change", REAL_CHANGES)
def test_the_digest_changes_with_anything_real(change: str) -> None:
    network = small()
    assert REAL_CHANGES[change](network).digest != network.digest


def test_every_node_and_edge_of_a_block_matters() -> None:
    """Replace each operation by another of its type, and each edge by another: all digests are different from the first."""
    network = small("efficientnet")
    (_, _, _, graph) = graphs_of(canonicalise(network))[0]
    other = {"gelu": op("sigmoid"), "sigmoid": op("gelu"), "batch_norm": op("layer_norm"), "layer_norm": op("batch_norm")}
    seen = {network.digest}
    for index, node in enumerate(graph.nodes):
        if node.op.name in other:
            changed = (*graph.nodes[:index], Node(other[node.op.name], node.inputs), *graph.nodes[index + 1 :])
        elif node.op.name == "conv":
            values = {**node.op.values, "kernel": 7}
            changed = (*graph.nodes[:index], Node(op("conv", **values), node.inputs), *graph.nodes[index + 1 :])
        else:
            continue
        digest = network.with_subblock(0, 0, 0, Graph(changed, graph.output)).digest
        assert digest not in seen
        seen.add(digest)
    assert len(seen) > 8


def test_attributes_matter() -> None:
    variants = [
        "conv(kernel=3)",
        "conv(kernel=5)",
        "conv(kernel=3, bias=false)",
        "conv(kernel=3, dilation=2)",
        "conv(kernel=3, groups=2)",
        "conv(kernel=3, groups=depthwise)",
        "max_pool",
        "max_pool(kernel=5)",
        "dropout",
        "dropout(p=0.1)",
        "mask",
        "mask(band=2)",
        "softmax",
        "gelu",
        "sigmoid",
    ]
    assert len({around(graph_of(f"%1 = {text} %0", "return %1")).digest for text in variants}) == len(variants)


def test_defaults_may_be_written_out() -> None:
    short = around(graph_of("%1 = conv(kernel=3) %0", "return %1"))
    long = around(graph_of("%1 = conv(kernel=3, ratio=2/2, groups=1, bias=true, dilation=1) %0", "return %1"))
    assert short.digest == long.digest


@pytest.mark.parametrize("merge", ["add", "multiply"])
def test_equal_merges_are_one_whatever_the_order_of_their_inputs(merge: str) -> None:
    lines = ["%1 = gelu %0", f"%2 = {merge} %0 %1", f"%3 = {merge} %1 %0", "%4 = sigmoid %3", "%5 = multiply %2 %4"]
    same = [*lines[:2], "%3 = sigmoid %2", "%4 = multiply %2 %3"]
    one, other = around(graph_of(*lines, "return %5")), around(graph_of(*same, "return %4"))
    assert one.digest == other.digest
    assert canonicalise(canonicalise(one)) == canonicalise(one)


def test_order_matters_where_it_matters() -> None:
    lines = ["%1 = conv(kernel=1) %0", "%2 = conv(kernel=1) %0", "%3 = gelu %2"]
    assert (
        around(graph_of(*lines, "%4 = matmul_qk(head_dim=8) %1 %3", "%5 = matmul_av %4 %0", "return %5")).digest
        != around(graph_of(*lines, "%4 = matmul_qk(head_dim=8) %3 %1", "%5 = matmul_av %4 %0", "return %5")).digest
    )
    halves = ["%1 = slice(index=0, count=2) %0", "%2 = slice(index=1, count=2) %0"]
    assert around(graph_of(*halves, "%3 = concat %1 %2", "return %3")).digest == around(IDENTITY).digest
    assert around(graph_of(*halves, "%3 = concat %2 %1", "return %3")).digest != around(IDENTITY).digest
    assert around(graph_of(*halves, "%3 = concat %1 %1", "return %3")).digest != around(IDENTITY).digest


def test_a_block_of_nothing_vanishes_but_the_first_of_a_stage() -> None:
    nothing = graph_of("%1 = zero %0", "return %1")
    stage = Stage(32, (Block((IDENTITY, None)), Block((nothing, nothing)), Block((None, None))))
    form = canonicalise(Architecture((stage,), input_size=(40, 40)))
    assert [block.subblocks for block in form.stages[0].blocks] == [(IDENTITY, None)]
    first = canonicalise(Architecture((Stage(32, (Block((nothing, nothing)),)),), input_size=(40, 40)))
    assert [block.subblocks for block in first.stages[0].blocks] == [(None, None)]


def test_a_zero_sub_block_goes_with_its_norm() -> None:
    form = canonicalise(preset("resnet"))
    assert all(block.subblocks[1] is None for stage in form.stages for block in stage.blocks)
    assert form.digest == preset("resnet").digest


def test_the_form_of_a_form_is_the_same_object() -> None:
    form = canonicalise(preset("coatnet"))
    assert canonicalise(form) is form


def test_deep_graphs_have_a_form() -> None:
    lines = [f"%{i} = gelu %{i - 1}" for i in range(1, 15_000)]
    network = around(graph_of(*lines, "return %14999"))
    assert canonicalise(network) == network
    assert len(canonical_text(network)) > 15_000


# --- hash seeds -----------------------------------------------------------------------------------------------------------

_PRINT_DIGESTS = """
import random
from tests.uninas.examples import small, walked, disguised_network
from uninas import PRESETS, preset
for name in PRESETS:
    print(preset(name).digest)
for seed in range(8):
    rng = random.Random(seed)
    network = walked(small("coatnet"), rng, 12)
    print(network.digest, disguised_network(network, rng)[0].digest)
"""


def test_digests_do_not_depend_on_the_hash_seed() -> None:
    root = Path(__file__).parents[3]
    printed = set()
    for hash_seed in ("0", "1", "424242"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
        made = subprocess.run(
            [sys.executable, "-c", _PRINT_DIGESTS], env=environment, cwd=root, capture_output=True, text=True, check=True
        )
        printed.add(made.stdout)
    (lines,) = [text.split("\n") for text in printed]
    assert lines[:4] == list(GOLDEN.values())
    assert all(len(set(line.split())) == 1 for line in lines[4:] if line)
