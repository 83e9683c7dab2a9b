"""Sample edits inside a graph: first a region, then an edge or node of it, then what happens there.

A region is a set of edges or nodes of one type, so that twelve heads do not get twelve times the edits of one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

from uninas.edits.channels import classes, divisors, snapped
from uninas.edits.fragments import Vocabulary, kind_of
from uninas.edits.graphs import MERGES
from uninas.graph import Graph
from uninas.ops import Op, Type, op

Arguments = Mapping[str, int | str] | None
"""An edit's arguments; None where there is no place for it."""

HEAD_DIMS = (8, 16, 24, 32, 40, 48, 64, 80, 96, 128)
_DENSE_KERNELS, _DEPTHWISE_KERNELS = (1, 3, 5, 7), (3, 5, 7, 9)
MOST_KERNEL = 31
_WINDOWS = (4, 7, 8, 14)
_GROUP_WIDTHS = (4, 8, 16, 32, 64)
_RATIOS = tuple(Fraction(ratio) for ratio in ("1/8", "1/4", "1/2", "1", "3/2", "2", "3", "4", "6", "8"))
_CHANNEL_STEP = 8
_SUM_OR_PRODUCT = (op("add"), op("multiply"))


class Where(NamedTuple):
    """A graph to sample an edit of, the types of its nodes, what may be inserted, and whether its end may change its width."""

    graph: Graph
    types: tuple[Type, ...]
    words: Vocabulary
    open_end: bool = False


def _regions(at: Where) -> list[list[tuple[int, int, int]]]:
    """The edges (consumer, slot, source) of each type, in order of first appearance."""
    graph, types = at.graph, at.types
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


def _sample_edge(at: Where, rng: random.Random) -> tuple[int, int, int]:
    regions = _regions(at)
    region = regions[rng.randrange(len(regions))]
    return region[rng.randrange(len(region))]


def _sample_node(nodes: Sequence[int], at: Where, rng: random.Random) -> int:
    """One of some nodes: first the type, then the node."""
    regions: dict[tuple[str, Type], list[int]] = {}
    for node in nodes:
        regions.setdefault((kind_of(at.types[node]), at.types[node]), []).append(node)
    drawn = list(regions.values())
    region = drawn[rng.randrange(len(drawn))]
    return region[rng.randrange(len(region))]


def _insert(at: Where, rng: random.Random) -> Arguments:
    consumer, slot, source = _sample_edge(at, rng)
    fitting = at.words.fitting[kind_of(at.types[source])]
    if not fitting:
        return None
    return {"consumer": consumer, "slot": slot, "fragment": fitting[rng.randrange(len(fitting))]}


def _fork(at: Where, rng: random.Random) -> Arguments:
    consumer, slot, source = _sample_edge(at, rng)
    kind = kind_of(at.types[source])
    fitting, merges = at.words.fitting[kind], MERGES if kind != "attention" else MERGES[:3]
    if not fitting:
        return None
    fragment, merge = fitting[rng.randrange(len(fitting))], merges[rng.randrange(len(merges))]
    return {"consumer": consumer, "slot": slot, "fragment": fragment, "merge": merge}


def _same(types: tuple[Type, ...], one: int, other: int) -> bool:
    return types[one] == types[other] and kind_of(types[one]) == kind_of(types[other])


def _connect(at: Where, rng: random.Random) -> Arguments:
    consumer, slot, source = _sample_edge(at, rng)
    end = consumer or len(at.graph.nodes)
    others = [i for i in range(end) if i != source and _same(at.types, i, source)]
    if not others:
        return None
    merge = MERGES[rng.randrange(3)]
    return {"consumer": consumer, "slot": slot, "other": others[rng.randrange(len(others))], "merge": merge}


def _remove(at: Where, rng: random.Random) -> Arguments:
    """A node and an ancestor of equal type: half of the time the nearest, so that small regions go more often than large."""
    nodes = at.graph.nodes
    if len(nodes) == 1:
        return None
    node = _sample_node(range(1, len(nodes)), at, rng)
    above: set[int] = set(nodes[node].inputs)
    ancestors = []
    for i in range(node - 1, -1, -1):
        if i in above:
            above.update(nodes[i].inputs)
            if _same(at.types, i, node):
                ancestors.append(i)
    if not ancestors:
        return None
    chosen = ancestors[0] if rng.random() < 0.5 else ancestors[rng.randrange(len(ancestors))]
    return {"node": node, "instead": chosen}


def _unfork(at: Where, rng: random.Random) -> Arguments:
    merges = [i for i, node in enumerate(at.graph.nodes) if node.op.spec.commutative and len(node.inputs) > 1]
    if not merges:
        return None
    node = _sample_node(merges, at, rng)
    return {"node": node, "slot": rng.randrange(len(at.graph.nodes[node].inputs))}


def _replace(at: Where, rng: random.Random) -> Arguments:
    """Another operation of the same type for a node of one input; a sum for a product and back."""
    sites = [(i, others) for i in range(1, len(at.graph.nodes)) if (others := _alternatives(at, i))]
    if not sites:
        return None
    node = _sample_node([i for i, _ in sites], at, rng)
    others = dict(sites)[node]
    return {"node": node, "op": others[rng.randrange(len(others))].text}


def _alternatives(at: Where, node: int) -> list[Op]:
    operation, inputs = at.graph.nodes[node]
    others: tuple[Op, ...] = ()
    if operation.spec.commutative:
        others = _SUM_OR_PRODUCT
    elif len(inputs) == 1 and _same(at.types, inputs[0], node):
        others = at.words.same_type[kind_of(at.types[node])]
    return [other for other in others if other is not operation]


# --- sizes ----------------------------------------------------------------------------------------------------------------


