"""Two networks compared: settings, costs, stages and blocks aligned, and the edit of every graph that differs.

Both are brought into canonical form first, so how a network was written makes no difference, and two are equal exactly where
their digests are. Stages are aligned as sequences, then the blocks of two stages (`uninas.diff.sequences`), then the nodes of two
graphs (`uninas.diff.matching`). A block that is gone in one place and new in another has moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

from uninas.analysis.cost import Cost, cost
from uninas.canonical import canonicalise
from uninas.diff.edits import GraphDiff, NodeEdit, diff_graphs
from uninas.diff.sequences import align_sequences, bag_distance, bag_of
from uninas.graph import Architecture, Block, Flow, Graph, Stage


@dataclass(frozen=True)
class BlockDiff:
    """A block of A beside one of B. Places are (stage, block), from 1; None: it is not there.

    `kind`: equal, changed, added, removed or moved. `block`: of B, or of A where it is gone; `reads`: the channels and class
    tokens of its stage. `graphs`: of a changed block, its sub-blocks one by one.
    """

    kind: str
    before: tuple[int, int] | None
    after: tuple[int, int] | None
    block: Block
    reads: tuple[int, int]
    graphs: tuple[GraphDiff, ...] = ()


@dataclass(frozen=True)
class StageDiff:
    """A stage of A beside one of B: numbers from 1, or None; widths; (height, width) in pixels; its blocks in order.

    `transition`: where it differs. Sizes may differ because an earlier stage does: they alone make no stage unequal.
    """

    before: int | None
    after: int | None
    widths: tuple[int | None, int | None]
    sizes: tuple[tuple[int, int] | None, tuple[int, int] | None]
    transition: GraphDiff | None
    blocks: tuple[BlockDiff, ...]

    @property
    def equal(self) -> bool:
        """Whether nothing in it differs."""
        same_width = self.widths[0] == self.widths[1]
        return same_width and self.transition is None and all(block.kind == "equal" for block in self.blocks)


@dataclass(frozen=True)
class Difference:
    """What leads from network A to network B; both in canonical form. `costs` count the forms that were given.

    `settings`: (name, in A, in B) of what differs outside of the graphs: input size, classes, the template's stem.
    """

    a: Architecture
    b: Architecture
    costs: tuple[Cost, Cost]
    settings: tuple[tuple[str, str, str], ...]
    stem: GraphDiff | None
    stages: tuple[StageDiff, ...]
    head: GraphDiff | None

    @property
    def equal(self) -> bool:
        """Whether the networks are the same function."""
        return self.a.digest == self.b.digest

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON data; node numbers are those of the canonical forms."""
        sides: list[dict[str, Any]] = []
        for arch, figures in zip((self.a, self.b), self.costs, strict=True):
            sides.append({"digest": arch.digest, "input_size": list(arch.input_size), "cost": figures.as_dict()})
        return {
            "equal": self.equal,
            "a": sides[0],
            "b": sides[1],
            "difference": {name: value - sides[0]["cost"][name] for name, value in sides[1]["cost"].items()},
            "settings": [{"name": name, "a": before, "b": after} for name, before, after in self.settings],
            "stem": _graph_dict(self.stem),
            "stages": [_stage_dict(stage) for stage in self.stages if not stage.equal],
            "head": _graph_dict(self.head),
        }


def diff(a: Architecture, b: Architecture) -> Difference:
    """Compare two architectures. Raises GraphError, TooSymmetric."""
    costs = cost(a), cost(b)
    a, b = canonicalise(a), canonicalise(b)
    stages: list[StageDiff] = []
    flows_a, flows_b = a.flows(), b.flows()
    for i, j in align_sequences(a.stages, b.stages, _stage_distance):
        before = None if i is None else a.stages[i]
        after = None if j is None else b.stages[j]
        given = None if i is None else flows_a[i], None if j is None else flows_b[j]
        transition = _frame(before.transition if before else None, after.transition if after else None, *given)
        sizes = _size(a, i), _size(b, j)
        stages.append(_stage(before, after, i, j, sizes, transition))
    stem = _frame(_graph(a.stem), _graph(b.stem), Flow(a.in_channels, a.image()), Flow(b.in_channels, b.image()))
    head = _frame(a.head, b.head, flows_a[-1], flows_b[-1])
    return Difference(a, b, costs, tuple(_settings(a, b)), stem, tuple(_with_moves(stages)), head)


def _size(arch: Architecture, stage: int | None) -> tuple[int, int] | None:
    return None if stage is None else arch.places()[stage][:2]


def _graph(stem: Graph | tuple[int, int]) -> Graph | None:
    return stem if isinstance(stem, Graph) else None


def _frame(a: Graph | None, b: Graph | None, given_a: Flow | None, given_b: Flow | None) -> GraphDiff | None:
    reads_a, reads_b = [(flow.channels, flow.tokens) if flow else (0, 0) for flow in (given_a, given_b)]
    return None if a == b else diff_graphs(a, b, reads_a, reads_b)


def _settings(a: Architecture, b: Architecture) -> list[tuple[str, str, str]]:
    def stem(arch: Architecture) -> str:
        return "graph" if isinstance(arch.stem, Graph) else f"template, {arch.stem[0]} and {arch.stem[1]} channels"

    both = [
        (f"{arch.input_size[0]}x{arch.input_size[1]}", str(arch.classes), str(arch.in_channels), stem(arch)) for arch in (a, b)
    ]
    names = ("input size", "classes", "input channels", "stem")
    return [(name, one, other) for name, one, other in zip(names, *both, strict=True) if one != other]


