"""Hostile files (benchmarks/hostile/files.py) through the readers: a network or a refusal in one line, and an end to each.

The bounds of time are held by `python -m benchmarks.hostile.fuzz`; here the work is counted where it was once without bound.
"""

from __future__ import annotations

import hashlib
import json
import random
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hostile.files import KINDS, file_of
from benchmarks.hostile.fuzz import FINE, LATER, NETWORK, REJECTED, outcome
from benchmarks.hostile.graphs import random_graph
from tests.amounts import amount
from uninas import Graph, Node, canonical_text, canonicalise, cost, op, parse
from uninas.analysis import trainable
from uninas.canonical import TooSymmetric
from uninas.ops import INPUT, TABLE


def test_hostile_files_are_networks_or_are_refused(tmp_path: Path) -> None:
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for number in range(amount(2000)):
        kind, content = file_of(1, number)
        found = outcome(content, tmp_path)
        assert found in FINE, f"python -m benchmarks.hostile.fuzz --seed 1 --one {number}"
        outcomes[kind][found] += 1
    assert all(outcomes.values())
    assert outcomes["values changed"][REJECTED]
    assert outcomes["values changed"][NETWORK]
    assert outcomes["garbage"][NETWORK] == 0
    assert outcomes["random valid graphs"][NETWORK] > 0.9 * outcomes["random valid graphs"].total()
    assert sum(found[LATER] for found in outcomes.values()) == 0, "what is read is well typed"


def test_a_file_follows_from_its_number_alone() -> None:
    files = [file_of(0, number) for number in range(300)]
    assert [file_of(0, number) for number in reversed(range(300))] == files[::-1]
    assert {kind for kind, _ in files} == set(KINDS)


def test_random_graphs_have_every_operation() -> None:
    """Whatever the table of operations holds, is drawn, with attributes off their defaults."""
    met: set[str] = set()
    for seed in range(200):
        met |= {node.op.name for node in random_graph(random.Random(seed), 96, 60).nodes}
    assert met == set(TABLE)


# --- what was found -------------------------------------------------------------------------------------------------------------


def document(graphs: dict[str, Graph], blocks: list[Any]) -> str:
    return json.dumps(
        {
            "format": "uninas-architecture",
            "version": 3,
            "classes": 2,
            "input_size": [32, 32],
            "in_channels": 3,
            "stem": [4, 8],
            "graphs": {name: graph.text.split("\n") for name, graph in graphs.items()},
            "stages": [{"width": 8, "blocks": blocks}],
        }
    )


def test_a_graph_behind_a_zero_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It took as long as it has nodes for each of its thousands of blocks: minutes for a file of 100 kB."""
    zero = Graph((Node(INPUT, ()), Node(op("zero"), (0,))), 1)
    chain = Graph((Node(INPUT, ()), *(Node(op("gelu"), (i,)) for i in range(50))), 50)
    network = parse(document({"g0": zero, "g1": chain}, [{"plain": ["g0", *["g1"] * 15]}] * 100))
    asked: list[Graph] = []
    real = trainable.canonical_plain
    monkeypatch.setattr(trainable, "canonical_plain", lambda graph, width: asked.append(graph) or real(graph, width))
    assert cost(network).trainable_params < cost(network).params
    assert len(asked) <= 2, "once as it reads a zero, for each graph that does"


def tied(count: int, seed: int) -> Graph:
    """A random cubic bipartite graph of equal normalisations and sums, whose symmetry takes work to rule out."""
    rng = random.Random(seed)
    nodes = [Node(INPUT, ()), *(Node(op("batch_norm"), (0,)) for _ in range(count))]
    orders = [rng.sample(range(1, count + 1), count) for _ in range(3)]
    nodes += [Node(op("multiply"), tuple(order[i] for order in orders)) for i in range(count)]
    return Graph((*nodes, Node(op("add"), tuple(range(count + 1, 2 * count + 1)))), 2 * count + 1)


def test_the_symmetries_of_all_graphs_together_are_bounded() -> None:
    graphs = {f"g{seed}": tied(30, seed) for seed in range(400)}
    one = parse(document({"g0": graphs["g0"]}, [["g0", "g0"]] * 400))
    assert canonicalise(one).digest == one.digest, "one graph in many blocks is no more work than once"
    many = parse(document(graphs, [[name, "absent"] for name in graphs]))
    with pytest.raises(TooSymmetric, match="together"):
        canonicalise(many)


def test_a_digest_takes_no_more_memory_than_a_stage() -> None:
    """The text of a file of 100 kB may have gigabytes."""
    chain = Graph((Node(INPUT, ()), *(Node(op("gelu"), (i,)) for i in range(300))), 300)
    network = parse(document({"g1": chain}, [{"plain": ["g1"] * 16}] * 500))
    tracemalloc.start()
    try:
        found = network.digest
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 << 20
    text = canonical_text(network)
    assert len(text) > 30 << 20
    assert found == hashlib.sha256(text.encode()).hexdigest()
