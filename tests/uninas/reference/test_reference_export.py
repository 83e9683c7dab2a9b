"""Writing the reference's JSON: what comes back is the same network, to the digest and to the integer; the rest is refused."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.uninas.examples import around, graph_of
from tests.uninas.reference.reference_files import random_file
from uninas import PRESETS, ZOO, Architecture, Block, InputError, Rejection, Stage, canonicalise, cost, load, mutate, preset
from uninas.edits import PRIOR, vocabulary
from uninas.networks.presets import letter_block
from uninas.reference import (
    from_reference,
    import_reference,
    inexact,
    read_reference,
    reference_layers,
    to_reference,
    to_reference_text,
)
from uninas.reference.classes import LEAVES

CLASSES = {*LEAVES, "SequentialModule", "ExpandAndReduce", "ReduceAndExpand", "AvgAndUpsample", "ForkMerge", "ForkMergeAttention"}


def again(architecture: Architecture) -> Architecture:
    """The network from its file in the reference's format."""
    return from_reference(json.loads(to_reference_text(architecture)), "net.json")


def nodes_in(value: Any) -> list[dict[str, Any]]:
    """Every node of a parsed `model_str`."""
    if isinstance(value, list):
        return [node for inner in value for node in nodes_in(inner)]
    if not isinstance(value, dict):
        return []
    return [*([value] if "class" in value else []), *nodes_in(list(value.values()))]


def written(document: dict[str, Any]) -> list[dict[str, Any]]:
    return nodes_in(json.loads(document["model_str"]))


@pytest.mark.parametrize("name", ["ref_conv", "ref_attention"])
def test_the_references_own_files_come_back(name: str, data_folder: Path) -> None:
    path = data_folder / "uninas_reference" / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    network, layers = read_reference(stored, name)
    document = to_reference(network)
    assert from_reference(document, name) == network
    assert set(read_reference(document, name)[1]) == set(layers) == set(reference_layers(network))
    assert {key: document[key] for key in stored if key != "model_str"} == {k: v for k, v in stored.items() if k != "model_str"}
    # Classes and params are the file's own; so are its shapes, but for those that the toolkit gets wrong itself.
    theirs, ours = written(stored), written(document)
    assert [node["class"] for node in ours] == [node["class"] for node in theirs]
    assert [set(node["params"]) for node in ours] == [set(node["params"]) for node in theirs]
    differ = [(a["class"], a["shape"], b["shape"]) for a, b in zip(theirs, ours, strict=True) if a["shape"] != b["shape"]]
    assert differ == ([("GELU", [96, 4, 4], [384, 4, 4])] if name == "ref_attention" else [])


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("stages", range(1, 7))
def test_presets_are_letters_at_any_width_depth_and_size(name: str, stages: int) -> None:
    letters = {"resnet": "R", "efficientnet": "E", "vit": "T", "coatnet": "ET"}[name]
    widths = [(96, 192, 384, 768)[i % 4] for i in range(stages)]
    blocks = [tuple(letter_block(letters[i % len(letters)]) for _ in range(1 + i % 3)) for i in range(stages)]
    size = 2 ** (stages + 1) * (1 + stages % 2)
    network = Architecture(tuple(map(Stage, widths, blocks)), classes=stages, input_size=(size, size), stem=(8, 24))
    assert again(network) == network
    rows = json.loads(to_reference(network)["model_str"])
    assert rows == [[letters[i % len(letters)]] * (1 + i % 3) for i in range(stages)]
    canonical = again(canonicalise(network))
    assert canonical.digest == network.digest
    assert cost(canonical).macs == cost(network).macs
    assert not inexact(network)


@pytest.mark.parametrize("seed", range(60))
def test_random_files_come_back(seed: int) -> None:
    document = random_file(random.Random(seed))
    network = from_reference(document, "net.json")
    back = again(network)
    assert back.digest == network.digest
    assert cost(back).as_dict() | {"activation_bytes": 0} == cost(network).as_dict() | {"activation_bytes": 0}
    assert again(back) == back, "what was written once is written again as it is"
    canonical = canonicalise(network)
    assert again(canonical).digest == network.digest
    assert cost(again(canonical)).trainable_params == cost(canonical).trainable_params


def test_the_random_files_have_every_class() -> None:
    found = {node["class"] for seed in range(60) for node in written(random_file(random.Random(seed)))}
    assert found >= CLASSES


# --- edited networks --------------------------------------------------------------------------------------------------------