# --- stages and blocks ------------------------------------------------------------------------------------------------


def _stage_distance(one: Stage, other: Stage) -> float:
    """How unlike two stages are, from 0 to 1: mostly their graphs, a little their widths."""
    if one == other:
        return 0.0
    graphs = bag_distance(_stage_bag(one), _stage_bag(other))
    return 0.8 * graphs + 0.2 * (1 - min(one.width, other.width) / max(one.width, other.width))


def _stage_bag(stage: Stage) -> Any:
    bag = bag_of([stage.transition])
    for block in stage.blocks:
        bag.update(bag_of(block.subblocks))
    return bag


def _block_distance(one: Block, other: Block) -> float:
    if one == other:
        return 0.0
    return 0.9 * bag_distance(bag_of(one.subblocks), bag_of(other.subblocks)) + 0.1 * (one.residual != other.residual)


def _stage(
    before: Stage | None,
    after: Stage | None,
    i: int | None,
    j: int | None,
    sizes: tuple[tuple[int, int] | None, tuple[int, int] | None],
    transition: GraphDiff | None,
) -> StageDiff:
    blocks_a = () if before is None else before.blocks
    blocks_b = () if after is None else after.blocks
    reads_a, reads_b = [(stage.width, stage.tokens) if stage else (0, 0) for stage in (before, after)]
    found = []
    for p, q in align_sequences(blocks_a, blocks_b, _block_distance):
        one = None if p is None else blocks_a[p]
        other = None if q is None else blocks_b[q]
        place_a = None if p is None or i is None else (i + 1, p + 1)
        place_b = None if q is None or j is None else (j + 1, q + 1)
        if one is not None and one == other:
            found.append(BlockDiff("equal", place_a, place_b, one, reads_b))
        elif one is not None and other is not None and one.residual == other.residual:
            pairs = zip_longest(one.subblocks, other.subblocks)
            graphs = tuple([diff_graphs(x, y, reads_a, reads_b) for x, y in pairs])
            found.append(BlockDiff("changed", place_a, place_b, other, reads_b, graphs))
        else:
            if one is not None:
                found.append(BlockDiff("removed", place_a, None, one, reads_a))
            if other is not None:
                found.append(BlockDiff("added", None, place_b, other, reads_b))
    widths = (before.width if before else None, after.width if after else None)
    return StageDiff(None if i is None else i + 1, None if j is None else j + 1, widths, sizes, transition, tuple(found))


def _with_moves(stages: list[StageDiff]) -> list[StageDiff]:
    """A block removed in one place and added in another, unchanged, has moved: it is listed where it stands now."""
    gone = [block for stage in stages for block in stage.blocks if block.kind == "removed"]
    moved: dict[tuple[int, int], BlockDiff] = {}
    left: set[tuple[int, int]] = set()
    for stage in stages:
        for block in stage.blocks:
            twin = next((one for one in gone if one.block == block.block), None) if block.kind == "added" else None
            if twin is not None and block.after is not None and twin.before is not None and any(block.block.subblocks):
                gone.remove(twin)
                moved[block.after] = replace(block, kind="moved", before=twin.before)
                left.add(twin.before)
    result = []
    for stage in stages:
        blocks = [
            moved.get(block.after or (0, 0), block)
            for block in stage.blocks
            if not (block.kind == "removed" and block.before in left)
        ]
        result.append(replace(stage, blocks=tuple(blocks)))
    return result


# --- plain data -------------------------------------------------------------------------------------------------------


def _stage_dict(stage: StageDiff) -> dict[str, Any]:
    blocks = []
    for block in stage.blocks:
        if block.kind != "equal":
            graphs = [_graph_dict(graph) for graph in block.graphs]
            texts = [graph.text if graph is not None else "absent" for graph in block.block.subblocks]
            more = {"subblocks": graphs} if block.kind == "changed" else {"graphs": texts}
            blocks.append({"kind": block.kind, "a": _place(block.before), "b": _place(block.after), **more})
    return {
        "a": stage.before,
        "b": stage.after,
        "width": list(stage.widths),
        "size": [None if size is None else list(size) for size in stage.sizes],
        "entry": _graph_dict(stage.transition),
        "blocks": blocks,
    }


def _place(place: tuple[int, int] | None) -> dict[str, int] | None:
    return None if place is None else {"stage": place[0], "block": place[1]}


def _graph_dict(graph: GraphDiff | None) -> dict[str, Any] | None:
    if graph is None:
        return None
    edits = [_edit_dict(graph, edit) for edit in graph.edits]
    return {
        "kind": graph.kind,
        "a": graph.a.text if graph.a is not None else None,
        "b": graph.b.text if graph.b is not None else None,
        "edits": edits,
    }


def _edit_dict(graph: GraphDiff, edit: NodeEdit) -> dict[str, Any]:
    def nodes(of: Graph | None, numbers: tuple[int, ...]) -> list[dict[str, Any]]:
        assert of is not None
        return [{"node": n, "op": of.nodes[n].op.text if n >= 0 else "output"} for n in numbers]

    found: dict[str, Any] = {"kind": edit.kind}
    beside = graph.a if edit.kind == "removed" else graph.b
    for name, of, numbers in (
        ("a", graph.a, edit.before),
        ("b", graph.b, edit.after),
        ("reads", beside, edit.reads),
        ("readers", beside, edit.readers),
        ("lost", graph.a, edit.lost),
        ("won", graph.b, edit.won),
    ):
        if numbers:
            found[name] = nodes(of, numbers)
    return found
