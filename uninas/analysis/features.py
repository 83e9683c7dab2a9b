"""Numbers that describe an architecture's graphs, for models that predict accuracy. No torch, no weights.

The idea is GRAF's (arXiv 2404.16551): counts of operations, lengths of paths and degrees, for sets of kinds of operations. Here
they are read off the canonical graph of each sub-block, so two ways to write one computation have equal features, and they
exist for every network of the one graph space: a cell of NAS-Bench-201, a transformer block and all between.

Kinds: spatial (convolution, kernel > 1), pointwise (kernel 1), depthwise, pooling (a window), attention, and skip, which is no
node but a wire: what reaches a sum or product without an operation of its own. Normalisations, activations, slices and the like
lie on paths without lengthening them: a chain of ReLU, convolution and BatchNorm is one convolution.
"""

from __future__ import annotations

import math
from functools import cache
from itertools import combinations

from uninas.canonical import canonical_graph
from uninas.graph import Architecture, Graph, Stage
from uninas.ops import Op
from uninas.rules.inference import kernel_sides

PATH_KINDS = ("spatial", "pointwise", "depthwise", "pooling", "attention", "skip")
"""What a path is measured in."""

KINDS = (*PATH_KINDS, "global_pool", "gate", "normalisation", "activation", "sum")
"""What is counted."""

SETS: tuple[tuple[str, ...], ...] = tuple(
    chosen for size in (1, 2, 3, len(PATH_KINDS)) for chosen in combinations(PATH_KINDS, size)
)
"""Sets of kinds that paths are measured for: up to three kinds, and all."""

_BIT = {kind: 1 << place for place, kind in enumerate(PATH_KINDS)}
_MASKS = tuple(sum(_BIT[kind] for kind in chosen) for chosen in SETS)
_NAMES = tuple("+".join(chosen) if len(chosen) < len(PATH_KINDS) else "any" for chosen in SETS)


def kind_of(op: Op) -> str | None:
    """Return the kind of an operation, one of `KINDS` (never skip); None where it is not counted and lengthens no path."""
    if op.name == "conv":
        if op.values["groups"] == "depthwise":
            return "depthwise"
        return "pointwise" if kernel_sides(op) == (1, 1) else "spatial"
    if op.name == "matmul_av":  # the one operation of attention that every path through it passes
        return "attention"
    if op.name == "global_average_pool":
        return "global_pool"
    if op.spec.family == "pooling" and "kernel" in op.values:
        return "pooling"
    if op.spec.family in ("normalisation", "activation"):
        return op.spec.family if op.name not in ("dropout", "drop_path", "negate") else None
    return {"add": "sum", "multiply": "gate", "token_linear": "spatial"}.get(op.name)


def graph_features(architecture: Architecture) -> dict[str, float]:
    """Describe a network.

    Returns:
        For the whole network, the sum over its sub-blocks' graphs of `block_features`; for each stage (`stage0.` ...) its width
        in channels, its depth in blocks, and how often each kind occurs. Architectures with equally many stages have equal keys,
        in equal order.
    """
    total = dict.fromkeys(block_keys(), 0.0)
    stages: dict[str, float] = {}
    depth = 0
    for number, stage in enumerate(architecture.stages):
        counts = dict.fromkeys(KINDS, 0.0)
        for block in stage.blocks:
            for graph in block.subblocks:
                features = _absent() if graph is None else block_features(graph, stage.width)
                for name, value in features.items():
                    total[name] += value
                for kind in KINDS:
                    counts[kind] += features[f"count.{kind}"]
        depth += len(stage.blocks)
        stages |= {f"stage{number}.width": float(stage.width), f"stage{number}.depth": float(len(stage.blocks))}
        stages |= {f"stage{number}.count.{kind}": value for kind, value in counts.items()}
    return {"depth": float(depth), **total, **stages}


def block_features(graph: Graph, width: int) -> dict[str, float]:
    """Describe one graph in a block of `width` channels; kept with the graph.

    Returns:
        count.KIND          how many there are
        shortest.SET        fewest operations of the set on a path from the input to the output; 0: a path avoids them
        longest.SET         most of them on a path
        mean.SET            their mean number over all paths
        only.SET            1 where a path has no other operation than those, else 0
        through.SET         the length of the shortest such path, 0 without one
        paths.SET           log2(1 + number of such paths)
        leaving.KIND        how many first operations of that kind read the input
        reaching.KIND       how many last operations of that kind feed the output's sum
        A graph that is zero has no path: all are 0.
    """
    canonical = canonical_graph(graph, Stage(width, ()))
    if canonical is None:
        return _absent()
    found: dict[str, float] | None = canonical.memo.get("features")
    if found is None:
        found = canonical.memo["features"] = _describe(canonical)
    return found


