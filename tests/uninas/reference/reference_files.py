"""Random valid files of the reference toolkit: every class of node on every tensor, nested, at other
widths, depths, stages and sizes."""

from __future__ import annotations

import json
import math
import random
from typing import Any

from uninas.reference.classes import HEADS

_LEAVES = (
    "Conv1",
    "Conv3",
    "ConvDepth3",
    "ConvDepth5",
    "BatchNorm",
    "LayerNorm",
    "GELU",
    "Sigmoid",
    "MaxPool",
    "Dropout",
    "Identity",
    "Zero",
    "Softmax",
    "Mask",
)
_ON_MAPS = (*_LEAVES, "RelPosBias", "RelPosBias", "Softmax", "Softmax", "Mask")
"""An attention map is a tensor of one channel to the reference: whatever fits may work on it."""

_COMPOUNDS = (
    "SequentialModule",
    "ExpandAndReduce",
    "ReduceAndExpand",
    "AvgAndUpsample",
    "chunk",
    "add",
    "multiply",
    "ForkMergeAttention",
)


def node(kind: str, **params: Any) -> dict[str, Any]:
    """A node whose stored shape is wrong, as after a round trip of the reference itself."""
    return {"class": kind, "shape": [7, 7, 7], "params": params}


def random_file(rng: random.Random, *, depth: int = 3) -> dict[str, Any]:
    """A file of 1 to 6 stages."""
    stages = rng.choice([1, 1, 2, 2, 3, 4, 6])
    widths = [rng.choice([8, 32, 48, 64, 96, 96, 192]) for _ in range(stages)]
    depths = [rng.choice([1, 1, 2, 3]) for _ in range(stages)]
    return {
        "img_size": 2 ** (stages + 1) * rng.choice([1, 2, 3] if stages < 5 else [1]) + rng.choice([0, 0, 0, 1, 5]),
        "num_classes": rng.randrange(1, 12),
        "drop_rate": 0.0,
        "embed_dim": widths,
        "depths": depths,
        "stem_width": [rng.choice([4, 8]), rng.choice([8, 16])],
        "model_str": json.dumps([[_block(rng, width, depth) for _ in range(n)] for width, n in zip(widths, depths, strict=True)]),
    }


def _block(rng: random.Random, width: int, depth: int) -> Any:
    if rng.random() < 0.25:
        return rng.choice("RET" if width % 96 == 0 else "RE")
    return {key: sequence(rng, width, depth) for key in ("subblock1", "subblock2")}


def sequence(rng: random.Random, channels: int, depth: int, *, on_map: bool = False) -> dict[str, Any]:
    """Nodes one after the other, on a tensor of so many channels: a feature map or an attention map."""
    return node("SequentialModule", modules=[_any(rng, channels, depth, on_map) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))])


def _any(rng: random.Random, channels: int, depth: int, on_map: bool) -> dict[str, Any]:
    if depth == 0 or rng.random() < 0.5:
        return node(rng.choice(_ON_MAPS if on_map else _LEAVES))
    kind = rng.choice(_COMPOUNDS)
    made = _compound(rng, kind, channels, depth - 1, on_map)
    return sequence(rng, channels, depth - 1, on_map=on_map) if made is None else made


def _compound(rng: random.Random, kind: str, channels: int, depth: int, on_map: bool) -> dict[str, Any] | None:
    """A node of that kind, where it fits so many channels."""

    def inside(of: int) -> dict[str, Any]:
        return sequence(rng, of, depth, on_map=on_map)

    if kind in ("add", "multiply"):
        return _fork(["copy", kind], [inside(channels) for _ in range(2 if kind == "multiply" else rng.randrange(1, 4))])
    if kind == "ExpandAndReduce" and channels <= 192:
        factor = rng.choice([1, 2, 3, 4])
        return node(kind, sequential=inside(channels * factor), factor=factor, scheme="kaiming_normal")
    if kind == "ReduceAndExpand":
        factor = rng.choice([f for f in (1, 2, 3, 4) if channels % f == 0])
        return node(kind, sequential=inside(channels // factor), factor=factor, scheme="kaiming_normal")
    if kind == "AvgAndUpsample":
        return node(kind, sequential=inside(channels))
    if kind == "chunk":
        count = rng.choice([n for n in (1, 2, 3) if channels % n == 0])
        return _fork(["chunk", "concat"], [inside(channels // count) for _ in range(count)])
    if kind == "ForkMergeAttention" and channels // 32 in HEADS and channels % 32 == 0 and not on_map:
        heads, left = channels // 32, max(depth - 1, 0)
        equal = rng.random() < 0.3  # else they differ
        each = [
            [*(sequence(rng, 32, left) for _ in range(3)), sequence(rng, 1, left, on_map=True), sequence(rng, 32, left)]
            for _ in range(heads)
        ]
        if equal:
            each = each[:1] * heads
        return node(
            kind,
            branches=[piece for head in each for piece in head[:3]],
            connections=[head[3] for head in each],
            post_branches=[head[4] for head in each],
            matmullefts=[node("MatmulLeft")] * heads,
            matmulrights=[node("MatmulRight")] * heads,
        )
    return None


def _fork(how: list[str], branches: list[Any]) -> dict[str, Any]:
    return node("ForkMerge", branches_count=len(branches), fork_merge_tuple=how, branches=branches)


# --- biases of rows to columns ------------------------------------------------------------------------------------------------


def with_biases(rng: random.Random, document: dict[str, Any]) -> dict[str, Any]:
    """The file with a RelPosBias in some of the places, on feature maps too, where the reference takes one."""
    side = (document["img_size"] + 1) // 2
    rows = json.loads(document["model_str"])
    for row in rows:
        side //= 2
        for block in row:
            for sub in () if isinstance(block, str) else block.values():
                _insert(rng, sub, side)
    return {**document, "model_str": json.dumps(rows)}


def _insert(rng: random.Random, written: Any, side: int) -> None:
    """Insert into the series of a node, and of all in it, that reads a map of side x side (an attention map: of so many rows)."""
    params = written["params"]
    if written["class"] == "SequentialModule":
        for inner in params["modules"]:
            _insert(rng, inner, side)
        if math.isqrt(side) ** 2 == side and rng.random() < 0.5:
            params["modules"].insert(rng.randint(0, len(params["modules"])), node("RelPosBias"))
    elif written["class"] == "ForkMergeAttention":
        for inner in (*params["branches"], *params["post_branches"]):
            _insert(rng, inner, side)
        for inner in params["connections"]:
            _insert(rng, inner, side * side)
    elif written["class"] == "ForkMerge":
        for inner in params["branches"]:
            _insert(rng, inner, side)
    elif "sequential" in params:
        _insert(rng, params["sequential"], 1 if written["class"] == "AvgAndUpsample" else side)
