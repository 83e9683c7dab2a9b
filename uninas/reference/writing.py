"""Write the JSON of the UniNAS reference implementation, in its own classes, with true shapes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from uninas.errors import InputError
from uninas.graph import Architecture, Block, Graph, Stage
from uninas.networks.presets import letter_block
from uninas.ops import AttentionMap, FeatureMap, Place, Type
from uninas.reference.classes import FUSED, HEAD_DIM, Part, bias_on_features, is_axis, sequence
from uninas.reference.names import Layer, template_layers, tree_layers
from uninas.reference.series import Unsayable, tree_of

LETTERS = {letter_block(letter): letter for letter in "RET"}
"""Stored block -> the reference's letter for it."""


def to_reference(architecture: Architecture) -> dict[str, Any]:
    """Return the reference's JSON of an architecture, ready for `json.dump`.

    Blocks that are a letter's stored form are written as the letter, all others as graphs. An absent sub-block is written as a
    zero, which has a norm in the reference. Attention of several heads in one node is written head by head, with a mark by
    which `from_reference` makes one node of it again; the reference ignores the mark.

    Raises InputError that names stage, block, sub-block and operation where the reference cannot express it.
    """
    _check_frame(architecture)
    return _Writer(architecture).document()


def to_reference_text(architecture: Architecture) -> str:
    """Return `to_reference` as the text of a file. Raises InputError."""
    return json.dumps(to_reference(architecture)) + "\n"


def reference_layers(architecture: Architecture) -> list[Layer]:
    """List the layers of what `to_reference` writes, each with the layer of ours that it is. Raises InputError."""
    _check_frame(architecture)
    return _Writer(architecture).layers()


def inexact(architecture: Architecture) -> list[str]:
    """List where the reference would compute something else although the network can be written, one line each.

    It leaves the last row and column of an odd map out when it halves the resolution; this package keeps them, unless
    the architecture sets `rounding`.
    """
    if architecture.rounding == "down":
        return []
    found, flows = [], architecture.flows()
    for number, (before, after) in enumerate(pairwise(flows), start=1):
        height, width = before.place.reference_height, before.place.reference_width
        if architecture.stages[number - 1].transition is None and (height % 2 or width % 2):
            made = after.place
            found.append(
                f"stage {number} halves {height}x{width} to {made.reference_height}x{made.reference_width}, "
                f"the reference to {height // 2}x{width // 2}"
            )
    return found


def _check_frame(network: Architecture) -> None:
    """Raise InputError for what only the frame around the blocks can have."""
    height, width = network.input_size
    faults = [
        (isinstance(network.stem, Graph), "stem", "two 3x3 convolutions", "a graph"),
        (network.head is not None, "head", "a LayerNorm", "a graph"),
        (network.in_channels != 3, "stem", "images of 3 channels", f"{network.in_channels}"),
        (height != width, "input size", "a square", f"{height}x{width}"),
    ]
    for s, stage in enumerate(network.stages, start=1):
        faults.append(
            (stage.transition is not None, f"stage {s}", "the template's halving of the resolution", "a transition of its own")
        )
        faults.append((not stage.blocks, f"stage {s}", "at least one block", "none"))
        for b, block in enumerate(stage.blocks, start=1):
            wrong = not (block.residual and len(block.subblocks) == 2)
            found = f"{len(block.subblocks)} {'residual' if block.residual else 'plain'}"
            faults.append((wrong, f"stage {s}, block {b}", "two residual sub-blocks", found))
    for wrong, where, expected, got in faults:
        if wrong:
            raise InputError(f"{where}: the reference implementation expects {expected}, got {got}")


