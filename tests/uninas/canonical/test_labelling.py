"""Canonical labelling against graphs whose symmetries mislead colour refinement, and its bound on work."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.examples import around, graph_of
from uninas import Architecture, Graph, GraphBuilder, Node, canonicalise, op
from uninas.labelling import TooSymmetric

Edges = Iterable[tuple[int, int]]


def drawing(vertices: int, edges: Edges) -> Graph:
    """A plain graph as a computation: a convolution for each vertex, gelu(a + b) for each edge, all summed."""
    builder = GraphBuilder()
    points = [builder.add(op("conv", kernel=1), 0) for _ in range(vertices)]
    ends = [builder.add(op("gelu"), builder.add(op("add"), points[a], points[b])) for a, b in edges]
    return builder.build(builder.add(op("add"), *ends))


def drawing_from_its_points(vertices: int, edges: Edges) -> Graph:
    """The same drawing, in which the sum of the vertices comes first, so that ties are met among them and not among the edges.

    All vertices have one operation and one input; only what reads them tells them apart.
    """
    builder = GraphBuilder()
    points = [builder.add(op("conv", kernel=1), 0) for _ in range(vertices)]
    ends = [builder.add(op("gelu"), builder.add(op("add"), points[a], points[b])) for a, b in edges]
    sums = [builder.add(op("add"), *some) for some in (points, ends)]
    return builder.build(builder.add(op("conv", kernel=1, ratio=Fraction(1, 2)), builder.add(op("concat"), *sums)))


def relabelled(graph: Graph, rng: random.Random) -> Graph:
    """The same graph with its nodes in another order and commutative inputs shuffled."""
    number, nodes = {0: 0}, [graph.nodes[0]]
    waiting = list(range(1, len(graph.nodes)))
    while waiting:
        ready = [i for i in waiting if all(j in number for j in graph.nodes[i].inputs)]
        chosen = rng.choice(ready)
        waiting.remove(chosen)
        inputs = [number[j] for j in graph.nodes[chosen].inputs]
        if graph.nodes[chosen].op.spec.commutative:
            rng.shuffle(inputs)
        number[chosen] = len(nodes)
        nodes.append(Node(graph.nodes[chosen].op, tuple(inputs)))
    return Graph(tuple(nodes), number[graph.output])


def digests(graph: Graph, seed: int = 0, count: int = 8) -> set[str]:
    rng = random.Random(seed)
    return {around(relabelled(graph, rng)).digest for _ in range(count)}


def cycle(*vertices: int) -> list[tuple[int, int]]:
    return list(zip(vertices, (*vertices[1:], vertices[0]), strict=True))


def circulant(n: int, *steps: int) -> list[tuple[int, int]]:
    return sorted({(min(a, (a + s) % n), max(a, (a + s) % n)) for a in range(n) for s in steps})


def product_edges(n: int, adjacent: Callable[[tuple[int, int], tuple[int, int]], bool]) -> list[tuple[int, int]]:
    cells = list(itertools.product(range(n), repeat=2))
    return [(i, j) for i, a in enumerate(cells) for j, b in enumerate(cells) if i < j and adjacent(a, b)]


def rook(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] == b[0] or a[1] == b[1]


def shrikhande(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return ((a[0] - b[0]) % 4, (a[1] - b[1]) % 4) in {(0, 1), (0, 3), (1, 0), (3, 0), (1, 1), (3, 3)}


ALIKE = {
    "a hexagon and two triangles": (6, cycle(0, 1, 2, 3, 4, 5), [*cycle(0, 1, 2), *cycle(3, 4, 5)]),
    "an octagon and two squares": (8, cycle(*range(8)), [*cycle(0, 1, 2, 3), *cycle(4, 5, 6, 7)]),
    "K33 and the prism": (
        6,
        [(a, b) for a in range(3) for b in range(3, 6)],
        [*cycle(0, 1, 2), *cycle(3, 4, 5), (0, 3), (1, 4), (2, 5)],
    ),
    "the cube and two tetrahedra": (
        8,
        [*cycle(0, 1, 2, 3), *cycle(4, 5, 6, 7), (0, 4), (1, 5), (2, 6), (3, 7)],
        [*itertools.combinations(range(4), 2), *itertools.combinations(range(4, 8), 2)],
    ),
    "Petersen and the pentagonal prism": (
        10,
        [*cycle(0, 1, 2, 3, 4), *cycle(5, 7, 9, 6, 8), *((i, i + 5) for i in range(5))],
        [*cycle(0, 1, 2, 3, 4), *cycle(5, 6, 7, 8, 9), *((i, i + 5) for i in range(5))],
    ),
    "the rook's graph and Shrikhande's": (16, product_edges(4, rook), product_edges(4, shrikhande)),
}
"""Pairs of regular graphs that colour refinement cannot tell apart; the last are even strongly regular."""


@pytest.mark.parametrize("drawn", [drawing, drawing_from_its_points])
@pytest.mark.parametrize("pair", ALIKE)
def test_graphs_that_refinement_cannot_tell_apart(pair: str, drawn: Callable[[int, Edges], Graph]) -> None:
    vertices, one, other = ALIKE[pair]
    assert len(one) == len(other)
    count = 8 if vertices < 16 else 3
    first, second = digests(drawn(vertices, one), 1, count), digests(drawn(vertices, other), 2, count)
    assert len(first) == len(second) == 1, "every relabelling agrees"
    assert first != second


@given(seed=st.integers(0, 2**32 - 1))
@examples(100)
def test_random_relabellings_of_random_symmetric_graphs(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randrange(3, 11)
    edges = rng.choice(
        [
            circulant(n, *rng.sample(range(1, n), min(n - 1, rng.randrange(1, 3)))),
            [(a, b) for a in range(n) for b in range(n) if a != b and rng.random() < 0.4] or [(0, 1)],
            [*cycle(*range(n)), *cycle(*range(n, 2 * n))],
        ]
    )
    for drawn in (drawing, drawing_from_its_points):
        assert len(digests(drawn(2 * n, edges), seed, 4)) == 1


@given(seed=st.integers(0, 2**32 - 1))
@examples(60)
def test_random_regular_graphs_differ_exactly_when_they_are_not_isomorphic(seed: int) -> None:
    """Small enough for every permutation to be tried: the oracle is the definition of isomorphism."""
    rng = random.Random(seed)
    n = 6
    pairs = [
        [*itertools.combinations(range(n), 2)],
        circulant(n, 1, 2),
        circulant(n, 1, 3),
        circulant(n, 2, 3),
        cycle(*range(n)),
        [*cycle(0, 1, 2), *cycle(3, 4, 5)],
    ]
    one, other = rng.choice(pairs), list(rng.choice(pairs))
    order = rng.sample(range(n), n)
    other = [(order[a], order[b]) for a, b in other]
    edges = {frozenset(e) for e in one}
    isomorphic = len(one) == len(other) and any(
        all(frozenset((p[a], p[b])) in edges for a, b in other) for p in itertools.permutations(range(n))
    )
    assert (around(drawing(n, one)).digest == around(drawing(n, other)).digest) == isomorphic


def branches(count: int, length: int = 3, merge: str = "add") -> Graph:
    """`count` equal chains of convolution, norm and activation, merged."""
    builder = GraphBuilder()
    ops = [op("conv", kernel=3), op("batch_norm"), op("gelu")] * (length // 3)
    return builder.build(builder.add(op(merge), *(builder.chain(0, *ops) for _ in range(count))))


@pytest.mark.parametrize("count", [2, 3, 8, 24])
def test_symmetric_branches(count: int) -> None:
    assert len(digests(branches(count), count, 2)) == 1
    assert around(branches(count)).digest != around(branches(count + 1)).digest


def test_symmetric_pairs_of_symmetric_branches() -> None:
    """Symmetries within symmetries: a sum of products of two equal branches each."""
    builder = GraphBuilder()
    conv, act = op("conv", kernel=3), op("gelu")
    pairs = [builder.add(op("multiply"), builder.chain(0, conv, act), builder.chain(0, conv, act)) for _ in range(6)]
    graph = builder.build(builder.add(op("add"), *pairs))
    assert len(digests(graph, 3)) == 1


def test_twin_convolutions_with_readers_that_differ() -> None:
    """%1 and %2 are equal but for who reads them: through the sigmoid or not."""
    one = graph_of("%1 = conv(kernel=3) %0", "%2 = conv(kernel=3) %0", "%3 = sigmoid %2", "%4 = multiply %1 %3", "return %4")
    other = graph_of("%1 = conv(kernel=3) %0", "%2 = conv(kernel=3) %0", "%3 = sigmoid %1", "%4 = multiply %2 %3", "return %4")
    shared = graph_of(
        "%1 = conv(kernel=3) %0",
        "%2 = conv(kernel=3) %0",
        "%3 = sigmoid %1",
        "%4 = multiply %1 %3",
        "%5 = add %4 %2",
        "return %5",
    )
    assert around(one).digest == around(other).digest != around(shared).digest
    assert len(digests(shared, 5)) == 1


def test_a_tie_that_only_slots_decide() -> None:
    """Twins that feed an ordered operation are not twins: swapping q and k of one pair changes the network."""
    lines = ["%1 = conv(kernel=1) %0", "%2 = conv(kernel=1) %0", "%3 = conv(kernel=1) %0", "%4 = conv(kernel=1) %0"]
    both = ["%5 = matmul_qk(head_dim=8) %1 %2", "%6 = matmul_qk(head_dim=8) %3 %4", "%7 = add %5 %6", "%8 = softmax %7"]
    straight = graph_of(*lines, *both, "%9 = matmul_av %8 %0", "return %9")
    crossed = graph_of(*lines, both[0], "%6 = matmul_qk(head_dim=8) %2 %3", *both[2:], "%9 = matmul_av %8 %0", "return %9")
    assert len(digests(straight, 6)) == len(digests(crossed, 7)) == 1
    assert around(straight).digest != around(crossed).digest


HUGE: dict[str, Callable[[], Graph]] = {
    "4,000 twin convolutions": lambda: drawing_of_twins(4000),
    "300 long symmetric branches": lambda: branches(300, 12),
    "2,000 branches": lambda: branches(2000),
    "a torus": lambda: drawing(
        144,
        [
            edge
            for r in range(12)
            for c in range(12)
            for edge in ((12 * r + c, 12 * r + (c + 1) % 12), (12 * r + c, 12 * ((r + 1) % 12) + c))
        ],
    ),
    "many hexagons": lambda: drawing(240, [e for h in range(40) for e in cycle(*range(6 * h, 6 * h + 6))]),
    "the complete graph of 40": lambda: drawing(40, itertools.combinations(range(40), 2)),
}


def drawing_of_twins(count: int) -> Graph:
    builder = GraphBuilder()
    return builder.build(builder.add(op("add"), *(builder.add(op("conv", kernel=1), 0) for _ in range(count))))


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.timeout(120)
def test_highly_symmetric_graphs_end_in_a_form_or_a_refusal(name: str) -> None:
    """Either every relabelling has one digest, or all are refused: never an arbitrary numbering."""
    graph = HUGE[name]()
    rng = random.Random(0)
    results = {_digest_or_refusal(around(g)) for g in (graph, relabelled_quickly(graph, rng))}
    assert len(results) == 1


def relabelled_quickly(graph: Graph, rng: random.Random) -> Graph:
    """As `relabelled`, but only commutative inputs change their order (a large graph has thousands of nodes)."""
    nodes = [
        Node(node.op, tuple(rng.sample(node.inputs, len(node.inputs))) if node.op.spec.commutative else node.inputs)
        for node in graph.nodes
    ]
    return Graph(tuple(nodes), graph.output)


def _digest_or_refusal(network: Architecture) -> str:
    try:
        return canonicalise(network).digest
    except TooSymmetric as error:
        return str(error)


def test_many_twins_are_no_trouble() -> None:
    assert len(_digest_or_refusal(around(drawing_of_twins(4000)))) == 64
