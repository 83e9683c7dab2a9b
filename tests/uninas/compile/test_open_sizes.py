"""Programs for any height and width: `torch.export` with open sizes, and what runs in place of what asks a side its value."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
from torch import nn

from tests.uninas.examples import framed, graph_of
from tests.uninas.running import noise, scramble
from uninas import Architecture, InputError, Stage, preset
from uninas.compile import attention, layers, sizes
from uninas.compile.module import build
from uninas.graph import Block
from uninas.networks.presets import letter_block
from uninas.networks.transformers import deit, pvt_v2_b1, swin

HYBRID = Architecture(tuple(Stage(32, (letter_block(letter),)) for letter in "ET"), classes=3, input_size=(32, 32), stem=(8, 8))
"""A stage of convolutions and one of attention with a table, as CoAtNet has them."""


def opened(network: nn.Module, least: int) -> Any:
    """The program for any batch, height and width."""
    batch, height, width = torch.export.Dim("batch", min=1), *(torch.export.Dim(n, min=least, max=4096) for n in ("h", "w"))
    example = noise(2, 3, least + 16, least + 35)
    with torch.no_grad():
        return torch.export.export(network, (example,), dynamic_shapes=({0: batch, 2: height, 3: width},)).module()


def farthest(architecture: Architecture, least: int, tried: list[tuple[int, int]]) -> float:
    """How far the program's output is at most from the network's, in shares of its largest value."""
    network = scramble(build(architecture)).eval()
    program, found = opened(network, least), list[float]()
    with torch.no_grad():
        for batch, size in enumerate(tried, start=1):
            image, expected = noise(batch, 3, *size, seed=batch), network(noise(batch, 3, *size, seed=batch))
            found.append(float((program(image) - expected).abs().max() / expected.abs().max()))
    assert all(map(math.isfinite, found))  # the largest of some numbers and a NaN may be any of them
    return max(found)


def test_a_class_token_and_positions_leave_the_size_open() -> None:
    """At the size of the positions, at others, and where patches are filled up."""
    assert farthest(deit(width=64, depth=1, classes=3, input_size=(48, 64)), 33, [(48, 64), (64, 48), (33, 75)]) <= 1e-5


@pytest.mark.slow
def test_convolutions_and_attention_leave_the_size_open() -> None:
    assert farthest(HYBRID, 32, [(32, 32), (48, 32), (33, 75), (96, 160)]) <= 1e-5


@pytest.mark.slow
def test_windows_leave_the_size_open() -> None:
    """Filled or not, shifted or not, with patches merged; wherever maps are larger than a window."""
    network = swin(widths=(96, 192), depths=(2, 2), classes=3, input_size=(56, 56))
    assert farthest(network, 64, [(64, 64), (112, 112), (72, 80), (65, 75)]) <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coatnet", "deit_small_patch16_224", "swin_tiny_patch4_window7_224"])
def test_whole_networks_leave_the_size_open(name: str) -> None:
    least = 225 if name.startswith("swin") else 64
    assert farthest(preset(name, classes=3), least, [(least, least + 1), (least + 31, least + 64)]) <= 1e-5


@pytest.mark.slow
def test_a_compiled_network_takes_a_second_size() -> None:
    """At the second one torch.compile makes the sides symbols, which Inductor has to order the strides of."""
    widths, depths = [32, 64, 96, 128], [1, 1, 1, 1]
    network = scramble(build(preset("coatnet", widths=widths, depths=depths, stem=[16, 32], classes=10), fused=True)).eval()
    compiled = torch.compile(network)
    with torch.no_grad():
        for side in (224, 256):
            image = noise(2, 3, side, side)
            expected = network(image)
            assert (compiled(image) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("size", [(32, 32), (33, 75), (29, 34)])
@pytest.mark.parametrize("case", ["hybrid", "deit", "swin", "pvt", "random", "more"])
def test_what_runs_at_open_sizes_is_the_same(case: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the tracing: all that depends on whether a side is known, at sides that are."""
    network = {
        "hybrid": lambda: HYBRID,
        "deit": lambda: deit(width=64, depth=1, classes=3, input_size=(32, 32)),
        "swin": lambda: swin(widths=(96,), depths=(2,), classes=3, input_size=(32, 32)),
        "pvt": lambda: pvt_v2_b1(classes=3, input_size=(32, 32)),
        "random": lambda: framed(random.Random(5), size=(29, 34)),
        "more": lambda: framed(random.Random(11), size=(29, 34)),
    }[case]()
    if case == "swin":
        size = (size[0] + 32, size[1] + 32)  # maps larger than a window
    module = scramble(build(network)).eval()
    image = noise(2, 3, *size)
    with torch.no_grad():
        expected = module(image)
        for room in (attention, layers, sizes):
            monkeypatch.setattr(room, "known", lambda *sides: False)
        made = module(image)
    assert (made - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("side", [8, 9, 11, 3, 1])
def test_tiles_that_are_cut_off(tile: int, side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = noise(2, 3, side, side + 2, dtype=torch.float64)
    expected = sizes.average_tiles(x, tile), sizes.largest_of_tiles(x, tile)
    monkeypatch.setattr(sizes, "known", lambda *sides: False)
    for made, wanted in zip((sizes.average_tiles(x, tile), sizes.largest_of_tiles(x, tile)), expected, strict=True):
        assert torch.allclose(made, wanted, atol=1e-12)


def test_what_cannot_leave_the_size_open_says_so() -> None:
    block = Block((graph_of("%1 = row_column_bias %0", "return %1"), None))
    network = build(Architecture((Stage(8, (block,)),), classes=3, input_size=(64, 64), stem=(4, 8))).eval()
    with pytest.raises(InputError, match=r"row_column_bias: expected one height and width.* export the program without dynamic"):
        opened(network, 32)
