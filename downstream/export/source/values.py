"""The steps of a graph as an exported file runs them: those that do something, and what each value is for."""

from __future__ import annotations

from uninas.compile.plan import Step, plan
from uninas.graph import Graph
from uninas.ops import AttentionMap, FeatureMap, Type

__all__ = ["OUTPUT", "Values"]

OUTPUT = -1
"""Reader of the value that a graph returns."""

_PASSED_ON = ("identity",)
_OF_ONE = ("add", "multiply", "concat")
"""Operations that return their input where they have one."""

_BOUNDING = ("sigmoid", "hard_sigmoid", "tanh")


class Values:
    """The steps of a graph, without those that pass a value on or whose value nobody reads; fused as the compiled network runs.

    Attributes:
        steps: in order.
        output: the value to return.
        types: value -> its type before it is broadcast or stacked.
        readers: value -> the steps that read it, as (place in `steps`, place among its inputs); of `output` also `OUTPUT`.
    """

    def __init__(self, graph: Graph, types: tuple[Type, ...]) -> None:
        made = plan(graph, types, fused=True)
        same: dict[int, int] = {}
        steps: list[Step] = []
        for step in made.steps:
            step = step._replace(inputs=tuple([same.get(value, value) for value in step.inputs]))
            if _passes_on(step):
                same[step.output] = step.inputs[0]
            else:
                steps.append(step)
        self.output = same.get(made.output, made.output)
        needed, kept = {self.output}, []
        for step in reversed(steps):
            if needed.intersection(outputs(step)):
                needed.update(step.inputs)
                kept.append(step)
        self.steps = tuple(reversed(kept))
        self.types: dict[int, Type] = {0: types[0]}
        self.readers: dict[int, list[tuple[int, int]]] = {0: []}
        for place, step in enumerate(self.steps):
            for value in outputs(step):
                self.types[value] = types[step.nodes[0]] if step.nodes and step.kind != "attention" else FeatureMap(0, False)
                self.readers[value] = []
            for slot, value in enumerate(step.inputs):
                self.readers[value].append((place, slot))
        self.readers[self.output].append((OUTPUT, 0))

    def purpose(self, value: int) -> str | None:
        """Say what a value becomes in the end: query, key, value, scores, weights, gate, branch; None where nothing is known."""
        bounded = self.types[value].pooled
        map_ = isinstance(self.types[value], AttentionMap)
        for _ in range(len(self.steps) + 1):
            readers = self.readers[value]
            if len(readers) != 1 or readers[0][0] == OUTPUT:
                return "scores" if map_ else None
            (place, slot) = readers[0]
            step = self.steps[place]
            name = step.op.name if step.op is not None else ""
            if step.kind == "attention":
                return ("query", "key", "value")[slot]
            if name == "matmul_qk":
                return ("query", "key")[slot]
            if name == "matmul_av":
                return ("weights", "value")[slot]
            if name == "softmax" and map_:
                return "scores"
            if name == "multiply":
                return "gate" if bounded else None
            if name == "concat" or step.kind == "stack":
                return "scores" if map_ else "branch"
            if len(step.inputs) != 1 or step.kind in ("split", "wide"):
                return "scores" if map_ else None
            bounded = bounded or name in _BOUNDING or self.types[step.output].pooled
            value = step.output
        return None

    def parts(self, value: int) -> set[str]:
        """Return which operands of attention a value is: itself, or in its slices."""
        found: set[str] = set()
        for place, slot in self.readers[value]:
            if place == OUTPUT:
                return set()
            step = self.steps[place]
            if step.kind == "split" or (step.op is not None and step.op.name == "slice"):
                for output in outputs(step):
                    found |= self.parts(output)
            elif step.kind == "attention":
                found.add(("query", "key", "value")[slot])
            elif step.op is not None and step.op.name == "matmul_qk":
                found.add(("query", "key")[slot])
            elif step.op is not None and step.op.name == "matmul_av" and slot == 1:
                found.add("value")
            else:
                return set()
        return found


def outputs(step: Step) -> range:
    """Return the values that a step makes."""
    count = step.op.values["count"] if step.kind == "split" and step.op is not None else 1
    return range(step.output, step.output + count)


def _passes_on(step: Step) -> bool:
    if step.kind != "node" or step.op is None:
        return False
    name = step.op.name
    whole = name == "slice" and step.op.values["count"] == 1
    return name in _PASSED_ON or whole or (name in _OF_ONE and len(step.inputs) == 1)