EDITS = (
    "insert",
    "remove",
    "replace",
    "fork",
    "unfork",
    "connect",
    "deepen",
    "shorten",
    "copy_block",
    "move_block",
    "drop_subblock",
)
"""Kinds of edit that lead to what the reference has, but for what `IMPOSSIBLE` says."""

IMPOSSIBLE = {
    "a product is of one map and the sigmoid of another": "the reference multiplies by a sigmoid alone",
    "is not made of piece": "queries, keys and values come from one convolution and act on their own pieces",
    "heads of 32 channels": "3, 6, 12 or 24 heads of 32 channels",
    "on all heads at once is none on each": "a layer over all heads' channels is no layer of each head",
    "a piece of the channels is only used": "pieces are put together again",
    "nothing before it, on all paths": "expansions and averages nest",
    "are not the pieces of one map": "chunk/concat takes one map apart",
    "branches, each with weights of its own": "one layer stands in one place",
    "comes from before the branches": "branches of a fork begin where the fork begins",
    "does not come from one product": "one product of query and key a head",
    "a map has one table": "each head has a map, and each map a table",
}
"""What a refusal of an edited network says -> why the reference cannot say it."""


@pytest.mark.parametrize("name", PRESETS)
def test_edited_networks_come_back_or_are_refused(name: str) -> None:
    """By edits to operations that the reference has. Nothing comes back as another network."""
    prior = {kind: PRIOR[kind] for kind in EDITS}
    start = preset(name, widths=(64, 96, 128, 192) if name == "resnet" else (96, 96, 192, 384), depths=(1, 1, 2, 1))
    outcomes: Counter[str] = Counter()
    for seed in range(3):
        rng, parent = random.Random(seed), canonicalise(start)
        for _ in range(40):
            made = walk_once(parent, rng, prior)
            if made is None:
                continue
            back = back_or_refusal(made)
            if isinstance(back, str):
                assert any(reason in back for reason in IMPOSSIBLE), back
                assert re.match(r"stage \d, block \d, sub-block \d, %\d+ ", back)
                outcomes["refused"] += 1
            else:
                assert back.digest == made.digest
                outcomes["came back"] += 1
                parent = made
    assert outcomes["came back"] > 4 * outcomes["refused"], outcomes
    assert outcomes["refused"]


def back_or_refusal(network: Architecture) -> Architecture | str:
    try:
        document = to_reference(network)
    except InputError as refusal:
        return str(refusal)
    return from_reference(document, "net.json")


def walk_once(parent: Architecture, rng: random.Random, prior: dict[str, float]) -> Architecture | None:
    made = mutate(parent, rng, None, prior, vocabulary(["uninas"]))
    return None if isinstance(made, Rejection) else made[0]


# --- what the reference cannot say --------------------------------------------------------------------------------------------

