"""NAS-Bench-1Shot1 (Zela, Siems, Hutter, arXiv 2001.10422, section 3): three subspaces of NAS-Bench-101 for one-shot methods.

Each fixes how many earlier nodes each node reads, which gives every cell nine edges at most, and leaves open which ones, and the
operation of each node between input and output. A node that no other reads is a loose end, which drops out. It is written as the
operations and the parents of each node, `maxpool3x3,..|0;01;..`, node 0 is the input, the last group belongs to the output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.spaces.choices import Product, shown
from uninas.spaces.nasbench101 import OPERATIONS, network_of

PARENTS = {1: (1, 2, 2, 2, 2), 2: (1, 1, 2, 2, 3), 3: (1, 1, 1, 2, 2, 2)}
"""Subspace -> how many earlier nodes the nodes 1, 2, .. and at last the output read (the authors' core/search_spaces)."""


def _names(counts: Sequence[int]) -> tuple[list[str], list[str]]:
    """The positions of the operations and of the parents."""
    nodes = range(1, len(counts))
    return [f"op{node}" for node in nodes], [f"parents{node}" for node in nodes] + ["parents_out"]


def _network(counts: Sequence[int], genotype: Mapping[str, Any], classes: int, input_size: tuple[int, int]) -> Architecture:
    operations, parents = _names(counts)
    edges = [(source, node) for node, name in enumerate(parents, 1) for source in genotype[name]]
    return network_of([genotype[name] for name in operations], sorted(edges), classes, input_size)


def _write(counts: Sequence[int], genotype: Mapping[str, Any]) -> str:
    operations, parents = _names(counts)
    groups = ["".join(map(str, genotype[name])) for name in parents]
    return f"{','.join(genotype[name] for name in operations)}|{';'.join(groups)}"


def _read(name: str, counts: Sequence[int], text: str) -> dict[str, Any]:
    operations, parents = _names(counts)
    left, bar, right = text.partition("|")
    names, groups = left.split(","), right.split(";")
    digits = all(group.isascii() and group.isdigit() for group in groups)
    if not bar or len(names) != len(operations) or len(groups) != len(parents) or not digits:
        raise InputError(
            f"{name}: expected {len(operations)} operations, a bar and {len(parents)} groups of parents such as "
            f"{','.join([OPERATIONS[0]] * len(operations))}|0;01;.., got {shown(text)!r}"
        )
    read = [[int(digit) for digit in group] for group in groups]
    return dict(zip(operations, names, strict=True)) | dict(zip(parents, read, strict=True))


def _space(number: int) -> Product:
    counts, name = PARENTS[number], f"nasbench1shot1_{number}"
    operations, parents = _names(counts)
    choices: dict[str, Sequence[Any]] = dict.fromkeys(operations, OPERATIONS)
    for node, (position, count) in enumerate(zip(parents, counts, strict=True), 1):
        choices[position] = [list(group) for group in combinations(range(node), count)]
    return Product(
        name=name,
        positions=choices,
        network=partial(_network, counts),
        classes=10,
        input_size=(32, 32),
        first={position: choices[position][-1] for position in parents},  # no loose ends: each node reads the latest ones
        write=partial(_write, counts),
        read=partial(_read, name, counts),
    )


SPACES = {space.name: space for space in map(_space, PARENTS)}
"""The three, by name."""
