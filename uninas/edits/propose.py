"""Drawing edits: the kind by a prior, then the block, then the region, then the edge or node.

A region is a set of edges or nodes of one type, so that twelve heads do not draw twelve times the edits of one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

from uninas.canonical import canonicalise
from uninas.edits.apply import apply
from uninas.edits.edit import Edit, Limits, Rejection
from uninas.edits.fragments import FITTING, SAME_TYPE, kind_of
from uninas.edits.graphs import MERGES
from uninas.graph import IDENTITY, Architecture, Graph
from uninas.ops import Op, Type, op

PRIOR: dict[str, float] = {
    "insert": 4.0,
    "remove": 4.0,
    "replace": 3.0,
    "fork": 2.0,
    "unfork": 1.0,
    "connect": 1.0,
    "kernel": 1.0,
    "expansion": 1.0,
    "head_dim": 0.5,
    "deepen": 0.5,
    "shorten": 0.5,
    "copy_block": 0.5,
    "move_block": 0.25,
    "drop_subblock": 0.25,
    "width": 0.5,
}
"""Kind of edit -> how often it is drawn, relative to the others."""

_HEAD_DIMS = (8, 16, 32, 64, 128)
_DENSE_KERNELS, _DEPTHWISE_KERNELS = (1, 3, 5), (3, 5, 7)
_RATIOS = ("1/8", "1/4", "1/2", "2", "3", "4", "6")
_WIDTH_STEP = 16
_Site = Mapping[str, int | str] | None


def mutate(
    architecture: Architecture,
    rng: random.Random,
    limits: Limits | None = None,
    prior: Mapping[str, float] | None = None,
) -> tuple[Architecture, Edit] | Rejection:
    """Draw one edit and apply it: (canonical child, edit), or why there is no child."""
    edit = propose(architecture, rng, prior)
    if isinstance(edit, Rejection):
        return edit
    child = apply(architecture, edit, limits or Limits())
    return child if isinstance(child, Rejection) else (child, edit)


def propose(architecture: Architecture, rng: random.Random, prior: Mapping[str, float] | None = None) -> Edit | Rejection:
    """Draw an edit of the architecture's canonical form; Rejection("no_site") where the drawn kind has no place to act."""
    parent = canonicalise(architecture)
    prior = PRIOR if prior is None else prior
    kind = rng.choices(list(prior), weights=list(prior.values()))[0]
    sites = [(s, b) for s, stage in enumerate(parent.stages) for b in range(len(stage.blocks))]
    if not sites:
        return Rejection("no_site", "the network has no block: all its operations are in its stem, entries and head")
    stage, block = sites[rng.randrange(len(sites))]
    if kind in _BLOCK_SITES:
        arguments, sub = _BLOCK_SITES[kind](parent, stage, block, rng, sites), 0
    else:
        subblocks = parent.stages[stage].blocks[block].subblocks
        sub = rng.randrange(len(subblocks))
        graph = subblocks[sub]
        if kind == "drop_subblock":
            arguments = None if graph is None else {}
        elif graph is None and kind not in ("insert", "fork"):
            arguments = None
        else:
            graph = IDENTITY if graph is None else graph
            arguments = _GRAPH_SITES[kind](graph, parent.stages[stage].types(graph), rng)
    if arguments is None:
        return Rejection("no_site", f"no place for {kind} in stage {stage}, block {block}")
    return Edit(kind, stage, block, sub, arguments)


# --- inside a graph -----------------------------------------------------------------------------------------------------


def _regions(graph: Graph, types: tuple[Type, ...]) -> list[list[tuple[int, int, int]]]:
    """The edges (consumer, slot, source) of each type, in order of first appearance."""
    key = ("regions", types[0])
    found: list[list[tuple[int, int, int]]] | None = graph.memo.get(key)
    if found is None:
        regions: dict[tuple[str, Type], list[tuple[int, int, int]]] = {}
        for consumer in range(1, len(graph.nodes)):
            for slot, source in enumerate(graph.nodes[consumer].inputs):
                regions.setdefault((kind_of(types[source]), types[source]), []).append((consumer, slot, source))
        regions.setdefault((kind_of(types[graph.output]), types[graph.output]), []).append((0, 0, graph.output))
        found = graph.memo[key] = list(regions.values())
    return found


