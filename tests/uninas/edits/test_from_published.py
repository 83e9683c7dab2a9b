"""Every kind of edit that makes sense has successes from every published network; the others are named, with the reason."""

from __future__ import annotations

import random

import pytest

from uninas import ZOO, Rejection, mutate, preset
from uninas.canonical import canonicalise
from uninas.compile.module import build
from uninas.edits import PRIOR, Edit, apply
from uninas.edits.propose import CROSSOVERS
from uninas.graph import Architecture, Graph

KINDS = [kind for kind in PRIOR if kind not in CROSSOVERS]

NO_ATTENTION = {"head_dim", "window"}
NEIGHBOURS = {"class_token"}
"""The last blocks look at a pixel's neighbours, of which a class token has none."""

SENSELESS: dict[str, set[str]] = {
    # blocks are equal at every width: a copy changes nothing
    "resnet50": {*NO_ATTENTION, *NEIGHBOURS, "copy_block"},
    "resnext50_32x4d": {*NO_ATTENTION, *NEIGHBOURS, "copy_block"},
    "mobilenetv2_100": {*NO_ATTENTION, "copy_block"},
    "convnext_tiny": {*NO_ATTENTION, *NEIGHBOURS, "copy_block"},
    "poolformer_s12": {*NO_ATTENTION, *NEIGHBOURS, "copy_block"},
    "regnety_004": {*NO_ATTENTION, *NEIGHBOURS},
    "mobilenetv3_large_100": {*NO_ATTENTION, *NEIGHBOURS},
    "efficientnet_b0": NO_ATTENTION,
    # no sum or product in a graph; patches are not dilated
    "swin_tiny_patch4_window7_224": {*NEIGHBOURS, "unfork", "dilation"},
    "pvt_v2_b1": {*NEIGHBOURS, "unfork"},
    # blocks are equal; one stage; no neighbours of a pixel behind the stem
    "deit_small_patch16_224": {"unfork", "dilation", "window", "copy_block", "move_block", "remove_stage"},
    "coatnet_0_224": NEIGHBOURS,
}
"""Kinds without a place in a network."""


def first(network: Architecture, kind: str, tries: int) -> tuple[Architecture, Edit] | None:
    for seed in range(tries):
        made = mutate(network, random.Random(seed), prior={kind: 1.0})
        if not isinstance(made, Rejection):
            return made
    return None


@pytest.mark.parametrize("name", sorted(ZOO))
def test_every_kind_that_makes_sense_succeeds(name: str) -> None:
    network = canonicalise(preset(name))
    never = {kind for kind in KINDS if first(network, kind, 60) is None}
    assert never == SENSELESS[name]


@pytest.mark.parametrize("kind", ["stem", "entry", "add_stage", "class_token", "kernel"])
def test_edits_of_a_network_with_a_class_token_are_networks(kind: str) -> None:
    """They run, an edit replays to the same child, and the token is where it was or gone."""
    network = canonicalise(preset("deit_small_patch16_224", classes=3, input_size=(32, 32)))
    made = first(network, kind, 60)
    assert made is not None
    child, edit = made
    again = apply(network, Edit.from_dict(edit.as_dict()))
    assert isinstance(again, Architecture)
    assert again.digest == child.digest != network.digest
    assert {stage.tokens for stage in child.stages} == ({0} if kind == "class_token" else {1})
    assert sum(value.numel() for value in build(child).parameters()) > 1e6


def test_a_new_stem_keeps_positions_and_class_token() -> None:
    network = canonicalise(preset("deit_small_patch16_224"))
    for seed in range(12):  # every ready-made stem, the template's among them
        made = mutate(network, random.Random(seed), prior={"stem": 1.0})
        assert not isinstance(made, Rejection)
        stem = made[0].stem
        assert isinstance(stem, Graph)
        assert [node.op.text for node in stem.nodes[-2:]] == ["position_embedding", "class_token(position=true)"]


def test_without_its_class_token_the_head_reads_the_mean() -> None:
    made = first(preset("deit_small_patch16_224"), "class_token", 1)
    assert made is not None
    head = made[0].head
    assert head is not None
    assert [node.op.name for node in head.nodes] == ["input", "layer_norm", "global_average_pool"]
    back = first(made[0], "class_token", 1)
    assert back is not None
    assert back[0].stages[0].tokens == 1
