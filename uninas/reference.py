"""Reading the reference toolkit's JSON (arXiv 2510.06035 and its public files; stored shapes may be wrong and are ignored).

A file holds img_size, num_classes, embed_dim, depths, stem_width and `model_str`, a JSON text of stages of blocks. A block is a
letter (R, E, T) or two nodes {"class", "params"}. Nodes become our primitives; heads that differ stay separate branches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from uninas.errors import InputError
from uninas.graph import Architecture, Block, GraphBuilder, Stage
from uninas.names import layer_names, subblock_prefix
from uninas.ops import Op, op
from uninas.presets import letter_block
from uninas.text import MAX_BLOCKS, MAX_NODES, MAX_STAGES, check, read_json

_HEAD_DIM = 32

_LEAVES: dict[str, tuple[Op, str]] = {
    "Conv1": (op("conv", kernel=1), "conv"),
    "Conv3": (op("conv", kernel=3), "conv"),
    "ConvDepth3": (op("conv", kernel=3, groups="depthwise", bias=False), "conv"),
    "ConvDepth5": (op("conv", kernel=5, groups="depthwise", bias=False), "conv"),
    "BatchNorm": (op("batch_norm"), "bn"),
    "LayerNorm": (op("layer_norm"), "ln"),
    "GELU": (op("gelu"), ""),
    "Sigmoid": (op("sigmoid"), ""),
    "MaxPool": (op("max_pool"), ""),
    "Dropout": (op("dropout"), ""),
    "Identity": (op("identity"), ""),
    "Zero": (op("zero"), ""),
    "Softmax": (op("softmax"), ""),
    "Mask": (op("mask"), ""),
    "RelPosBias": (op("relative_position_bias"), ""),
}
"""Class -> (our operation, the name under which the reference keeps its parameters)."""


def from_reference(document: Mapping[str, Any], source: str) -> Architecture:
    """The stored form of a reference file, dead parts included. Raises InputError that says where."""
    return import_reference(document, source)[0]


def import_reference(document: Mapping[str, Any], source: str) -> tuple[Architecture, dict[str, str]]:
    """The architecture, and for each of our searched layers the reference's name of it (both without ".weight")."""
    try:
        return _Importer(document, source).read()
    except RecursionError:
        raise InputError(f"{source}: nested too deeply") from None


def _fail(where: str, expected: str, came: object) -> InputError:
    return InputError(f"{where}: expected {expected}, came {str(came)[:60]!r}")


