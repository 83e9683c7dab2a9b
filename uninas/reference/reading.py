"""Read the JSON of the UniNAS reference implementation; stored shapes may be wrong and are ignored.

A file holds img_size, num_classes, embed_dim, depths, stem_width and `model_str`, a JSON text of stages of blocks. A block is a
letter (R, E, T) or two nodes {"class", "params"}. Nodes become our primitives; heads stay separate branches, unless this package
wrote them of one node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from uninas.errors import InputError
from uninas.graph import Architecture, Block, GraphBuilder, Stage
from uninas.networks.presets import letter_block
from uninas.ops import MOST_CHANNELS, AttentionMap, FeatureMap, Op, Type, op
from uninas.reference.classes import (
    FACTOR,
    FUSED,
    HEAD_DIM,
    LEAVES,
    ON_FEATURES,
    SHARED_TABLE,
    Part,
    is_axis,
    treats_each_channel,
)
from uninas.reference.names import Layer, template_layers, tree_layers
from uninas.reference.series import tree_of
from uninas.reference.writing import inexact
from uninas.text import MAX_BLOCKS, MAX_NODES, MAX_STAGES, check, read_json

_MOST_SHOWN = 300  # characters of a place in a message


def from_reference(document: Mapping[str, Any], source: str) -> Architecture:
    """Read the stored form of a reference file, dead parts included. Raises InputError that says where."""
    return _read(document, source).architecture


def import_reference(document: Mapping[str, Any], source: str) -> tuple[Architecture, dict[str, str]]:
    """Return the architecture, and the reference's name of each of our layers that is one of its layers (without ".weight")."""
    architecture, layers = read_reference(document, source)
    return architecture, {layer.ours: layer.theirs for layer in layers if layer.ours is not None and layer.rows is None}


def read_reference(document: Mapping[str, Any], source: str) -> tuple[Architecture, list[Layer]]:
    """Return the architecture, and all layers of the reference's network with the layers of ours that they are.

    Raises InputError that says where.
    """
    reader = _read(document, source)
    return reader.architecture, reader.layers()


def _read(document: Mapping[str, Any], source: str) -> _Reader:
    reader = _Reader(document, source)
    try:
        reader.architecture = reader.read()
    except RecursionError:
        raise InputError(f"{source}: nested too deeply") from None
    return reader


def _fail(where: str, expected: str, got: object) -> InputError:
    if len(where) > _MOST_SHOWN:
        where = f"{where[: _MOST_SHOWN // 2]} ... {where[-_MOST_SHOWN // 2 :]}"
    return InputError(f"{where}: expected {expected}, got {str(got)[:60]!r}")


