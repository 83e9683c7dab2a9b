"""NAS-Bench-101 (Ying et al., arXiv 1902.09635): 423,624 cells that differ, in the one network they were trained in.

A cell is a directed acyclic graph of at most 7 vertices, input and output among them, and at most 9 edges; each vertex between
carries one of three operations. It is written as the operations and the edges, `conv1x1-bn-relu,maxpool3x3|0-1,0-2,1-3,2-3`; 0 is
the input. Vertices that are not on a way from input to output do not count, and neither do their edges.

A vertex adds up what flows into it; what comes from the input passes a 1x1 convolution with BatchNorm and ReLU first. The output
concatenates the vertices that lead to it, which share its channels, the first ones one more where that is uneven; the input, if
it leads there, is projected and added. Any other vertex has the most channels of those that it leads to, and a sum drops what a
wider term has more. So an uneven cell and the same cell with its vertices in another order, which the benchmark counts once, are
two networks here, as they are in its code.

The network: a 3x3 convolution to 128 channels with BatchNorm and ReLU; three stacks of three equal cells; before the second and
the third 2x2 max pooling, and their first cell doubles the channels; global average pooling, a linear layer.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, product
from typing import Any, final

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Graph, GraphBuilder
from uninas.networks.pieces import chain, network, normed, stage
from uninas.ops import op
from uninas.spaces.choices import Genotype, check_legal, shown

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""What a vertex between input and output may be, in the benchmark's own order."""

MOST_VERTICES, MOST_EDGES = 7, 9

Edge = tuple[int, int]
Cell = tuple[tuple[str, ...], tuple[Edge, ...]]
"""Operations of the vertices 1, 2, ..., and edges (source, target), sorted."""


def pruned(operations: Sequence[str], edges: Sequence[Edge]) -> Cell | None:
    """Return the cell without what is not on a way from input to output, vertices numbered anew; None where there is no way."""
    last = len(operations) + 1
    forward, backward = {0}, {last}
    for source, target in sorted(edges, key=lambda edge: edge[1]):
        if source in forward:
            forward.add(target)
    for source, target in sorted(edges, reverse=True):
        if target in backward:
            backward.add(source)
    kept = sorted(forward & backward)
    if 0 not in kept or last not in kept:
        return None
    number = {vertex: place for place, vertex in enumerate(kept)}
    inner = [operations[vertex - 1] for vertex in kept[1:-1]]
    ways = sorted((number[source], number[target]) for source, target in edges if source in number and target in number)
    return tuple(inner), tuple(ways)


def channels_of(edges: Sequence[Edge], vertices: int, before: int, out: int) -> list[int]:
    """Return each vertex's channels in a pruned cell that makes `out` channels of `before` (the authors' model_builder.py)."""
    channels = [0] * vertices
    channels[0], channels[-1] = before, out
    last = vertices - 1
    shares = sorted(source for source, target in edges if target == last and source != 0)
    for place, vertex in enumerate(shares):
        channels[vertex] = out // len(shares) + (place < out % len(shares))
    for vertex in range(last - 1, 0, -1):
        if vertex not in shares:
            channels[vertex] = max(channels[target] for source, target in edges if source == vertex)
    return channels