def _convolutions(at: Where) -> list[int]:
    return [i for i, node in enumerate(at.graph.nodes) if node.op.name == "conv"]


def _changed(at: Where, node: int, **values: int | str) -> Arguments:
    """The edit that gives a node's operation other attributes."""
    operation = at.graph.nodes[node].op
    return {"node": node, "op": op(operation.name, **{**operation.values, **values}).text}


def _kernel(at: Where, rng: random.Random) -> Arguments:
    """Another kernel; where the convolution strides, at least as large as its step, or the step itself: patches."""
    sites = [i for i in _convolutions(at) if not at.types[i].pooled and not at.graph.nodes[i].op.values["columns"]]
    if not sites:
        return None
    node = _sample_node(sites, at, rng)
    values = at.graph.nodes[node].op.values
    kernels = _DENSE_KERNELS if values["groups"] == 1 else _DEPTHWISE_KERNELS
    stride = values["stride"]
    choices = sorted({k for k in kernels if k >= stride} | ({stride} if stride > 1 else set()))
    choices = [k for k in choices if k != values["kernel"]]
    if not choices and stride > max(kernels):  # patches that no usual kernel covers: windows that overlap a little, or by half
        choices = [k for k in (stride // 2 * 2 + 1, 2 * stride - 1) if stride < k <= MOST_KERNEL]
    if not choices:
        return None
    kernel = choices[rng.randrange(len(choices))]
    return _changed(at, node, kernel=kernel, dilation=values["dilation"] if kernel > 1 and kernel % 2 else 1)


def _dilation(at: Where, rng: random.Random) -> Arguments:
    """Dilation 2 for 1, and back."""
    sites = [i for i in _convolutions(at) if at.graph.nodes[i].op.values["kernel"] in (3, 5, 7, 9) and not at.types[i].pooled]
    if not sites:
        return None
    node = _sample_node(sites, at, rng)
    return _changed(at, node, dilation=1 if at.graph.nodes[node].op.values["dilation"] > 1 else 2)


def _groups(at: Where, rng: random.Random) -> Arguments:
    """Dense, groups of some usual width or number, or depthwise."""
    sites = _convolutions(at)
    if not sites:
        return None
    node = _sample_node(sites, at, rng)
    operation, inputs = at.graph.nodes[node]
    given, made = at.types[inputs[0]][0], at.types[node][0]
    common = set(divisors(gcd(given, made)))
    usual = {1, 2, 4, *(given // width for width in _GROUP_WIDTHS)}
    choices: list[int | str] = [g for g in sorted(usual & common) if g != given]
    if given in common and given > 1:
        choices.append("depthwise")
    choices = [g for g in choices if g != operation.values["groups"]]
    return _changed(at, node, groups=choices[rng.randrange(len(choices))]) if choices else None


def _head_dim(at: Where, rng: random.Random) -> Arguments:
    sites = [i for i, node in enumerate(at.graph.nodes) if node.op.name == "matmul_qk"]
    if not sites:
        return None
    node = _sample_node(sites, at, rng)
    operation, inputs = at.graph.nodes[node]
    channels = at.types[inputs[0]][0]
    choices = [d for d in HEAD_DIMS if d != operation.values["head_dim"] and channels % d == 0]
    return _changed(at, node, head_dim=choices[rng.randrange(len(choices))]) if choices else None


def _window(at: Where, rng: random.Random) -> Arguments:
    """Attention in windows of another size, shifted or not, or over the whole map; where windows may be inserted at all."""
    if "window_attention" not in at.words.fitting["full"]:
        return None
    sites = []
    for i, (operation, inputs) in enumerate(at.graph.nodes):
        if operation.name == "matmul_qk" and operation.values["over"] == "pixels":
            query, key = (at.types[j] for j in inputs)
            if query[1:] == key[1:] and kind_of(query) == "full":
                sites.append(i)
    if not sites:
        return None
    node = _sample_node(sites, at, rng)
    values = at.graph.nodes[node].op.values
    forms = [(0, 0), *[(window, shift) for window in _WINDOWS for shift in (0, window // 2)]]
    forms = [form for form in forms if form != (values["window"], values["shift"])]
    window, shift = forms[rng.randrange(len(forms))]
    return _changed(at, node, window=window, shift=shift)


def _expansion(at: Where, rng: random.Random) -> Arguments:
    """Another inner width: half of the time a usual ratio to the graph's input, else anything from half to twice the present."""
    found = classes(at.graph, at.types)
    closed = {-1, 0, *found.fixed, *(() if at.open_end else (found.of[at.graph.output],))}
    sites = [i for i in _convolutions(at) if found.of[i] not in closed and at.graph.nodes[i].op.values["groups"] != "depthwise"]
    if not sites:
        return None
    node = _sample_node(sites, at, rng)
    now = at.types[node][0]
    wanted = float(at.types[0][0] * rng.choice(_RATIOS)) if rng.random() < 0.5 else now * 2 ** rng.uniform(-1, 1)
    unit = found.unit(found.of[node]) * found.factor[node]
    step = Fraction(lcm(int(unit), _CHANNEL_STEP)) if unit.denominator == 1 else unit
    channels = int(snapped(wanted, step if wanted >= step else unit))
    return None if channels == now else {"node": node, "channels": channels}


GRAPH_SAMPLERS: dict[str, Callable[[Where, random.Random], Arguments]] = {
    "insert": _insert,
    "fork": _fork,
    "connect": _connect,
    "remove": _remove,
    "unfork": _unfork,
    "replace": _replace,
    "kernel": _kernel,
    "dilation": _dilation,
    "groups": _groups,
    "head_dim": _head_dim,
    "window": _window,
    "expansion": _expansion,
}
"""Kind of edit -> what samples its arguments."""
