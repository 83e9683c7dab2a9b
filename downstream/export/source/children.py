"""The layers of a graph's class: what each is called, how it is made, and which layers of the compiled network fill it."""

from __future__ import annotations

from typing import NamedTuple

from downstream.export.source.constructing import Writer, constructor, joins
from downstream.export.source.values import Values
from downstream.export.source.words import numbered
from uninas.compile.layer_names import layer_names
from uninas.compile.plan import Step
from uninas.drawing.naming.patterns import find_patterns
from uninas.graph import Flow, Graph
from uninas.ops import AttentionMap, Op, Type
from uninas.rules.inference import kernel_sides

__all__ = ["Child", "children_of"]

_NAMES = {
    "batch_norm": "norm",
    "layer_norm": "norm",
    "group_norm": "norm",
    "layer_scale": "scale",
    "relative_position_bias": "position_bias",
    "token_linear": "token_mixer",
}
"""Operation -> what its layer is called, where that is not the operation's own name."""


class Child(NamedTuple):
    """A layer of a class: the attribute, the text that makes it, the layers in the compiled network whose weights it holds."""

    name: str
    made: str
    sources: tuple[str, ...]


def children_of(graph: Graph, types: tuple[Type, ...], given: Flow, values: Values, write: Writer) -> dict[int, list[Child]]:
    """Return the layers of each step, by its place; one layer where those of equal branches are joined."""
    names = layer_names(graph)
    last_of_patterns = _projections(graph, given)
    found: list[tuple[int, str, str, tuple[str, ...]]] = []
    for place, step in enumerate(values.steps):
        layers = [node for node in step.nodes if names[node] is not None]
        if not layers:
            continue
        groups = [layers] if step.kind in ("wide", "batch") and joins(_op(graph, layers)) else [[node] for node in layers]
        for group in groups:
            op = _op(graph, group)
            reads = types[graph.nodes[group[0]].inputs[0]]
            one_input = step.kind == "wide"
            text = constructor(op, reads, types[group[0]], given.place, write, branches=len(group), one_input=one_input)
            name = _conv_name(op, step, values, types, group, last_of_patterns, reads) if op.name == "conv" else None
            found.append((place, name or _NAMES.get(op.name, op.name), text, tuple([str(names[node]) for node in group])))
    children: dict[int, list[Child]] = {}
    for (place, _, text, sources), name in zip(found, numbered([one[1] for one in found]), strict=True):
        children.setdefault(place, []).append(Child(name, text, sources))
    return children


def _op(graph: Graph, nodes: list[int]) -> Op:
    return graph.nodes[nodes[0]].op


def _conv_name(
    op: Op, step: Step, values: Values, types: tuple[Type, ...], nodes: list[int], projections: set[int], reads: Type
) -> str:
    if isinstance(reads, AttentionMap):
        return "map_conv"
    if op.values["groups"] == "depthwise" and kernel_sides(op) != (1, 1):
        return "depthwise"
    if kernel_sides(op) != (1, 1):
        return "conv"
    parts = values.parts(step.output)
    if parts == {"query", "key", "value"}:
        return "qkv"
    if parts:
        return "_".join(part for part in ("query", "key", "value") if part in parts)
    if projections.intersection(nodes) or _attended(values, step.inputs[0]):
        return "project"
    before, after = reads[0], types[nodes[0]][0] * (len(nodes) if step.kind == "wide" else 1)
    name = "pointwise" if before == after else "expand" if after > before else "reduce"
    return f"gate_{name}" if reads.pooled and values.purpose(step.output) == "gate" else name


def _attended(values: Values, value: int) -> bool:
    """Whether a value is what attention makes, or the concatenation of its heads."""
    for step in values.steps:
        if step.output == value:
            name = step.op.name if step.op is not None else ""
            if step.kind == "attention" or name == "matmul_av":
                return True
            return (name == "concat" or step.kind == "stack") and all(_attended(values, one) for one in step.inputs)
    return False


def _projections(graph: Graph, given: Flow) -> set[int]:
    """The convolutions that end an inverted residual."""
    found = set()
    for pattern in find_patterns(graph, given.channels, given.tokens):
        if pattern.kind in ("mbconv", "fused"):
            found.add(max(node for node in pattern.nodes if graph.nodes[node].op.name == "conv"))
    return found