class _Importer:
    def __init__(self, document: Mapping[str, Any], source: str) -> None:
        self.document, self.source = document, source
        self.names: dict[str, str] = {}
        self.builder = GraphBuilder()
        self.layers: list[tuple[int, str]] = []  # (node, the reference's name) of the graph under construction
        self.compounds: dict[str, Callable[[Mapping[str, Any], int, str, str], int]] = {
            "SequentialModule": self.sequence,
            "ExpandAndReduce": self.expand_and_reduce,
            "ReduceAndExpand": self.expand_and_reduce,
            "AvgAndUpsample": self.average,
            "ForkMerge": self.fork_merge,
            "ForkMergeAttention": self.attention,
        }

    def integers(self, key: str, low: int = 1) -> list[int]:
        value = self.document.get(key)
        if not (isinstance(value, list) and value and all(type(v) is int and low <= v <= 65536 for v in value)):
            raise _fail(self.source, f'"{key}" to be a list of positive integers', value)
        return value

    def integer(self, key: str) -> int:
        value = self.document.get(key)
        if type(value) is not int or not 1 <= value <= 1_000_000:
            raise _fail(self.source, f'"{key}" to be a positive integer', value)
        return value

    def read(self) -> tuple[Architecture, dict[str, str]]:
        text = self.document.get("model_str")
        if not isinstance(text, str):
            raise _fail(self.source, '"model_str" to be a text', text)
        where = f"{self.source}: model_str"
        rows = read_json(text, where)
        widths, stem = self.integers("embed_dim"), self.integers("stem_width")
        if not isinstance(rows, list) or len(rows) != len(widths) or len(stem) != 2 or len(rows) > MAX_STAGES:
            raise _fail(where, f"{len(widths)} stages (embed_dim) and two stem widths", rows)
        stages = []
        for s, (row, width) in enumerate(zip(rows, widths, strict=True)):
            if not isinstance(row, list) or not 1 <= len(row) <= MAX_BLOCKS:
                raise _fail(f"{where}, stage {s}", f"a list of 1 to {MAX_BLOCKS} blocks", row)
            blocks = tuple([self.block(block, s, b, f"{where}, stage {s}, block {b}") for b, block in enumerate(row)])
            stages.append(Stage(width, blocks))
        size = self.integer("img_size")
        architecture = Architecture(tuple(stages), self.integer("num_classes"), (size, size), (stem[0], stem[1]))
        check(architecture, self.source)
        return architecture, self.names

    def block(self, block: Any, stage: int, number: int, where: str) -> Block:
        if isinstance(block, str):
            try:
                return letter_block(block)
            except InputError as error:
                raise InputError(f"{where}: {error}") from None
        if not isinstance(block, dict) or set(block) != {"subblock1", "subblock2"}:
            raise _fail(where, "a letter or a mapping of subblock1 and subblock2", block)
        graphs = []
        for sub, key in enumerate(("subblock1", "subblock2")):
            self.builder, self.layers = GraphBuilder(), []
            prefix = f"stages.{stage}.blocks.{number}.{key}"
            graph = self.builder.build(self.node(block[key], 0, prefix, f"{where}, {key}"))
            if len(graph.nodes) > MAX_NODES:
                raise _fail(f"{where}, {key}", f"at most {MAX_NODES} operations", len(graph.nodes))
            names = layer_names(graph)
            for node, name in self.layers:
                self.names[f"{subblock_prefix(stage, number, sub)}{names[node]}"] = name
            graphs.append(graph)
        return Block(tuple(graphs))

    def add(self, operation: Op, *inputs: int, name: str = "") -> int:
        node = self.builder.add(operation, *inputs)
        if operation.spec.instance and name:
            self.layers.append((node, name))
        return node

    def node(self, node: Any, x: int, prefix: str, where: str) -> int:
        if not isinstance(node, dict) or not isinstance(node.get("class"), str):
            raise _fail(where, 'a node with a "class"', node)
        kind = node["class"]
        if kind in _LEAVES:
            operation, child = _LEAVES[kind]
            return self.add(operation, x, name=f"{prefix}.{child}" if child else prefix)
        if kind not in self.compounds:
            raise _fail(where, f"a known class ({', '.join([*_LEAVES, *self.compounds])})", kind)
        params = node.get("params")
        if not isinstance(params, dict):
            raise _fail(where, f"{kind} to have params", params)
        return self.compounds[kind](params, x, prefix, f"{where}, {kind}")

    def many(self, params: Mapping[str, Any], key: str, where: str) -> list[Any]:
        nodes = params.get(key)
        if not isinstance(nodes, list):
            raise _fail(where, f'"{key}" to be a list of nodes', nodes)
        return nodes

    def sequence(self, params: Mapping[str, Any], x: int, prefix: str, where: str) -> int:
        for i, node in enumerate(self.many(params, "modules", where)):
            x = self.node(node, x, f"{prefix}.sequential.{i}", f"{where}, {i}")
        return x

    def expand_and_reduce(self, params: Mapping[str, Any], x: int, prefix: str, where: str) -> int:
        """Two 1x1 convolutions around an inner graph; the factor multiplies (Expand...) or divides (Reduce...) the channels."""
        factor = params.get("factor")
        if type(factor) is not int or not 1 <= factor <= 64:
            raise _fail(where, "an integer factor from 1 to 64", factor)
        outer, inner = str(factor), f"1/{factor}"
        if where.endswith("ReduceAndExpand"):
            outer, inner = inner, outer
        x = self.add(op("conv", kernel=1, ratio=outer), x, name=f"{prefix}.resize1")
        x = self.node(params.get("sequential"), x, f"{prefix}.sequential", where)
        return self.add(op("conv", kernel=1, ratio=inner), x, name=f"{prefix}.resize2")

    def average(self, params: Mapping[str, Any], x: int, prefix: str, where: str) -> int:
        x = self.add(op("global_average_pool"), x)
        return self.add(op("broadcast"), self.node(params.get("sequential"), x, f"{prefix}.sequential", where))

    def fork_merge(self, params: Mapping[str, Any], x: int, prefix: str, where: str) -> int:
        branches = self.many(params, "branches", where)
        how = params.get("fork_merge_tuple")
        count = len(branches)
        if how == ["chunk", "concat"]:
            starts = [self.add(op("slice", index=i, count=count), x) for i in range(count)]
        elif how in (["copy", "add"], ["copy", "multiply"]):
            starts = [x] * count
        else:
            raise _fail(where, "fork_merge_tuple chunk/concat, copy/add or copy/multiply", how)
        ends = [
            self.node(branch, start, f"{prefix}.branches.{i}", f"{where}, branch {i}")
            for i, (branch, start) in enumerate(zip(branches, starts, strict=True))
        ]
        if how[1] == "multiply":
            if count != 2:
                raise _fail(where, "two branches to multiply", count)
            return self.add(op("multiply"), ends[0], self.add(op("sigmoid"), ends[1]))
        if not ends:
            raise _fail(where, "at least one branch", count)
        return self.add(op(how[1]), *ends)

    def attention(self, params: Mapping[str, Any], x: int, prefix: str, where: str) -> int:
        """Heads as branches: pieces q0, k0, v0, q1, ... of one 1x1 convolution, each through its own graphs."""
        branches = self.many(params, "branches", where)
        maps, posts = self.many(params, "connections", where), self.many(params, "post_branches", where)
        heads = len(maps)
        if not heads or len(branches) != 3 * heads or len(posts) != heads:
            raise _fail(where, "three branches and one post branch a head", (len(branches), heads, len(posts)))
        qkv = self.add(op("conv", kernel=1, ratio=3), x, name=f"{prefix}.qkv.conv")
        pieces = [
            self.node(
                branch,
                self.add(op("slice", index=i, count=3 * heads), qkv),
                f"{prefix}.branches.{i}",
                f"{where}, piece {i}",
            )
            for i, branch in enumerate(branches)
        ]
        ends = []
        for h in range(heads):
            scores = self.add(op("matmul_qk", head_dim=_HEAD_DIM), pieces[3 * h], pieces[3 * h + 1])
            scores = self.node(maps[h], scores, f"{prefix}.connections.{h}", f"{where}, map {h}")
            value = self.add(op("matmul_av"), scores, pieces[3 * h + 2])
            ends.append(self.node(posts[h], value, f"{prefix}.post_branches.{h}", f"{where}, head {h}"))
        return self.add(op("concat"), *ends)