HALF = ("%1 = slice(index=0, count=2) %0", "%2 = slice(index=1, count=2) %0")
REFUSED: dict[str, tuple[Architecture, str]] = {
    "an operation": (around(graph_of("%1 = relu %0", "return %1")), "stage 1, block 1, sub-block 1, %1 relu"),
    "an attribute": (around(graph_of("%1 = conv(kernel=7, groups=depthwise, bias=false) %0", "return %1")), "%1 conv"),
    "a ratio": (around(graph_of("%1 = conv(kernel=1, ratio=3/2) %0", "%2 = conv(kernel=1, ratio=2/3) %1", "return %2")), "whole"),
    "another head_dim": (
        around(
            graph_of(
                "%1 = conv(kernel=1, ratio=3) %0",
                "%2 = slice(index=0, count=3) %1",
                "%3 = slice(index=1, count=3) %1",
                "%4 = slice(index=2, count=3) %1",
                "%5 = matmul_qk(head_dim=16) %2 %3",
                "%6 = matmul_av %5 %4",
                "return %6",
            ),
            width=96,
        ),
        "here 6 of 16",
    ),
    "two heads": (Architecture((Stage(64, (letter_block("T"),)),), input_size=(32, 32)), "stage 1, block 1, sub-block 1"),
    "a product without a sigmoid": (around(graph_of("%1 = gelu %0", "%2 = multiply %0 %1", "return %2")), "sigmoid"),
    "a sum of four": (around(graph_of("%1 = add %0 %0 %0 %0", "return %1")), "at most 3"),
    "weights in two branches": (
        around(graph_of("%1 = conv(kernel=1) %0", "%2 = conv(kernel=3) %1", "%3 = add %2 %0", "%4 = add %3 %1", "return %4")),
        "%1 conv",
    ),
    "pieces that are swapped": (around(graph_of(*HALF, "%3 = concat %2 %1", "return %3")), "%3 concat"),
    "a dead end": (around(graph_of("%1 = conv(kernel=1) %0", "return %0")), "leads nowhere"),
    "doubling without end": (
        around(
            graph_of("%1 = gelu %0", "%2 = add %1 %0", *(f"%{i} = add %{i - 1} %{i - 2}" for i in range(3, 60)), "return %59")
        ),
        "series-parallel",
    ),
    "a stem": (ZOO["convnext_tiny"](), "stem"),
    "a head": (around(None).replace(head=graph_of("return %0")), "head"),
    "other pictures": (around(None).replace(in_channels=1), "3 channels"),
    "an oblong": (around(None, size=(32, 64)), "32x64"),
    "a plain block": (Architecture((Stage(32, (Block((None,), residual=False),)),)), "stage 1, block 1"),
    "a transition": (Architecture((Stage(64, (Block((None, None)),), graph_of("return %0")),)), "stage 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_reference_cannot_say_is_refused_where_it_is(case: str) -> None:
    network, said = REFUSED[case]
    with pytest.raises(InputError) as caught:
        to_reference(network)
    assert said in str(caught.value)
    assert "reference" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        reference_layers(network)


def test_an_absent_sub_block_is_a_zero_with_a_norm() -> None:
    """Of the reference alone: then its parameters are more than ours, and none of them learns."""
    network = around(graph_of("%1 = gelu %0", "return %1"))
    back = again(network)
    assert back.digest == network.digest
    assert cost(back).params == cost(network).params + 2 * 32
    assert cost(back).trainable_params == cost(network).trainable_params
    assert [layer.theirs for layer in reference_layers(network) if layer.ours is None] == ["stages.0.blocks.0.norm2"]


def test_odd_maps_are_told_of() -> None:
    network = Architecture((Stage(32, (letter_block("R"),)), Stage(32, (letter_block("R"),))), input_size=(36, 36))
    assert inexact(network) == ["stage 2 halves 9x9 to 5x5, the reference to 4x4"]
    back = again(network)
    assert back == network.replace(rounding="down")
    assert [place[:2] for place in back.places()] == [(9, 9), (4, 4)]
    assert inexact(back) == []
    assert again(back) == back


# --- heads of one node ----------------------------------------------------------------------------------------------------------


def test_heads_of_one_node_are_written_one_by_one_and_read_as_one() -> None:
    base = letter_block("T").subblocks[0]
    assert base is not None
    network = around(base, letter_block("E").subblocks[0], width=96)  # no letter's pair
    document = to_reference(network)
    (attention,) = [node for node in written(document) if node["class"] == "ForkMergeAttention"]
    assert [len(attention["params"][key]) for key in ("branches", "connections", "post_branches", "matmullefts")] == [9, 3, 3, 3]
    tokens = (40 // 2 // 2) ** 2
    assert [node["shape"] for node in attention["params"]["connections"]] == [[1, tokens, tokens]] * 3
    assert again(network) == network
    layers = {layer.theirs: layer for layer in reference_layers(network)}
    at = "stages.0.blocks.0.subblock1.sequential.0"
    rows = layers[f"{at}.qkv.conv"].rows
    assert rows is not None
    assert sorted(rows) == list(range(288))
    assert rows[:32] == tuple(range(32)), "queries of the first head"
    assert rows[32:64] == tuple(range(96, 128)), "its keys"
    assert rows[96:128] == tuple(range(32, 64)), "queries of the second"
    assert [layers[f"{at}.connections.{h}.sequential.0"].rows for h in range(3)] == [(0,), (1,), (2,)]
    # Without our mark it is what the reference says: heads of their own, at the same cost.
    del attention["params"]["fused"]
    rows_of = json.loads(document["model_str"])
    nodes_in(rows_of)[1]["params"].pop("fused")
    apart = from_reference({**document, "model_str": json.dumps(rows_of)}, "net.json")
    assert apart.digest != network.digest
    assert (cost(apart).params, cost(apart).macs) == (cost(network).params, cost(network).macs)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda params: params["branches"][4]["params"]["modules"].append({"class": "GELU", "params": {}}), "equal heads"),
        (lambda params: [b["params"]["modules"].append({"class": "Conv1", "params": {}}) for b in params["branches"]], "Conv1"),
        (lambda params: params.update(connections=params["connections"][:2]), "three branches"),
    ],
)
def test_a_wrong_mark_of_equal_heads_is_refused(spoil: Any, said: str) -> None:
    base = letter_block("T").subblocks[0]
    document = to_reference(around(base, width=96))
    rows = json.loads(document["model_str"])
    (attention,) = [node for node in nodes_in(rows) if node["class"] == "ForkMergeAttention"]
    spoil(attention["params"])
    with pytest.raises(InputError, match=said):
        from_reference({**document, "model_str": json.dumps(rows)}, "net.json")