def _draw_edge(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> tuple[int, int, int]:
    regions = _regions(graph, types)
    region = regions[rng.randrange(len(regions))]
    return region[rng.randrange(len(region))]


def _draw_node(nodes: Sequence[int], types: tuple[Type, ...], rng: random.Random) -> int:
    """One of some nodes: first the type, then the node."""
    regions: dict[tuple[str, Type], list[int]] = {}
    for node in nodes:
        regions.setdefault((kind_of(types[node]), types[node]), []).append(node)
    drawn = list(regions.values())
    region = drawn[rng.randrange(len(drawn))]
    return region[rng.randrange(len(region))]


def _insert(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    consumer, slot, source = _draw_edge(graph, types, rng)
    fitting = FITTING[kind_of(types[source])]
    return {"consumer": consumer, "slot": slot, "fragment": fitting[rng.randrange(len(fitting))]}


def _fork(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    consumer, slot, source = _draw_edge(graph, types, rng)
    kind = kind_of(types[source])
    merges = MERGES if kind != "attention" else MERGES[:3]
    fragment, merge = FITTING[kind][rng.randrange(len(FITTING[kind]))], merges[rng.randrange(len(merges))]
    return {"consumer": consumer, "slot": slot, "fragment": fragment, "merge": merge}


def _connect(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    consumer, slot, source = _draw_edge(graph, types, rng)
    end = consumer or len(graph.nodes)
    others = [i for i in range(end) if i != source and types[i] == types[source] and kind_of(types[i]) == kind_of(types[source])]
    if not others:
        return None
    merge = MERGES[rng.randrange(3)]
    return {"consumer": consumer, "slot": slot, "other": others[rng.randrange(len(others))], "merge": merge}


def _remove(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    """A node and an ancestor of equal type: half of the time the nearest, so that small regions go more often than large."""
    if len(graph.nodes) == 1:
        return None
    node = _draw_node(range(1, len(graph.nodes)), types, rng)
    above: set[int] = set(graph.nodes[node].inputs)
    ancestors = []
    for i in range(node - 1, -1, -1):
        if i in above:
            above.update(graph.nodes[i].inputs)
            if types[i] == types[node] and kind_of(types[i]) == kind_of(types[node]):
                ancestors.append(i)
    if not ancestors:
        return None
    chosen = ancestors[0] if rng.random() < 0.5 else ancestors[rng.randrange(len(ancestors))]
    return {"node": node, "instead": chosen}


def _unfork(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    merges = [i for i, node in enumerate(graph.nodes) if node.op.spec.commutative and len(node.inputs) > 1]
    if not merges:
        return None
    node = _draw_node(merges, types, rng)
    return {"node": node, "slot": rng.randrange(len(graph.nodes[node].inputs))}


def _replace(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    """Another operation of the same type for a node of one input; a sum for a product and back."""
    sites = [i for i in range(1, len(graph.nodes)) if _alternatives(graph, types, i)]
    if not sites:
        return None
    node = _draw_node(sites, types, rng)
    others = [other for other in _alternatives(graph, types, node) if other is not graph.nodes[node].op]
    return {"node": node, "op": others[rng.randrange(len(others))].text}


_SUM_OR_PRODUCT = (op("add"), op("multiply"))


def _alternatives(graph: Graph, types: tuple[Type, ...], node: int) -> tuple[Op, ...]:
    operation, inputs = graph.nodes[node]
    if operation.spec.commutative:
        return _SUM_OR_PRODUCT
    if len(inputs) == 1 and types[inputs[0]] == types[node] and kind_of(types[inputs[0]]) == kind_of(types[node]):
        return SAME_TYPE[kind_of(types[node])]
    return ()


def _kernel(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    sites = [i for i, node in enumerate(graph.nodes) if node.op.name == "conv" and not types[i].pooled]
    if not sites:
        return None
    node = _draw_node(sites, types, rng)
    values = graph.nodes[node].op.values
    choices = [k for k in (_DENSE_KERNELS if values["groups"] == 1 else _DEPTHWISE_KERNELS) if k != values["kernel"]]
    return {"node": node, "op": op("conv", **{**values, "kernel": choices[rng.randrange(len(choices))]}).text}


def _head_dim(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    sites = [i for i, node in enumerate(graph.nodes) if node.op.name == "matmul_qk"]
    if not sites:
        return None
    node = _draw_node(sites, types, rng)
    now = graph.nodes[node].op.values["head_dim"]
    channels = types[graph.nodes[node].inputs[0]][0]
    choices = [d for d in _HEAD_DIMS if d != now and channels % d == 0]
    return {"node": node, "op": op("matmul_qk", head_dim=choices[rng.randrange(len(choices))]).text} if choices else None


def _expansion(graph: Graph, types: tuple[Type, ...], rng: random.Random) -> _Site:
    """A convolution that changes the number of channels, and the nearest one after it that undoes the change."""
    pairs = []
    for i, node in enumerate(graph.nodes):
        if node.op.name != "conv" or node.op.values["ratio"] == 1:
            continue
        below = {i}
        for j in range(i + 1, len(graph.nodes)):
            if below.intersection(graph.nodes[j].inputs):
                below.add(j)
                other = graph.nodes[j].op
                if other.name == "conv" and other.values["ratio"] * node.op.values["ratio"] == 1:
                    pairs.append((i, j))
                    break
    if not pairs:
        return None
    opens, closes = pairs[rng.randrange(len(pairs))]
    ratio = graph.nodes[opens].op.values["ratio"]
    choices = [r for r in _RATIOS if r != str(ratio) and ("/" in r) == (ratio < 1)]
    return {"node": opens, "closes": closes, "ratio": choices[rng.randrange(len(choices))]}


_GRAPH_SITES: dict[str, Callable[[Graph, tuple[Type, ...], random.Random], _Site]] = {
    "insert": _insert,
    "fork": _fork,
    "connect": _connect,
    "remove": _remove,
    "unfork": _unfork,
    "replace": _replace,
    "kernel": _kernel,
    "head_dim": _head_dim,
    "expansion": _expansion,
}


# --- blocks and stages ----------------------------------------------------------------------------------------------------

_Sites = list[tuple[int, int]]


def _anywhere(parent: Architecture, stage: int, block: int, rng: random.Random, sites: _Sites) -> _Site:
    return {}


def _copy(parent: Architecture, stage: int, block: int, rng: random.Random, sites: _Sites) -> _Site:
    from_stage, from_block = sites[rng.randrange(len(sites))]
    return {"from_stage": from_stage, "from_block": from_block}


def _move(parent: Architecture, stage: int, block: int, rng: random.Random, sites: _Sites) -> _Site:
    to_stage = rng.randrange(len(parent.stages))
    room = len(parent.stages[to_stage].blocks) - (to_stage == stage)
    return {"to_stage": to_stage, "to_block": rng.randrange(max(room, 1) + (room > 0))}


def _width(parent: Architecture, stage: int, block: int, rng: random.Random, sites: _Sites) -> _Site:
    """Up to a quarter more or less, in steps of 16 channels."""
    now = parent.stages[stage].width
    steps = max(1, now // (4 * _WIDTH_STEP))
    change = rng.choice([s for s in range(-steps, steps + 1) if s])
    wanted = (now // _WIDTH_STEP + change) * _WIDTH_STEP
    return {"width": wanted} if wanted > 0 else None


_BLOCK_SITES: dict[str, Callable[[Architecture, int, int, random.Random, _Sites], _Site]] = {
    "deepen": _anywhere,
    "shorten": _anywhere,
    "copy_block": _copy,
    "move_block": _move,
    "width": _width,
}