class _Writer:
    def __init__(self, architecture: Architecture) -> None:
        self.architecture, self.places = architecture, architecture.places()

    def document(self) -> dict[str, Any]:
        network = self.architecture
        assert not isinstance(network.stem, Graph)
        rows = []
        for s, (stage, place) in enumerate(zip(network.stages, self.places, strict=True)):
            rows.append([self.block(block, stage, place, s, b) for b, block in enumerate(stage.blocks)])
        try:
            text = json.dumps(rows)
        except RecursionError:
            raise InputError("the reference's file would be nested too deeply") from None
        return {
            "img_size": network.input_size[0],
            "num_classes": network.classes,
            "drop_rate": 0.0,
            "embed_dim": [stage.width for stage in network.stages],
            "depths": [len(stage.blocks) for stage in network.stages],
            "stem_width": list(network.stem),
            "model_str": text,
        }

    def block(self, block: Block, stage: Stage, place: Place, s: int, b: int) -> str | dict[str, Any]:
        trees = [self.tree(graph, stage.width, s, b, k) for k, graph in enumerate(block.subblocks)]
        letter = LETTERS.get(block)
        if letter is not None:
            return letter
        return {f"subblock{k + 1}": _written(tree, place) for k, tree in enumerate(trees)}

    def tree(self, graph: Graph | None, width: int, s: int, b: int, k: int) -> Part:
        """Return a sub-block as the reference has it. Raises InputError that says where."""
        if graph is None:
            whole = FeatureMap(width, False)
            return sequence(whole, (Part("Zero", whole),))
        key = ("reference", width)
        found: Part | None = graph.memo.get(key)
        try:
            if found is None:
                found = graph.memo[key] = tree_of(graph, graph.types(width))
            self.check_axes(found, s)
        except Unsayable as error:
            node = "" if error.node is None else f", %{error.node} {graph.nodes[error.node].op.text}"
            raise InputError(
                f"stage {s + 1}, block {b + 1}, sub-block {k + 1}{node}: the reference implementation has no such graph: {error}"
            ) from None
        return found

    def check_axes(self, tree: Part, s: int) -> None:
        """Raise Unsayable for a bias of rows to columns on a map of another size than the reference takes."""
        at, bias = self.places[s], bias_on_features(tree)
        if bias is not None and not is_axis(at.reference_height, at.reference_width):
            size = f"{at.reference_height}x{at.reference_width}"
            raise Unsayable(f"its map has a^2 x a^2 pixels, here {size}", bias.opens)

    def layers(self) -> list[Layer]:
        layers = template_layers(self.architecture)
        for s, stage in enumerate(self.architecture.stages):
            for b, block in enumerate(stage.blocks):
                for k, graph in enumerate(block.subblocks):
                    if graph is not None:
                        layers += tree_layers(graph, self.tree(graph, stage.width, s, b, k), s, b, k)
        return layers


# --- the JSON of a node -----------------------------------------------------------------------------------------------------


def _node(kind: str, shape: list[int], params: dict[str, Any]) -> dict[str, Any]:
    return {"class": kind, "shape": shape, "params": params}


def _written(part: Part, place: Place, heads: int = 1) -> dict[str, Any]:
    """Write the JSON of a node; with `heads`, of one of the heads that are one node of ours."""
    shape = _shape(part.type, place, heads)
    inner = [_written(one, place, heads) for one in part.inner] if part.kind != "ForkMergeAttention" else []
    if part.kind == "SequentialModule":
        return _node(part.kind, shape, {"modules": inner})
    if part.kind == "ForkMerge":
        how = ["chunk" if part.merge == "concat" else "copy", part.merge]
        return _node(part.kind, shape, {"branches_count": len(inner), "fork_merge_tuple": how, "branches": inner})
    if part.kind == "ForkMergeAttention":
        return _node(part.kind, shape, _attention(part, place))
    if part.kind == "AvgAndUpsample":
        return _node(part.kind, shape, {"sequential": inner[0]})
    if part.factor:
        return _node(part.kind, shape, {"sequential": inner[0], "factor": part.factor, "scheme": "kaiming_normal"})
    return _node(part.kind, shape, {})


def _attention(part: Part, place: Place) -> dict[str, Any]:
    heads = part.heads if part.fused else 1
    pieces, maps, results = [[_written(one, place, heads) for one in group] for group in part.of_heads()]
    scores, one = AttentionMap(1, part.type.pooled), FeatureMap(HEAD_DIM, part.type.pooled)
    params: dict[str, Any] = {
        "branches": pieces,
        "matmullefts": [_node("MatmulLeft", _shape(scores, place), {})] * part.heads,
        "matmulrights": [_node("MatmulRight", _shape(one, place), {})] * part.heads,
        "connections": maps,
        "post_branches": results,
    }
    return {**params, FUSED: True} if part.fused else params


def _shape(type_: Type, place: Place, heads: int = 1) -> list[int]:
    """The shape of one head's share of such a value, as the reference stores it."""
    height, width = (1, 1) if type_.pooled else (place.reference_height, place.reference_width)
    if isinstance(type_, FeatureMap):
        return [type_.channels // heads, height, width]
    return [type_.heads // heads, height * width, height * width]