class _Reader:
    architecture: Architecture  # what was read

    def __init__(self, document: Mapping[str, Any], source: str) -> None:
        self.document, self.source = document, source
        self.trees: dict[tuple[int, int, int], Part] = {}  # (stage, block, sub-block) -> its tree, where it is no letter's
        self.builder = GraphBuilder()
        self.side = 0  # of the map that the block reads
        self.heads_as_one = False  # whether a map that is read stands for those of all heads, of one channel each
        self.compounds: dict[str, Callable[[str, Mapping[str, Any], int, Type, str], tuple[int, Part]]] = {
            "SequentialModule": self.sequence,
            "ExpandAndReduce": self.expansion,
            "ReduceAndExpand": self.expansion,
            "AvgAndUpsample": self.average,
            "ForkMerge": self.fork_merge,
            "ForkMergeAttention": self.attention,
        }

    def layers(self) -> list[Layer]:
        """Return the reference's layers."""
        layers = template_layers(self.architecture)
        for s, stage in enumerate(self.architecture.stages):
            for b, block in enumerate(stage.blocks):
                for k, graph in enumerate(block.subblocks):
                    assert graph is not None
                    tree = self.trees.get((s, b, k)) or tree_of(graph, graph.types(stage.width), any_heads=True)
                    layers += tree_layers(graph, tree, s, b, k)
        return layers

    def integers(self, key: str, low: int = 1) -> list[int]:
        value = self.document.get(key)
        if not (isinstance(value, list) and value and all(type(v) is int and low <= v <= 65536 for v in value)):
            raise _fail(self.source, f'"{key}" to be a list of positive integers', value)
        return value

    def stem(self) -> list[int]:
        """Return the channels of the stem's two convolutions, which the reference lets be one number."""
        value = self.document.get("stem_width")
        return [value, value] if type(value) is int and 1 <= value <= 65536 else self.integers("stem_width")

    def integer(self, key: str) -> int:
        value = self.document.get(key)
        if type(value) is not int or not 1 <= value <= 1_000_000:
            raise _fail(self.source, f'"{key}" to be a positive integer', value)
        return value

    def read(self) -> Architecture:
        text = self.document.get("model_str")
        if not isinstance(text, str):
            raise _fail(self.source, '"model_str" to be a text', text)
        where = f"{self.source}: model_str"
        rows = read_json(text, where)
        widths, stem = self.integers("embed_dim"), self.stem()
        if not isinstance(rows, list) or len(rows) != len(widths) or len(stem) != 2 or len(rows) > MAX_STAGES:
            raise _fail(where, f"{len(widths)} stages (embed_dim) and two stem widths", rows)
        stages, size = [], self.integer("img_size")
        self.side = (size + 1) // 2
        for s, (row, width) in enumerate(zip(rows, widths, strict=True)):
            if not isinstance(row, list) or not 1 <= len(row) <= MAX_BLOCKS:
                raise _fail(f"{where}, stage {s + 1}", f"a list of 1 to {MAX_BLOCKS} blocks", row)
            self.side //= 2
            blocks = tuple(
                [self.block(block, width, s, b, f"{where}, stage {s + 1}, block {b + 1}") for b, block in enumerate(row)]
            )
            stages.append(Stage(width, blocks))
        depths = self.document.get("depths", [len(row) for row in rows])
        if depths != [len(row) for row in rows]:
            raise _fail(where, f'as many blocks as in "depths", {str(depths)[:60]}', [len(row) for row in rows])
        architecture = Architecture(tuple(stages), self.integer("num_classes"), (size, size), (stem[0], stem[1]))
        if inexact(architecture):  # where all halves are whole, both ways to round are one
            architecture = architecture.replace(rounding="down")
        check(architecture, self.source)
        return architecture

    def block(self, block: Any, width: int, stage: int, number: int, where: str) -> Block:
        if isinstance(block, str):
            try:
                return letter_block(block)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
        if not isinstance(block, dict) or set(block) != {"subblock1", "subblock2"}:
            raise _fail(where, "a letter or a mapping of subblock1 and subblock2", block)
        graphs = []
        for sub, key in enumerate(("subblock1", "subblock2")):
            self.builder = GraphBuilder()
            output, tree = self.node(block[key], 0, FeatureMap(width, False), f"{where}, {key}")
            graph = self.builder.build(output)
            if len(graph.nodes) > MAX_NODES:
                raise _fail(f"{where}, {key}", f"at most {MAX_NODES} operations", len(graph.nodes))
            self.trees[stage, number, sub] = tree
            graphs.append(graph)
        return Block(tuple(graphs))

    def node(self, node: Any, x: int, type_: Type, where: str) -> tuple[int, Part]:
        """Read a node that reads our node `x` of that type: (our node of what it returns, its tree)."""
        if not isinstance(node, dict) or not isinstance(node.get("class"), str):
            raise _fail(where, 'a node with a "class"', node)
        kind = node["class"]
        if kind in LEAVES:
            operation, _ = LEAVES[kind]
            if kind == "RelPosBias":
                operation = self.bias(type_, where)
            made = self.builder.add(operation, x)
            return made, Part(kind, type_, opens=made if operation.spec.instance else None)
        if kind not in self.compounds:
            raise _fail(where, f"a known class ({', '.join([*LEAVES, *self.compounds])})", kind)
        params = node.get("params", {})
        if not isinstance(params, dict):
            raise _fail(where, f"{kind} to have params", params)
        return self.compounds[kind](kind, params, x, type_, f"{where}, {kind}")

    def bias(self, type_: Type, where: str) -> Op:
        """Return what a RelPosBias is on such a value."""
        if isinstance(type_, FeatureMap):
            side = 1 if type_.pooled else self.side
            if not is_axis(side, side):
                raise _fail(where, "a feature map of a^2 x a^2 pixels for RelPosBias", f"{side}x{side}")
            return ON_FEATURES
        return LEAVES["RelPosBias"][0] if type_.heads == 1 or self.heads_as_one else SHARED_TABLE

    def many(self, params: Mapping[str, Any], key: str, where: str) -> list[Any]:
        nodes = params.get(key, [])
        if not isinstance(nodes, list):
            raise _fail(where, f'"{key}" to be a list of nodes', nodes)
        return nodes

    def sequence(self, kind: str, params: Mapping[str, Any], x: int, type_: Type, where: str) -> tuple[int, Part]:
        parts = []
        for number, node in enumerate(self.many(params, "modules", where), start=1):
            x, part = self.node(node, x, type_, f"{where}, {number}")
            parts.append(part)
        return x, Part(kind, type_, tuple(parts))

    def expansion(self, kind: str, params: Mapping[str, Any], x: int, type_: Type, where: str) -> tuple[int, Part]:
        """Read two 1x1 convolutions around a node; the factor multiplies (Expand...) or divides (Reduce...) the channels."""
        factor = params.get("factor", FACTOR)
        if type(factor) is not int or not 1 <= factor <= 65536:
            raise _fail(where, "an integer factor from 1 to 65536", factor)
        channels = type_[0]
        outer, inner, made = str(factor), f"1/{factor}", channels * factor
        if kind == "ReduceAndExpand":
            outer, inner, made = inner, outer, channels // factor
        if made > MOST_CHANNELS or (kind == "ReduceAndExpand" and made * factor != channels):
            raise _fail(where, f"a factor that fits {channels} channels", factor)
        opens = self.builder.add(op("conv", kernel=1, ratio=outer), x)
        x, part = self.node(params.get("sequential"), opens, type(type_)(made, *type_[1:]), where)
        closes = self.builder.add(op("conv", kernel=1, ratio=inner), x)
        return closes, Part(kind, type_, (part,), opens, closes, factor=factor)

    def average(self, kind: str, params: Mapping[str, Any], x: int, type_: Type, where: str) -> tuple[int, Part]:
        if type_.pooled:  # one pixel's mean, made one pixel again
            x, part = self.node(params.get("sequential"), x, type_, where)
            return x, Part(kind, type_, (part,))
        x, part = self.node(
            params.get("sequential"), self.builder.add(op("global_average_pool"), x), type_._replace(pooled=True), where
        )
        return self.builder.add(op("broadcast"), x), Part(kind, type_, (part,))

    def fork_merge(self, kind: str, params: Mapping[str, Any], x: int, type_: Type, where: str) -> tuple[int, Part]:
        branches = self.many(params, "branches", where)
        how = params.get("fork_merge_tuple")
        count, inside = len(branches), type_
        if how not in (["chunk", "concat"], ["copy", "add"], ["copy", "multiply"]):
            raise _fail(where, "fork_merge_tuple chunk/concat, copy/add or copy/multiply", how)
        if not count or (how[1] == "multiply" and count != 2):
            raise _fail(where, "two branches to multiply" if count else "at least one branch", count)
        starts = [x] * count
        if params.get("branches_count", count) != count:
            raise _fail(where, f'as many branches as "branches_count", {str(params["branches_count"])[:60]}', count)
        if how[0] == "chunk":
            if type_[0] % count:
                raise _fail(where, f"a number of branches that divides {type_[0]} channels", count)
            inside = type(type_)(type_[0] // count, *type_[1:])
            starts = [self.builder.add(op("slice", index=i, count=count), x) for i in range(count)]
        ends, parts = self.each(branches, starts, inside, where, "branch")
        if how[1] == "multiply":
            ends[1] = self.builder.add(op("sigmoid"), ends[1])
        return self.builder.add(op(how[1]), *ends), Part(kind, type_, tuple(parts), merge=how[1])

    def each(self, nodes: list[Any], starts: list[int], type_: Type, where: str, called: str) -> tuple[list[int], list[Part]]:
        """Read nodes side by side."""
        found = [
            self.node(node, start, type_, f"{where}, {called} {number}")
            for number, (node, start) in enumerate(zip(nodes, starts, strict=True), start=1)
        ]
        return [end for end, _ in found], [part for _, part in found]

    # --- attention --------------------------------------------------------------------------------------------------------

    def attention(self, kind: str, params: Mapping[str, Any], x: int, type_: Type, where: str) -> tuple[int, Part]:
        """Read heads as branches: pieces q0, k0, v0, q1, ... of one 1x1 convolution, each through its own nodes."""
        branches = self.many(params, "branches", where)
        maps, posts = self.many(params, "connections", where), self.many(params, "post_branches", where)
        if not isinstance(type_, FeatureMap):
            raise _fail(where, "to read a feature map", type_)
        heads, channels = len(maps), type_.channels
        if not heads or len(branches) != 3 * heads or len(posts) != heads:
            raise _fail(where, "three branches and one post branch a head", (len(branches), heads, len(posts)))
        if channels != heads * HEAD_DIM:
            raise _fail(where, f"a head for each {HEAD_DIM} of {channels} channels", heads)
        whole = params.get(FUSED) is True
        if whole:
            branches, maps, posts = self.one_head(branches, maps, posts, where)
        size, count = (channels, 1) if whole else (HEAD_DIM, heads)
        qkv = self.builder.add(op("conv", kernel=1, ratio=3), x)
        cut = [self.builder.add(op("slice", index=i, count=3 * count), qkv) for i in range(3 * count)]
        inside = FeatureMap(size, type_.pooled)
        pieces, parts = self.each(branches, cut, inside, where, "piece")
        product: Op = op("matmul_qk", head_dim=HEAD_DIM)
        scores = [self.builder.add(product, pieces[3 * h], pieces[3 * h + 1]) for h in range(count)]
        self.heads_as_one = whole
        scores, on_maps = self.each(maps, scores, AttentionMap(size // HEAD_DIM, type_.pooled), where, "map")
        self.heads_as_one = False
        values = [self.builder.add(op("matmul_av"), scores[h], pieces[3 * h + 2]) for h in range(count)]
        ends, results = self.each(posts, values, inside, where, "head")
        inner = (*parts, *on_maps, *results)
        for part in inner if whole else ():
            self.check_each_channel(part, where)
        made = ends[0] if whole else self.builder.add(op("concat"), *ends)
        return made, Part(kind, type_, inner, qkv, heads=heads, fused=whole)

    def one_head(self, branches: list[Any], maps: list[Any], posts: list[Any], where: str) -> tuple[list[Any], ...]:
        """Return the nodes of the first head, which all others equal but for their shapes."""
        heads = [_unshaped([*branches[3 * h : 3 * h + 3], maps[h], posts[h]]) for h in range(len(maps))]
        if any(head != heads[0] for head in heads):
            raise _fail(where, f'equal heads where "{FUSED}" is true', "others")
        return branches[:3], maps[:1], posts[:1]

    def check_each_channel(self, part: Part, where: str) -> None:
        if not treats_each_channel(part):
            raise _fail(where, f'classes that treat each channel by itself where "{FUSED}" is true', part.kind)
        for inner in part.inner:
            self.check_each_channel(inner, where)


def _unshaped(value: Any) -> Any:
    """JSON without the shapes of nodes."""
    if isinstance(value, dict):
        return {key: _unshaped(inner) for key, inner in value.items() if key != "shape"}
    return [_unshaped(inner) for inner in value] if isinstance(value, list) else value