# --- reading ------------------------------------------------------------------------------------------------------------------


def test_an_average_in_an_average_is_the_inner_series() -> None:
    """Of one pixel the mean is the pixel: nothing is made full inside."""
    inner = {"class": "AvgAndUpsample", "params": {"sequential": {"class": "Conv1", "params": {}}}}
    outer = {"class": "AvgAndUpsample", "params": {"sequential": {"class": "SequentialModule", "params": {"modules": [inner]}}}}
    document = {
        "img_size": 16,
        "num_classes": 2,
        "embed_dim": [8],
        "stem_width": [4, 8],
        "model_str": json.dumps([[{"subblock1": outer, "subblock2": {"class": "Zero"}}]]),
    }
    network, names = import_reference(document, "net.json")
    graph = network.stages[0].blocks[0].subblocks[0]
    assert graph is not None
    assert [node.op.name for node in graph.nodes] == ["input", "global_average_pool", "conv", "broadcast"]
    assert "stages.0.blocks.0.subblock1.sequential.sequential.0.sequential.conv" in names.values()


def test_files_with_wrong_shapes_and_a_path_are_read_as_any_other(tmp_path: Path) -> None:
    network = preset("vit", widths=(96, 96, 192, 192), depths=(1, 1, 1, 1), input_size=(64, 64))
    document = to_reference(canonicalise(network))
    spoilt = json.loads(document["model_str"])
    for node in nodes_in(spoilt):
        node["shape"] = [3, 0, -1]
    (tmp_path / "net.json").write_text(json.dumps({**document, "model_str": json.dumps(spoilt)}), encoding="utf-8")
    assert load(tmp_path / "net.json").digest == network.digest


def test_a_long_letter_is_a_short_message() -> None:
    document = {
        "img_size": 16,
        "num_classes": 2,
        "embed_dim": [8],
        "stem_width": [4, 8],
        "model_str": json.dumps([["x" * 5000]]),
    }
    with pytest.raises(InputError, match="letter R, E or T") as caught:
        from_reference(document, "net.json")
    assert len(str(caught.value)) < 200


def test_a_deep_place_is_a_short_message() -> None:
    node: Any = {"class": "Nothing"}
    for _ in range(60):
        node = {"class": "SequentialModule", "params": {"modules": [node]}}
    document = {
        "img_size": 16,
        "num_classes": 2,
        "embed_dim": [8],
        "stem_width": [4, 8],
        "model_str": json.dumps([[{"subblock1": node, "subblock2": node}]]),
    }
    with pytest.raises(InputError, match="Nothing") as caught:
        from_reference(document, "net.json")
    assert "stage 1, block 1" in str(caught.value)
    assert len(str(caught.value)) < 700


def test_a_map_that_is_read_whole_and_in_pieces_is_found_again() -> None:
    """The canonical form reads the parts of a concatenation where the file takes it apart."""
    halves = ("%2 = conv(kernel=1) %1", "%3 = slice(index=1, count=2) %0", "%4 = concat %2 %3")
    graph = graph_of(
        "%1 = slice(index=0, count=2) %0",
        *halves,
        "%5 = conv(kernel=3) %4",
        "%6 = sigmoid %5",
        "%7 = slice(index=0, count=2) %4",
        "%8 = batch_norm %7",
        "%9 = slice(index=1, count=2) %4",
        "%10 = concat %8 %9",
        "%11 = multiply %10 %6",
        "return %11",
    )
    network = around(graph)
    canonical = canonicalise(network)
    reduced = canonical.stages[0].blocks[0].subblocks[0]
    assert reduced is not None
    assert sum(node.op.name == "slice" for node in reduced.nodes) == 2, "of the input alone"
    assert again(network).digest == again(canonical).digest == network.digest
