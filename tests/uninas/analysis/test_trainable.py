"""Trainable parameters against the gradients of torch."""

from __future__ import annotations

import random

import pytest
import torch

from tests.uninas.analysis.test_cost import module_params
from tests.uninas.examples import around, disguised_network, graph_of, small, tiny, walked
from tests.uninas.oracle import LETTERS
from tests.uninas.running import noise, scramble
from uninas import Architecture, Block, Stage, canonicalise, cost
from uninas.compile.module import build


def trained(architecture: Architecture) -> int:
    """Parameters that a gradient other than zero reaches. Eval mode, where norms of constants do not cancel by themselves."""
    module = scramble(build(architecture, fused=False).double()).eval()
    for name, buffer in module.named_buffers():
        if name.endswith("running_mean"):
            buffer.zero_()
    for seed in range(2):
        logits = module(noise(2, architecture.in_channels, *architecture.input_size, seed=seed, dtype=torch.float64))
        (logits * noise(*logits.shape, seed=9 + seed, dtype=torch.float64)).sum().backward()
    return sum(p.numel() for p in module.parameters() if p.grad is not None and bool(p.grad.any()))


@pytest.mark.parametrize("name", ["resnet", "efficientnet", "vit", "coatnet"])
def test_trainable_params_of_presets(name: str) -> None:
    network = small(name)
    figures = cost(network)
    assert figures.trainable_params == trained(network)
    dead = sum(2 * s.width * len(s.blocks) for s, letter in zip(network.stages, LETTERS[name], strict=True) if letter in "RE")
    assert figures.params - figures.trainable_params == dead, "norm2 in front of Zero"


def test_trainable_params_of_walks_and_their_disguises() -> None:
    rng = random.Random(11)
    for _ in range(20):
        network = walked(tiny(rng.choice(["ET", "TE", "RT"])), rng, 8)
        assert cost(network).trainable_params == trained(network)
        other, _ = disguised_network(network, rng)
        assert cost(other).trainable_params == cost(network).trainable_params == trained(other)


_FRONT = 2 * 16 + 16 * 32 + 32
"""The norm in front of the first sub-block, with its projection: dead where the graph never reads its input."""

ZEROS = {
    "a convolution of zero learns its bias": (
        ["%1 = zero %0", "%2 = conv(kernel=3) %1", "return %2"],
        lambda c: 9 * c * c + _FRONT,
    ),
    "without a bias it is zero itself": (
        ["%1 = zero %0", "%2 = conv(kernel=3, bias=false) %1", "%3 = conv(kernel=1) %2", "return %3"],
        lambda c: 9 * c * c + c * c + _FRONT,
    ),
    "a convolution before zero": (["%1 = conv(kernel=1) %0", "%2 = zero %1", "return %2"], lambda c: c * c + c + _FRONT),
    "a norm of zero": (["%1 = zero %0", "%2 = layer_norm %1", "return %2"], lambda c: c + _FRONT),
    "attention to zero values": (
        [
            "%1 = conv(kernel=1) %0",
            "%2 = zero %0",
            "%3 = matmul_qk(head_dim=16) %1 %0",
            "%4 = softmax %3",
            "%5 = matmul_av %4 %2",
            "%6 = conv(kernel=1) %0",
            "%7 = add %5 %6",
            "return %7",
        ],
        lambda c: c * c + c,
    ),
    "scores of zero queries": (
        [
            "%1 = conv(kernel=1) %0",
            "%2 = zero %0",
            "%3 = matmul_qk(head_dim=16) %2 %1",
            "%4 = relative_position_bias %3",
            "%5 = softmax %4",
            "%6 = matmul_av %5 %0",
            "return %6",
        ],
        lambda c: c * c + c,
    ),
    "a sum drops its zero": (["%1 = zero %0", "%2 = conv(kernel=1) %0", "%3 = add %1 %2", "return %3"], lambda c: 0),
    "a product with zero": (
        ["%1 = zero %0", "%2 = conv(kernel=1) %0", "%3 = multiply %1 %2", "%4 = add %3 %0", "return %4"],
        lambda c: c * c + c,
    ),
    "one slice of zero": (
        ["%1 = zero %0", "%2 = concat %0 %1", "%3 = slice(index=1, count=2) %2", "%4 = conv(kernel=1) %3", "return %4"],
        lambda c: c * c + _FRONT,
    ),
}


@pytest.mark.parametrize("case", ZEROS)
def test_trainable_params_around_zeros(case: str) -> None:
    lines, dead = ZEROS[case]
    network = around(graph_of(*lines))
    figures = cost(network)
    assert figures.params == module_params(build(network))
    assert figures.trainable_params == trained(network)
    assert figures.params - figures.trainable_params == dead(32)


def test_a_dead_first_block_still_halves_the_resolution() -> None:
    network = around(graph_of("%1 = zero %0", "return %1"))
    assert canonicalise(network).stages[0].blocks[0].subblocks == (None, None)
    figures = cost(network)
    projected = 16 * 32 + 32
    assert figures.params - figures.trainable_params == 2 * 16 + projected == figures.params - trained(network)


def test_a_norm_of_zeros_learns_its_bias_alone() -> None:
    """A block without a shortcut whose output is zero, and residual blocks behind it: the first of them reads zeros."""
    zero, conv = graph_of("%1 = zero %0", "return %1"), graph_of("%1 = conv(kernel=1) %0", "return %1")
    blocks = (Block((conv,)), Block((zero,), residual=False), Block((conv, conv)))
    network = Architecture((Stage(32, blocks),), 10, (32, 32), stem=(8, 16))
    assert cost(network).trainable_params == trained(network)
