"""Random valid files of the reference toolkit: every class of node, nested, at other widths, depths, stages and sizes."""

from __future__ import annotations

import json
import random
from typing import Any

from uninas.reference.classes import HEADS

_ON_MAPS = ("RelPosBias", "Softmax", "Softmax", "Mask", "GELU", "Sigmoid", "Dropout", "Identity")
_ON_FEATURES = (
    "Conv1", "Conv3", "ConvDepth3", "ConvDepth5", "BatchNorm", "LayerNorm", "GELU", "Sigmoid", "MaxPool", "Dropout", "Identity",
    "Zero", "Softmax", "Mask",
)  # fmt: skip
_COMPOUNDS = (
    "SequentialModule", "ExpandAndReduce", "ReduceAndExpand", "AvgAndUpsample", "chunk", "add", "multiply", "ForkMergeAttention",
)  # fmt: skip


def node(kind: str, **params: Any) -> dict[str, Any]:
    """A node whose stored shape is wrong, as after a round trip of the reference itself."""
    return {"class": kind, "shape": [7, 7, 7], "params": params}


def random_file(rng: random.Random, *, depth: int = 3) -> dict[str, Any]:
    """A file of 1 to 6 stages."""
    stages = rng.choice([1, 1, 2, 2, 3, 4, 6])
    widths = [rng.choice([8, 32, 48, 64, 96, 96, 192]) for _ in range(stages)]
    depths = [rng.choice([1, 1, 2, 3]) for _ in range(stages)]
    return {
        "img_size": 2 ** (stages + 1) * rng.choice([1, 2, 3] if stages < 5 else [1]),
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


def sequence(rng: random.Random, channels: int | None, depth: int) -> dict[str, Any]:
    """Nodes one after the other, on a feature map of so many channels or (None) on an attention map."""
    return node("SequentialModule", modules=[_any(rng, channels, depth) for _ in range(rng.choice([0, 1, 1, 2, 2, 3]))])


def _any(rng: random.Random, channels: int | None, depth: int) -> dict[str, Any]:
    if depth == 0 or rng.random() < 0.5:
        return node(rng.choice(_ON_MAPS if channels is None else _ON_FEATURES))
    kind = rng.choice(("SequentialModule", "add", "multiply") if channels is None else _COMPOUNDS)
    made = None if channels is None else _of_features(rng, kind, channels, depth - 1)
    if made is not None:
        return made
    if kind in ("add", "multiply"):
        count = 2 if kind == "multiply" else rng.randrange(1, 4)
        return _fork(["copy", kind], [sequence(rng, channels, depth - 1) for _ in range(count)])
    return sequence(rng, channels, depth - 1)


def _of_features(rng: random.Random, kind: str, channels: int, depth: int) -> dict[str, Any] | None:
    """A node of that kind, where it fits so many channels."""
    if kind == "ExpandAndReduce" and channels <= 192:
        factor = rng.choice([1, 2, 3, 4])
        return node(kind, sequential=sequence(rng, channels * factor, depth), factor=factor, scheme="kaiming_normal")
    if kind == "ReduceAndExpand":
        factor = rng.choice([f for f in (1, 2, 3, 4) if channels % f == 0])
        return node(kind, sequential=sequence(rng, channels // factor, depth), factor=factor, scheme="kaiming_normal")
    if kind == "AvgAndUpsample":
        return node(kind, sequential=sequence(rng, channels, depth))
    if kind == "chunk":
        count = rng.choice([n for n in (1, 2, 3) if channels % n == 0])
        return _fork(["chunk", "concat"], [sequence(rng, channels // count, depth) for _ in range(count)])
    if kind == "ForkMergeAttention" and channels // 32 in HEADS and channels % 32 == 0:
        heads = channels // 32
        equal = rng.random() < 0.3  # else they differ
        each = [[sequence(rng, c, depth - 1 if depth else 0) for c in (32, 32, 32, None, 32)] for _ in range(heads)]
        if equal:
            each = each[:1] * heads
        return node(
            kind, branches=[piece for head in each for piece in head[:3]], connections=[head[3] for head in each],
            post_branches=[head[4] for head in each], matmullefts=[node("MatmulLeft")] * heads,
            matmulrights=[node("MatmulRight")] * heads,
        )  # fmt: skip
    return None


def _fork(how: list[str], branches: list[Any]) -> dict[str, Any]:
    return node("ForkMerge", branches_count=len(branches), fork_merge_tuple=how, branches=branches)
