"""A space of two cells: which operations, how many nodes, what a cell's output concatenates, and the sizes of the network.

A genotype is {"normal": [[operation, node, operation, node], ..], "reduce": [..], "width": C, "depth": cells, "stem": ..}: for
each of the nodes 2, 3, .. its two edges. It is written as the normal cell, the reduction cell and the network,

    sep_conv_3x3~0+sep_conv_3x3~1,..|max_pool_3x3~0+max_pool_3x3~1,..|36x20

where 36x20 is the width and the depth of the network for CIFAR-10, and 48x14-imagenet that of one with ImageNet's stem. Where
the space has it, the name of published cells stands for both, `darts_v2|36x20`, alone at the space's usual size.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import comb, prod
from typing import Any, final

from uninas.errors import InputError
from uninas.graph import Architecture
from uninas.spaces.cells.network import STEMS, Cell, cells_network
from uninas.spaces.choices import Genotype, as_json, check_legal, shown

WIDEST, DEEPEST = 512, 64
_CELLS = ("normal", "reduce")
_KEYS = (*_CELLS, "width", "depth", "stem")


@final
@dataclass(frozen=True, kw_only=True)
class CellSpace:
    """See `uninas.spaces.ChoiceSpace`.

    Attributes:
        name, classes, input_size: see there.
        operations: what an edge may carry.
        nodes: of a cell, its two inputs left out.
        loose: whether a cell's output concatenates only the nodes that no other reads.
        distinct: whether the two edges of a node read different nodes.
        widths, depths: what `sample` and `mutate` choose among, in this order; any other within bounds is legal too.
        stem: of what is sampled: cifar or imagenet; the other one is legal too.
        published: name -> the normal and the reduction cell, written. A search begins with the first one.
        usual: width and depth of the published cells, and of the network that a search begins with.
    """

    name: str
    operations: tuple[str, ...]
    nodes: int
    loose: bool
    distinct: bool = False
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    stem: str = "cifar"
    published: Mapping[str, str] = field(default_factory=dict)
    usual: tuple[int, int]
    classes: int = 10
    input_size: tuple[int, int] = (32, 32)

    @property
    def cells(self) -> int:
        """How many cells of one kind there are, as the sources count them: `distinct` edges in any order, others in theirs."""
        kinds = len(self.operations) ** 2
        return prod(kinds * (comb(node, 2) if self.distinct else node**2) for node in range(2, 2 + self.nodes))

    @property
    def size(self) -> int:
        """Pairs of cells at every width and depth that is sampled."""
        return self.cells**2 * len(self.widths) * len(self.depths)

    def start(self) -> dict[str, Any]:
        """Return the first published cell."""
        return self.parse(next(iter(self.published)))

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Draw every choice uniformly."""
        made: dict[str, Any] = {kind: [self._sample_node(node, rng) for node in range(2, 2 + self.nodes)] for kind in _CELLS}
        return {**made, "width": rng.choice(self.widths), "depth": rng.choice(self.depths), "stem": self.stem}

    def _sample_node(self, node: int, rng: random.Random) -> list[Any]:
        sources = sorted(rng.sample(range(node), 2)) if self.distinct else [rng.randrange(node) for _ in range(2)]
        return [part for source in sources for part in (rng.choice(self.operations), source)]

    def mutate(self, genotype: Genotype, rng: random.Random) -> dict[str, Any]:
        """Return a legal neighbour, each with the same chance."""
        return rng.choice(list(self.neighbours(genotype)))

    def neighbours(self, genotype: Genotype) -> Iterator[dict[str, Any]]:
        """Return every genotype with one other operation, source, width or depth; the stem stays."""
        for key, sizes in (("width", self.widths), ("depth", self.depths)):
            yield from ({**as_json(genotype), key: size} for size in sizes if size != genotype[key])
        for kind in _CELLS:
            for place, edges in enumerate(genotype[kind]):
                for part, value in enumerate(edges):
                    taken = edges[4 - part] if self.distinct and part % 2 else None
                    options: Sequence[Any] = range(2 + place) if part % 2 else self.operations
                    for option in options:
                        if option not in (value, taken):
                            changed = as_json(genotype)
                            changed[kind][place][part] = option
                            yield changed

    def fault(self, genotype: Genotype) -> str | None:
        """Report missing parts, unknown operations, edges from later nodes, sizes out of bounds."""
        if not isinstance(genotype, Mapping) or set(genotype) != set(_KEYS):
            return f"expected a mapping of {', '.join(_KEYS)}"
        for kind in _CELLS:
            fault = self._cell_fault(genotype[kind])
            if fault is not None:
                return f"{kind} cell: {fault}"
        width, depth, stem = (genotype[key] for key in ("width", "depth", "stem"))
        if type(width) is not int or not 2 <= width <= WIDEST or width % 2:
            return f"width: expected an even number from 2 to {WIDEST}; got {shown(width)}"
        if type(depth) is not int or not 1 <= depth <= DEEPEST:
            return f"depth: expected 1 to {DEEPEST} cells; got {shown(depth)}"
        return None if stem in STEMS else f"stem: expected {' or '.join(STEMS)}; got {shown(stem)}"

    def _cell_fault(self, cell: Any) -> str | None:
        if not isinstance(cell, list) or len(cell) != self.nodes:
            return f"expected a list of {self.nodes} nodes"
        for node, edges in enumerate(cell, 2):
            if not isinstance(edges, list) or len(edges) != 4:
                return f"node {node}: expected two operations, each with the node that it reads; got {shown(edges)}"
            for name, source in (edges[:2], edges[2:]):
                if name not in self.operations:
                    return f"node {node}: expected one of {', '.join(self.operations)}; got {shown(name)}"
                if type(source) is not int or not 0 <= source < node:
                    return f"node {node}: expected to read one of the nodes 0 to {node - 1}; got {shown(source)}"
            if self.distinct and edges[1] == edges[3]:
                return f"node {node}: expected to read two nodes; got {edges[1]} twice"
        return None

    def build(self, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
        """Return the network, dead ends included."""
        normal, reduce = (_cell(genotype[kind]) for kind in _CELLS)
        return cells_network(
            normal,
            reduce,
            loose=self.loose,
            width=genotype["width"],
            depth=genotype["depth"],
            stem=genotype["stem"],
            classes=classes,
            input_size=input_size,
        )

    def text(self, genotype: Genotype) -> str:
        """Write the normal cell, the reduction cell and the sizes."""
        return "|".join([*(_written(genotype[kind]) for kind in _CELLS), _sizes(*(genotype[key] for key in _KEYS[2:]))])

    def parse(self, text: str) -> dict[str, Any]:
        """Read what `text` wrote, or the name of published cells in the place of the two. Raises InputError."""
        name, _, sized = text.partition("|")
        if name in self.published:
            text = f"{self.published[name]}|{sized or _sizes(*self.usual, self.stem)}"
        parts = text.split("|")
        sizes = re.fullmatch(r"([0-9]{1,4})x([0-9]{1,4})(-[a-z]+)?", parts[-1])
        if len(parts) != 3 or sizes is None:
            named = "".join(f", or {name}" for name in self.published)
            raise InputError(f"{self.name}: expected NORMAL|REDUCE|WIDTHxDEPTH such as ..|..|36x20{named}, got {shown(text)!r}")
        genotype: dict[str, Any] = {kind: self._read_cell(kind, part) for kind, part in zip(_CELLS, parts[:2], strict=True)}
        genotype |= {"width": int(sizes[1]), "depth": int(sizes[2]), "stem": (sizes[3] or "-cifar")[1:]}
        check_legal(self, genotype)
        return genotype

    def _read_cell(self, kind: str, text: str) -> list[list[Any]]:
        cell = []
        for node, written in enumerate(text.split(","), 2):
            match = re.fullmatch(r"(\w{1,40})~([0-9]{1,2})\+(\w{1,40})~([0-9]{1,2})", written)
            if match is None:
                raise InputError(
                    f"{self.name}: {kind} cell, node {node}: expected two edges such as {self.operations[-1]}~0+"
                    f"{self.operations[-1]}~1, got {shown(written)!r}"
                )
            cell.append([match[1], int(match[2]), match[3], int(match[4])])
        return cell


def _cell(edges: Sequence[Sequence[Any]]) -> Cell:
    return tuple([((one, first), (other, second)) for one, first, other, second in edges])


def _written(cell: Sequence[Sequence[Any]]) -> str:
    return ",".join(f"{one}~{first}+{other}~{second}" for one, first, other, second in cell)


def _sizes(width: int, depth: int, stem: str) -> str:
    return f"{width}x{depth}" + ("" if stem == "cifar" else f"-{stem}")