@cache
def block_keys() -> tuple[str, ...]:
    """Name what `block_features` gives, in its order; counts of `KINDS` first."""
    keys = [f"count.{kind}" for kind in KINDS]
    for name in _NAMES:
        keys += [f"{what}.{name}" for what in ("shortest", "longest", "mean", "only", "through", "paths")]
    return (*keys, *(f"{what}.{kind}" for what in ("leaving", "reaching") for kind in PATH_KINDS))


def _absent() -> dict[str, float]:
    return dict.fromkeys(block_keys(), 0.0)


def _describe(graph: Graph) -> dict[str, float]:
    kinds = [kind_of(node.op) for node in graph.nodes]
    bits = [_BIT.get(kind or "", 0) for kind in kinds]
    skips = _skips(graph)
    found = dict.fromkeys(block_keys(), 0.0)
    for kind in kinds:
        if kind is not None:
            found[f"count.{kind}"] += 1
    found["count.skip"] = float(sum(map(sum, skips)))
    for name, mask in zip(_NAMES, _MASKS, strict=True):
        measured = _paths(graph, bits, skips, mask)
        for what, value in zip(("shortest", "longest", "mean", "only", "through", "paths"), measured, strict=True):
            found[f"{what}.{name}"] = value
    for kind, count in _leaving(graph, bits, skips).items():
        found[f"leaving.{kind}"] = count
    for kind, count in _reaching(graph, bits, skips).items():
        found[f"reaching.{kind}"] = count
    return found


def _skips(graph: Graph) -> list[tuple[bool, ...]]:
    """For each input of each node, whether that wire is a skip.

    A wire into a sum or product is one where what it brings is the graph's input, a sum, or has other readers too: then it
    passes by the operations that those readers apply.
    """
    readers = [0] * len(graph.nodes)
    for node in graph.nodes:
        for source in node.inputs:
            readers[source] += 1
    readers[graph.output] += 1
    result = []
    for node in graph.nodes:
        joins = node.op.name in ("add", "multiply")
        result.append(tuple([joins and (i == 0 or graph.nodes[i].op.name == "add" or readers[i] > 1) for i in node.inputs]))
    return result


def _paths(graph: Graph, bits: list[int], skips: list[tuple[bool, ...]], mask: int) -> tuple[float, ...]:
    """shortest, longest, mean, only, through, paths of one set (see `block_features`), in one pass over the nodes."""
    wire = 1 if mask & _BIT["skip"] else 0
    infinity = math.inf
    count = len(graph.nodes)
    shortest, longest, number, total = [infinity] * count, [-infinity] * count, [0.0] * count, [0.0] * count
    within, allowed = [infinity] * count, [0.0] * count
    shortest[0] = longest[0] = total[0] = within[0] = 0.0
    number[0] = allowed[0] = 1.0
    for index in range(1, count):
        node = graph.nodes[index]
        if node.op.name == "zero":  # nothing passes
            continue
        bit = bits[index]
        step = 1 if bit & mask else 0
        closed = bit and not step
        for source, skip in zip(node.inputs, skips[index], strict=True):
            if not number[source]:
                continue
            length = step + (wire if skip else 0)
            shortest[index] = min(shortest[index], shortest[source] + length)
            longest[index] = max(longest[index], longest[source] + length)
            number[index] += number[source]
            total[index] += total[source] + length * number[source]
            if not closed and (wire or not skip):
                within[index] = min(within[index], within[source] + length)
                allowed[index] += allowed[source]
    end = graph.output
    if not number[end]:
        return (0.0,) * 6
    inside = within[end] < infinity
    return (
        shortest[end],
        longest[end],
        total[end] / number[end],
        float(inside),
        within[end] if inside else 0.0,
        math.log2(1 + allowed[end]),
    )


def _leaving(graph: Graph, bits: list[int], skips: list[tuple[bool, ...]]) -> dict[str, float]:
    """Kinds of the first operations after the input, and skips from it."""
    found = dict.fromkeys(PATH_KINDS, 0.0)
    near = {0}  # nodes that are the input, but for what does not lengthen a path
    for index in range(1, len(graph.nodes)):
        for source, skip in zip(graph.nodes[index].inputs, skips[index], strict=True):
            if source not in near:
                continue
            if skip:
                found["skip"] += 1
            elif bits[index]:
                found[_kind(bits[index])] += 1
            elif graph.nodes[index].op.name != "add":
                near.add(index)
    return found


def _reaching(graph: Graph, bits: list[int], skips: list[tuple[bool, ...]]) -> dict[str, float]:
    """Kinds of the last operations before the output, and skips to it."""
    found = dict.fromkeys(PATH_KINDS, 0.0)
    waiting = [graph.output]
    while waiting:
        index = waiting.pop()
        if bits[index]:
            found[_kind(bits[index])] += 1
            continue
        for source, skip in zip(graph.nodes[index].inputs, skips[index], strict=True):
            if skip:
                found["skip"] += 1
            else:
                waiting.append(source)
    return found


def _kind(bit: int) -> str:
    return PATH_KINDS[bit.bit_length() - 1]