@lru_cache(maxsize=4096)
def _module(cell: Cell, before: int, out: int, pooled: bool) -> Graph:
    """Build a cell's graph from `before` to `out` channels, after 2x2 max pooling if `pooled`."""
    operations, edges = cell
    last = len(operations) + 1
    channels = channels_of(edges, last + 1, before, out)
    builder = GraphBuilder()
    start = builder.add(op("max_pool", kernel=2, stride=2), 0) if pooled else 0
    nodes = [start]
    for vertex, name in enumerate(operations, 1):
        width = channels[vertex]
        terms = [_first_channels(builder, nodes[s], channels[s], width) for s, t in edges if t == vertex and s != 0]
        if (0, vertex) in edges:
            terms.append(builder.chain(start, *normed(before, width)))
        total = terms[0] if len(terms) == 1 else builder.add(op("add"), *terms)
        if name == "maxpool3x3":
            nodes.append(builder.add(op("max_pool"), total))
        else:
            nodes.append(builder.chain(total, *normed(width, width, 3 if name == "conv3x3-bn-relu" else 1)))
    parts = [nodes[source] for source, target in edges if target == last and source != 0]
    projected = builder.chain(start, *normed(before, out)) if (0, last) in edges else None
    if not parts:
        assert projected is not None, "a pruned cell has a way to its output"
        return builder.build(projected)
    made = parts[0] if len(parts) == 1 else builder.add(op("concat"), *parts)
    return builder.build(made if projected is None else builder.add(op("add"), made, projected))


def _first_channels(builder: GraphBuilder, x: int, channels: int, wanted: int) -> int:
    """The first channels of a map, all or all but one: equal slices as large as divisors allow, concatenated."""
    if channels == wanted:
        return x
    assert channels == wanted + 1, "channels of a cell differ by at most one"
    pieces: list[int] = []
    while channels > 1:
        count = next(divisor for divisor in range(2, channels + 1) if channels % divisor == 0)
        pieces += [builder.add(op("slice", index=index, count=count), x) for index in range(count - 1)]
        x, channels = builder.add(op("slice", index=count - 1, count=count), x), channels // count
    return pieces[0] if len(pieces) == 1 else builder.add(op("concat"), *pieces)


