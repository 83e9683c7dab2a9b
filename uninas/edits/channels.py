r"""Which values of a graph have equally many channels, and how a graph is fitted to other numbers of them.

A class is a set of nodes whose channels stand in fixed proportions: what an elementwise operation reads and makes, a map and its
slices, all that a sum adds up. A convolution that is not depthwise begins a class of its own, so its width is free: the inner
width of a bottleneck or an MLP, the reduced one of a gate, queries, keys and values together.

A bottleneck beside a skip connection has two classes. Its second convolution would begin a third, but the sum unites that with
the input's:

    >>> from uninas.text import parse_graph
    >>> bottleneck = parse_graph(
    ...     "%1 = conv(kernel=1, ratio=1/4) %0\n%2 = gelu %1\n%3 = conv(kernel=1, ratio=4) %2\n%4 = add %3 %0\nreturn %4"
    ... )
    >>> classes(bottleneck, bottleneck.types(64)).of
    [0, 1, 1, 0, 0]

At 96 channels its ratios still give whole numbers. A quarter of 66 is none, so the inner class becomes the nearest width that
is one, 16 for 66:

    >>> at_width(bottleneck, 64, 96) is bottleneck
    True
    >>> print(at_width(bottleneck, 64, 66).text)
    %1 = conv(kernel=1, ratio=8/33) %0
    %2 = gelu %1
    %3 = conv(kernel=1, ratio=33/8) %2
    %4 = add %3 %0
    return %4
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import gcd, lcm, log
from typing import NamedTuple

from uninas.graph import Graph, GraphError, Node
from uninas.ops import FeatureMap, IllTyped, Op, Type, op

_HEAD_STEP = 8  # heads are fitted to multiples of this, which run well


class Classes(NamedTuple):
    """The classes of one graph: `of` a node its class (-1: no feature map), `factor` its channels over those of the class.

    Class 0 is the input's, and its channels are the input's. `fixed` ones follow from others (concatenations of several).
    """

    of: list[int]
    factor: list[Fraction]
    fixed: set[int]

    def size(self, number: int, types: tuple[Type, ...]) -> Fraction:
        """Return the channels of a class, given the types of the nodes."""
        node = self.of.index(number)
        return types[node][0] / self.factor[node]

    def unit(self, number: int) -> Fraction:
        """Return the least size of a class in which every member has a whole number of channels; all others are multiples."""
        members = [self.factor[node] for node, of in enumerate(self.of) if of == number]
        return Fraction(lcm(*(f.denominator for f in members)), gcd(*(f.numerator for f in members)))


def classes(graph: Graph, types: tuple[Type, ...]) -> Classes:
    """Return the classes of a graph, which do not depend on its width; kept with it."""
    found: Classes | None = graph.memo.get("channel classes")
    if found is None:
        found = graph.memo["channel classes"] = _classes(graph, types)
    return found


def _classes(graph: Graph, types: tuple[Type, ...]) -> Classes:
    of, factor, fixed = [0], [Fraction(1)], set[int]()
    latest = 0

    def unite(one: int, other: int) -> None:
        """Make one class of those of two nodes whose channels stand in the proportion that they have now."""
        if of[one] > of[other]:
            one, other = other, one
        kept, gone = of[one], of[other]
        times = factor[one] / factor[other] * Fraction(types[other][0], types[one][0])
        if kept == gone:
            return
        for node, number in enumerate(of):
            if number == gone:
                of[node], factor[node] = kept, factor[node] * times
        if gone in fixed:
            fixed.add(kept)

    for index in range(1, len(graph.nodes)):
        operation, inputs = graph.nodes[index]
        if type(types[index]) is not FeatureMap:
            of.append(-1)
            factor.append(Fraction(1))
            if operation.name == "matmul_qk":
                unite(*inputs)
            continue
        sources = [i for i in inputs if of[i] >= 0]
        several = operation.name == "concat" and len({of[i] for i in sources}) > 1
        if several or _begins(operation):
            latest += 1
            of.append(latest)
            factor.append(Fraction(1))
            if several:
                fixed.update(of[i] for i in (index, *sources))
            continue
        first = sources[0]
        of.append(of[first])
        factor.append(factor[first] * Fraction(types[index][0], types[first][0]))
        if operation.spec.commutative:
            for other in sources[1:]:
                unite(first, other)
    return Classes(of, factor, fixed)


def _begins(operation: Op) -> bool:
    """Whether an operation makes as many channels as its ratio says, whatever it reads."""
    return operation.name == "zero" or (operation.name == "conv" and operation.values["groups"] != "depthwise")


def fit(graph: Graph, types: tuple[Type, ...], channels: int, sizes: Mapping[int, Fraction]) -> Graph:
    """Fit a graph to another number of input channels, and classes to other sizes; all others keep their channels.

    Groups that no longer divide their channels stay as wide, or nearly; heads become what is nearest. Raises IllTyped.
    """
    found = classes(graph, types)
    nodes, made = [graph.nodes[0]], [FeatureMap(channels, False, 1, types[0][3])]
    for index in range(1, len(graph.nodes)):
        operation, inputs = graph.nodes[index]
        given = tuple([made[i] for i in inputs])
        wanted = Fraction(types[index][0])
        if found.of[index] in sizes:
            wanted = sizes[found.of[index]] * found.factor[index]
        shared = gcd(*[type_[0] for type_ in given]) if operation.name == "matmul_qk" else given[0][0]
        if found.of[index] >= 0 or operation.name == "matmul_qk":  # else a map: its heads are as many as there are
            operation = _fitted(operation, types[inputs[0]][0], shared, wanted)
        nodes.append(Node(operation, inputs))
        try:
            made.append(operation.spec.infer(operation, given))  # type: ignore[arg-type]
        except IllTyped as error:
            raise GraphError(str(error), index) from None
    return Graph(tuple(nodes), graph.output)


def _fitted(operation: Op, before: int, given: int, wanted: Fraction) -> Op:
    """Fit an operation's attributes to `given` channels in (before: `before`) and `wanted` out."""
    if _begins(operation):
        ratio = wanted / given
        if operation.name == "zero":
            return operation if ratio == operation.values["ratio"] else op("zero", **{**operation.values, "ratio": ratio})
        groups, common = operation.values["groups"], gcd(given, int(wanted))
        if common % groups:
            groups = nearest_divisor(common, groups * given / before)
        if ratio == operation.values["ratio"] and groups == operation.values["groups"]:
            return operation
        return op("conv", **{**operation.values, "ratio": ratio, "groups": groups})
    if operation.name == "matmul_qk" and given % operation.values["head_dim"]:
        step = _HEAD_STEP if given % _HEAD_STEP == 0 else 1
        head_dim = step * nearest_divisor(given // step, operation.values["head_dim"] / step)
        return op("matmul_qk", **{**operation.values, "head_dim": head_dim})
    if operation.name == "group_norm" and given % operation.values["groups"]:
        return op("group_norm", groups=nearest_divisor(given, operation.values["groups"]))
    return operation


def divisors(number: int) -> list[int]:
    """Return all divisors, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return sorted({*small, *(number // d for d in small)})


def nearest_divisor(number: int, wanted: float) -> int:
    """Return the divisor of a number that is nearest to `wanted` in proportion; the lesser of two."""
    return min(divisors(number), key=lambda d: (abs(log(d / wanted)), d)) if wanted > 1 else 1


def snapped(value: Fraction | float, unit: Fraction) -> Fraction:
    """Return the multiple of a unit that is nearest to a value; at least one unit."""
    return max(round(value / unit), 1) * unit


def at_width(graph: Graph, before: int, after: int) -> Graph:
    """Fit the graph of a sub-block of one width to another width: the same graph where its ratios fit.

    Else inner widths are rounded. Raises IllTyped where no rounding helps.
    """
    if before == after:
        return graph
    try:
        graph.types(after)
    except IllTyped:
        types = graph.types(before)
        found = classes(graph, types)
        sizes = {
            number: snapped(found.size(number, types) * after / before, found.unit(number))
            for number in set(found.of) - {0, -1} - found.fixed
        }
        sizes[found.of[graph.output]] = after / found.factor[graph.output]
        sizes[0] = Fraction(after)
        graph = fit(graph, types, after, sizes)
        graph.types(after)
    return graph


def reading(graph: Graph, before: int, after: int, tokens: int = 0) -> Graph:
    """Fit a graph of the frame to other input channels; it makes what it made, by one more convolution if need be."""
    if before == after:
        return graph
    types = graph.frame_types(before, tokens)
    return leading(fit(graph, types, after, {0: Fraction(after)}), after, types[graph.output][0], tokens)


def leading(graph: Graph, channels: int, wanted: int, tokens: int = 0) -> Graph:
    """Fit a graph of the frame to other output channels; by a pointwise convolution at its end where nothing else can."""
    types = graph.frame_types(channels, tokens)
    out = graph.output
    if types[out][0] == wanted:
        return graph
    found = classes(graph, types)
    size = wanted / found.factor[out]
    if found.of[out] in {0, *found.fixed} or size % found.unit(found.of[out]):
        last = Node(op("conv", kernel=1, ratio=Fraction(wanted, types[out][0])), (out,))
        return Graph((*graph.nodes, last), len(graph.nodes))
    return fit(graph, types, channels, {found.of[out]: size})
