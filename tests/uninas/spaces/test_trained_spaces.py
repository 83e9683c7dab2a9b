"""NDS, TransNAS-Bench-101, BLOX: networks against naive ones, published figures, how many there are, what is wrong."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
import torch
from torch import nn

from tests.uninas.running import executed_macs, noise
from tests.uninas.spaces import trained_oracles as oracles
from tests.uninas.spaces.oracles import differences
from uninas import cost, load
from uninas.errors import InputError
from uninas.spaces import SPACES, architecture_of
from uninas.spaces.trained import blox, transnasbench101
from uninas.spaces.trained.nds_residual import text_of_net

# --- NDS ---------------------------------------------------------------------------------------------------------------------

BASIC: dict[str, Any] = {"block_type": "res_basic_block", "bot_muls": [], "num_gs": [], "ss": [1, 1, 2, 2]}
BOTTLENECK: dict[str, Any] = {"block_type": "res_bottleneck_block", "ss": [1, 1, 2, 2]}
RESNET = BASIC | {"ds": [1, 12, 12, 12], "ws": [16, 24, 24, 40]}
RESNEXT = BOTTLENECK | {
    "ds": [1, 16, 1, 4],
    "ws": [16, 64, 128, 16],
    "bot_muls": [0.0, 0.25, 0.25, 0.25],
    "num_gs": [1, 2, 1, 2],
}
WIDE = BOTTLENECK | {"ds": [1, 2, 1, 4], "ws": [16, 64, 128, 64], "bot_muls": [0.0, 1.0, 0.5, 0.25], "num_gs": [1, 16, 1, 8]}


def plain(net: dict[str, Any]) -> dict[str, Any]:
    """A net without its empty lists."""
    return {key: value for key, value in net.items() if value != []}


@pytest.mark.parametrize(
    ("space", "net", "params", "flops"),
    [
        # The database that Microsoft's NNI makes of NDS's files: 0.594138 and 184.519578, 0.083002 and 69.890986 million.
        ("nds_resnet", RESNET, 594_138, 184_519_578),
        ("nds_resnext_a", RESNEXT, 83_002, 69_890_986),
    ],
)
def test_parameters_and_flops_are_those_of_the_files(space: str, net: dict[str, Any], params: int, flops: int) -> None:
    """The files count MACs, five for each number out of a BatchNorm, and the biases of the linear layer."""
    figures = cost(load(f"{space}:{text_of_net(net)}"))
    outputs: list[int] = []
    network = oracles.nds(plain(net)).eval()
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.register_forward_hook(lambda layer, given, made: outputs.append(made.numel()))
    with torch.no_grad():
        network(noise(1, 3, 32, 32))
    assert (figures.params, figures.macs + 5 * sum(outputs) + 10) == (params, flops)


@pytest.mark.parametrize(("space", "net"), [("nds_resnet", RESNET), ("nds_resnext_a", RESNEXT), ("nds_resnext_b", WIDE)])
def test_networks_of_nds_compute_what_the_authors_build(space: str, net: dict[str, Any]) -> None:
    shallow = net | {"ds": [1, *(min(depth, 2) for depth in net["ds"][1:])]}
    assert differences(architecture_of(SPACES[space], text_of_net(shallow)), oracles.nds(plain(shallow)), 16) == {}


def test_a_net_is_written_without_its_stem() -> None:
    assert text_of_net(RESNET) == "12-12-12:24-24-40"
    assert text_of_net(RESNEXT) == "16-1-4:64-128-16:0.25-0.25-0.25:2-1-2"
    assert text_of_net(WIDE) == "2-1-4:64-128-64:1-0.5-0.25:16-1-8"
    for space, net in (("nds_resnet", RESNET), ("nds_resnext_a", RESNEXT), ("nds_resnext_b", WIDE)):
        text = text_of_net(net)
        assert SPACES[space].text(SPACES[space].parse(text)) == text


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ({"genotype": {}}, "block_type: expected res_basic_block or res_bottleneck_block; got None"),
        (BASIC | {"block_type": "double_plain_block"}, "got double_plain_block"),
        (BASIC | {"block_type": []}, r"got \[\]"),
        (RESNET | {"ds": [1, 2, 3]}, r"ds: expected 4 numbers, of the stem and 3 stages; got \[1, 2, 3\]"),
        (RESNET | {"ws": [16, 24, 24, "40"]}, "ws: expected 4 numbers"),
        (RESNET | {"ws": [64, 24, 24, 40]}, r"expected a stem of depth 1, width 16 and stride 1 .*; got stem \(1, 64, 1\)"),
        (RESNET | {"ss": [1, 1, 1, 2]}, r"before strides 1, 2, 2; got .* strides \[1, 1, 2\]"),
        (RESNEXT | {"num_gs": []}, "num_gs: expected 4 numbers"),
    ],
)
def test_a_net_of_another_kind_is_rejected(net: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        text_of_net(net)


# --- TransNAS-Bench-101 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["64-41414-1_02_333", "64-41414-3_33_333", "64-41414-1_11_211", "64-41414-2_10_102"])
def test_cells_of_transnas_compute_what_the_authors_build(text: str) -> None:
    assert differences(architecture_of(SPACES["transnas_micro"], text, classes=5), oracles.transnas(text, 5), 64) == {}


@pytest.mark.parametrize("text", ["64-41414-1_02_333", "64-41414-1_11_111", "64-41414-0_00_000"])
def test_costs_of_cells_are_the_authors_at_the_size_at_which_they_count(text: str) -> None:
    authors = oracles.transnas(text, 75)
    figures = cost(architecture_of(SPACES["transnas_micro"], text), (224, 224))
    assert figures.params == sum(p.numel() for p in authors.parameters())
    assert figures.macs == executed_macs(authors.eval(), (224, 224))
    assert figures.layers == sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in authors.modules())


@pytest.mark.parametrize("text", ["64-1234-basic", "64-4111-basic", "64-114433-basic"])
def test_skeletons_of_transnas_compute_what_the_authors_build(text: str) -> None:
    assert differences(architecture_of(SPACES["transnas_macro"], text, classes=5), oracles.transnas(text, 5), 64) == {}


def test_there_are_as_many_skeletons_as_the_benchmark_has() -> None:
    space, count = SPACES["transnas_macro"], 0
    for depth in (4, 5, 6):
        for digits in itertools.product("1234", repeat=depth):
            try:
                genotype = space.parse(f"64-{''.join(digits)}-basic")
            except InputError:
                continue
            count += 1
            assert space.text(genotype) == f"64-{''.join(digits)}-basic"
    assert count == 3_256


def test_a_search_changes_how_many_modules_there_are() -> None:
    space, rng = transnasbench101.MACRO, random.Random(0)
    genotype, seen = space.start(), set()
    for _ in range(200):
        genotype = space.mutate(genotype, rng)
        seen.add(len(space.text(genotype)) - len("64--basic"))
    assert seen == {4, 5, 6}


# --- BLOX --------------------------------------------------------------------------------------------------------------------

README = [[[0], [1, 1, 1, 1]], [[1], [1, 1, 0, 0]], [[0], [0, 1, 1, 0]]]


@pytest.mark.parametrize(
    "arch_vec",
    [
        README,
        [[[2], [1, 1, 0, 1]], [[0], [1, 0, 1, 1]], [[0], [2, 0, 0, 1]]],
        [[[0], [1, 0, 1, 0]], [[0], [0, 1, 0, 0]], [[1], [0, 1, 0, 1]]],
    ],
)
def test_networks_of_blox_compute_what_the_authors_build(arch_vec: Any) -> None:
    assert differences(architecture_of(SPACES["blox"], str(arch_vec)), oracles.blox(arch_vec), 16) == {}


def test_the_45_blocks_are_the_ways_to_write_one_up_to_order_and_what_nothing_reads() -> None:
    ways = [[[a], [b, *flags]] for a, b in itertools.product(range(3), repeat=2) for flags in itertools.product((0, 1), repeat=3)]
    found = [blox.block_of(way) for way in ways]
    assert [way for way, block in zip(ways, found, strict=True) if block is None] == [
        way for way in ways if way[1][1:] == [0, 0, 0]
    ]
    assert {json.dumps(block) for block in found if block} == {json.dumps(block) for block in blox.BLOCKS}
    assert len(blox.BLOCKS) == 45
    digests = {architecture_of(blox.SPACE, json.dumps([block] * 3)).digest for block in blox.BLOCKS}
    assert len(digests) == 45
    for way, block in zip(ways, found, strict=True):
        if block:
            built = architecture_of(blox.SPACE, json.dumps([way] * 3))
            assert cost(built, (16, 16)).params == sum(p.numel() for p in oracles.blox([way] * 3).parameters())


# --- how many there are, and what is wrong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("nds_resnet", "12-12:24-24-40", "expected ds:ws such as 12-12-12:24-24-40, got '12-12:24-24-40'"),
        ("nds_resnet", "12-12-25:24-24-40", "depth3: expected one of 1, 2, .*; got 25"),
        ("nds_resnext_b", "1-1-1:64-64-64", "expected ds:ws:bot_muls:num_gs such as"),
        ("nds_resnext_b", "1-1-1:64-64-32:1-1-1:1-1-1", "width3: expected one of 64, 128, 256, 512, 1024; got 32"),
        ("nds_resnext_b", "1-1-1:64-64-64:1-1-0.3:1-1-1", "ratio3: expected one of 1.0, 0.5, 0.25; got 0.3"),
        (
            "transnas_micro",
            "64-41414-1_02_33",
            "expected a cell of digits 0 to 3 such as 64-41414-1_02_333, got '64-41414-1_02_33'",
        ),
        ("transnas_micro", "64-41414-1_02_334", "expected a cell of digits 0 to 3"),
        ("transnas_micro", "64-1234-basic", "expected a cell of digits 0 to 3"),
        ("transnas_macro", "64-1111-basic", "expected one to three modules that double the channels .*; got 0"),
        ("transnas_macro", "64-2222-basic", "double the channels .*; got 4"),
        ("transnas_macro", "64-1112-basic", "expected one to four modules that halve the resolution .*; got 0"),
        ("transnas_macro", "64-33334-basic", "halve the resolution .*; got 5"),
        ("transnas_macro", "64-123-basic", "expected four to six digits 1 to 4 such as 64-1234-basic, got '64-123-basic'"),
        ("transnas_macro", "32-1234-basic", "expected four to six digits 1 to 4"),
        ("blox", "[[[0],[1,0,0,0]],[[1],[1,1,0,0]],[[0],[0,1,1,0]]]", "flags 0 and 1 not all 0; got"),
        ("blox", "[[[3],[1,1,0,0]],[[1],[1,1,0,0]],[[0],[0,1,1,0]]]", "operations 0 to 2"),
        ("blox", "[[[0],[1,1,0,0]],[[1],[1,1,0,0]]]", "expected three blocks"),
        ("blox", "{}", "expected three blocks"),
    ],
)
def test_what_is_no_network_is_said(name: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        SPACES[name].parse(text)


def test_a_sixth_module_needs_a_fifth() -> None:
    genotype = {**transnasbench101.MACRO.start(), "module6": 1}
    assert transnasbench101.MACRO.fault(genotype) == "expected no module6 without a module5"