def network_of(
    operations: Sequence[str], edges: Sequence[Edge], classes: int, input_size: tuple[int, int], *, stem: int = 128
) -> Architecture:
    """Return the network of a legal cell, pruned; `stem` channels of the first stack."""
    cell = pruned(operations, edges)
    assert cell is not None, "a legal cell has a way from input to output"
    stages = [stage(stem, IDENTITY, [_module(cell, stem, stem, False)] * 3)]
    for width in (2 * stem, 4 * stem):
        stages.append(stage(width, _module(cell, width // 2, width, True), [_module(cell, width, width, False)] * 2))
    return network(chain(*normed(3, stem, 3)), stages, IDENTITY, classes, input_size)


@final
@dataclass(frozen=True)
class NasBench101:
    """A genotype is {"ops": [...], "edges": [[source, target], ...]}, edges sorted; neighbours differ in an edge or operation,
    or have a vertex more where there is room."""

    name: str = "nasbench101"
    size: int | None = 423_624
    classes: int = 10
    input_size: tuple[int, int] = (32, 32)

    def start(self) -> dict[str, Any]:
        """Return the Inception-like cell of the benchmark's README."""
        c3, c1, pool = OPERATIONS
        edges = [(0, 1), (0, 2), (0, 3), (0, 5), (1, 6), (2, 6), (3, 4), (4, 6), (5, 6)]
        return _genotype([c1, c3, c3, c3, pool], edges)

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Draw seven vertices, each edge with chance 1/2, each operation alike, until they are legal: as the authors sample."""
        while True:
            operations = [rng.choice(OPERATIONS) for _ in range(MOST_VERTICES - 2)]
            edges = [edge for edge in combinations(range(MOST_VERTICES), 2) if rng.random() < 0.5]
            genotype = _genotype(operations, edges)
            if self.fault(genotype) is None:
                return genotype

    def mutate(self, genotype: Genotype, rng: random.Random) -> dict[str, Any]:
        """Return a legal neighbour, each with the same chance."""
        return rng.choice(list(self.neighbours(genotype)))

    def neighbours(self, genotype: Genotype) -> Iterator[dict[str, Any]]:
        """Return every legal genotype with one edge more or less, one other operation, or below seven vertices one more.

        A vertex more reads one and is read by one, so that small cells grow into the space; samples and the start have seven.
        """
        operations, edges = genotype["ops"], {(source, target) for source, target in genotype["edges"]}
        if len(operations) < MOST_VERTICES - 2:
            yield from self._grown(operations, edges)
        for edge in combinations(range(len(operations) + 2), 2):
            neighbour = _genotype(operations, sorted(edges ^ {edge}))
            if self.fault(neighbour) is None:
                yield neighbour
        for place, present in enumerate(operations):
            for other in OPERATIONS:
                if other != present:
                    yield _genotype([*operations[:place], other, *operations[place + 1 :]], sorted(edges))

    def _grown(self, operations: Sequence[str], edges: Iterable[Edge]) -> Iterator[dict[str, Any]]:
        for place in range(1, len(operations) + 2):
            kept = [(source + (source >= place), target + (target >= place)) for source, target in edges]
            for source, target in product(range(place), range(place + 1, len(operations) + 3)):
                for name in OPERATIONS:
                    grown = [*operations[: place - 1], name, *operations[place - 1 :]]
                    neighbour = _genotype(grown, sorted([*kept, (source, place), (place, target)]))
                    if self.fault(neighbour) is None:
                        yield neighbour

    def fault(self, genotype: Genotype) -> str | None:
        """Report too many vertices or edges, unknown operations, no way from input to output."""
        if not isinstance(genotype, Mapping) or set(genotype) != {"ops", "edges"}:
            return "expected a mapping of ops and edges"
        operations, edges = genotype["ops"], genotype["edges"]
        if not isinstance(operations, list) or len(operations) > MOST_VERTICES - 2:
            return f"expected a list of at most {MOST_VERTICES - 2} operations"
        unknown = [name for name in operations if name not in OPERATIONS]
        if unknown:
            return f"expected operations among {', '.join(OPERATIONS)}; got {shown(unknown[0])}"
        if not isinstance(edges, list) or not all(_is_edge(edge, len(operations) + 1) for edge in edges):
            return f"expected a list of edges from a vertex to a later one, 0 to {len(operations) + 1}"
        if edges != sorted(edges) or len({tuple(edge) for edge in edges}) != len(edges):
            return "expected edges in order, each once"
        cell = pruned(operations, [(source, target) for source, target in edges])
        if cell is None:
            return "expected a way from input to output; there is none"
        if len(cell[1]) > MOST_EDGES:
            return f"expected at most {MOST_EDGES} edges on ways from input to output; got {len(cell[1])}"
        return None

    def build(self, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
        """Return the network of the cell."""
        return network_of(genotype["ops"], [(source, target) for source, target in genotype["edges"]], classes, input_size)

    def text(self, genotype: Genotype) -> str:
        """Write operations, a bar, edges."""
        return f"{','.join(genotype['ops'])}|{','.join(f'{source}-{target}' for source, target in genotype['edges'])}"

    def parse(self, text: str) -> dict[str, Any]:
        """Read what `text` wrote. Raises InputError."""
        operations, bar, written = text.partition("|")
        edges = [re.fullmatch(r"([0-9])-([0-9])", edge) for edge in written.split(",")]
        if not bar or not all(edges):
            raise InputError(f"{self.name}: expected operations|edges such as maxpool3x3|0-1,1-2, got {shown(text)!r}")
        pairs = [(int(match[1]), int(match[2])) for match in edges if match]
        genotype = _genotype(operations.split(",") if operations else [], sorted(pairs))
        check_legal(self, genotype)
        return genotype


def _genotype(operations: Sequence[str], edges: Sequence[Edge]) -> dict[str, Any]:
    return {"ops": list(operations), "edges": [list(edge) for edge in edges]}


def _is_edge(edge: object, last: int) -> bool:
    whole = isinstance(edge, list) and len(edge) == 2 and all(type(end) is int for end in edge)
    return whole and 0 <= edge[0] < edge[1] <= last  # type: ignore[index]


SPACE = NasBench101()
