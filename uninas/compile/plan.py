r"""How a graph is executed: a list of steps over values, either node by node or fused. Plain Python, no torch.

Fusions, all of which compute the same as the unfused form:
1. softmax(q^T k [+ bias]) v, whose intermediate maps nothing else reads, is one attention step.
2. A broadcast is postponed past elementwise operations, which then work on the pooled map.
3. All slices of one map are cut in one step, whose gradient is one concatenation.
4. Isomorphic branches that end in one concatenation run as one batch: their convolutions as one grouped convolution, their
   attention products as more heads. Branches are followed upwards in lockstep while their operations are equal.

Attention takes nine steps node by node, and four fused: three slices are one split (fusion 3), product, bias, softmax and product
one attention step (fusion 1):

    >>> from uninas.networks.presets import attention_block
    >>> graph = attention_block(head_dim=32)
    >>> [step.op.name for step in plan(graph, graph.types(64), fused=False).steps]
    ['conv', 'slice', 'slice', 'matmul_qk', 'relative_position_bias', 'softmax', 'slice', 'matmul_av', 'conv']
    >>> [(step.kind, step.inputs, step.output) for step in plan(graph, graph.types(64), fused=True).steps]
    [('node', (0,), 1), ('split', (1,), 2), ('attention', (2, 3, 4), 5), ('node', (5,), 6)]

Two equal convolutions of the halves of a map, concatenated, are one grouped convolution of the whole map (fusion 4):

    >>> from uninas.text import parse_graph
    >>> halves = parse_graph(
    ...     "%1 = slice(index=0, count=2) %0\n%2 = slice(index=1, count=2) %0\n"
    ...     "%3 = conv(kernel=3) %1\n%4 = conv(kernel=3) %2\n%5 = concat %3 %4\nreturn %5"
    ... )
    >>> [(step.kind, step.nodes) for step in plan(halves, halves.types(8), fused=True).steps]
    [('split', ()), ('stack', (1, 2)), ('batch', (3, 4))]
"""

from __future__ import annotations

from typing import NamedTuple

from uninas.graph import Graph, Node
from uninas.ops import AttentionMap, FeatureMap, Op, Type


class Step(NamedTuple):
    """One action: `kind` over the layers of `nodes` and the values `inputs`, giving the value `output`.

    Kinds: "node" (one node's layer), "batch" (one layer for each branch, run as one on stacked values), "wide" (convolutions of
    one input run as one), "stack" (concatenate values), "attention" (inputs q, k, v; nodes = the relative position biases, if
    any, in the order in which they apply), "expand" (broadcast a postponed pooled value to the full size at `stride` with so many
    class tokens), "split" (all slices of one map, which are the values from `output` on).
    """

    kind: str
    op: Op | None
    nodes: tuple[int, ...]
    inputs: tuple[int, ...]
    output: int
    stride: int = 1
    tokens: int = 0


class ExecutionPlan(NamedTuple):
    """Steps in order, the value to return, and after each step the values that no later step needs."""

    steps: tuple[Step, ...]
    output: int
    last_uses: tuple[tuple[int, ...], ...]


def plan(graph: Graph, types: tuple[Type, ...], *, fused: bool) -> ExecutionPlan:
    """Plan the steps that compute a graph's output."""
    maker = _Planner(graph, types, fused)
    output = maker.full(maker.value(graph.output))
    steps = tuple(maker.steps)
    last: dict[int, int] = {}
    for position, step in enumerate(steps):
        for value in step.inputs:
            last[value] = position
    last.pop(output, None)
    uses: list[tuple[int, ...]] = [
        tuple([value for value in set(step.inputs) if last.get(value) == position]) for position, step in enumerate(steps)
    ]
    return ExecutionPlan(steps, output, tuple(uses))


_WORTH_BATCHING = frozenset({"conv", "matmul_qk", "matmul_av"})


class _Planner:
    def __init__(self, graph: Graph, types: tuple[Type, ...], fused: bool) -> None:
        self.graph, self.types, self.fused = graph, types, fused
        self.steps: list[Step] = []
        self.values: dict[int, int] = {0: 0}  # node -> value
        self.made: list[Type] = [types[0]]
        self.postponed: dict[int, int | None] = {}  # pooled value that stands for a full one -> its expansion
        self.branch_memo: dict[int, _Branches] = {}
        self.slices: dict[tuple[int, int], list[int]] = {}  # (source, count) -> the slices that are needed
        self.readers = [0] * len(graph.nodes)
        reached = [False] * len(graph.nodes)
        reached[graph.output] = True
        self.readers[graph.output] += 1
        for i in range(len(graph.nodes) - 1, -1, -1):
            if reached[i]:
                op, inputs = graph.nodes[i]
                for j in inputs:
                    reached[j] = True
                    self.readers[j] += 1
                if op.name == "slice":
                    self.slices.setdefault((inputs[0], op.values["count"]), []).append(i)

    def emit(self, kind: str, op: Op | None, nodes: tuple[int, ...], inputs: tuple[int, ...], made: Type) -> int:
        self.made.append(made)
        self.steps.append(Step(kind, op, nodes, inputs, len(self.made) - 1, made.stride, made.tokens))
        return len(self.made) - 1

    def full(self, value: int) -> int:
        """Return a value at its own size, expanded if its broadcast was postponed."""
        if value not in self.postponed:
            return value
        found = self.postponed[value]
        if found is None:
            found = self.postponed[value] = self.emit("expand", None, (), (value,), self.made[value])
        return found

    def value(self, wanted: int) -> int:
        """Return the value of a node; its ancestors are planned first, without recursion over depth."""
        stack = [wanted]
        while stack:
            node = stack[-1]
            if node in self.values:
                stack.pop()
                continue
            needs = self.needs(node)
            waiting = [j for j in needs if j not in self.values]
            if waiting:
                stack.extend(reversed(waiting))
                continue
            stack.pop()
            self.values[node] = self.make(node)
        return self.values[wanted]

    def needs(self, node: int) -> tuple[int, ...]:
        """Return the nodes whose values the step of `node` reads one by one."""
        if self.fused:
            found = self.attention(node)
            if found is not None:
                return found[0]
            branches = self.branches(node)
            if branches is not None:
                return branches.roots()
        return self.graph.nodes[node].inputs

    def make(self, node: int) -> int:
        op, inputs = self.graph.nodes[node]
        made = self.types[node]
        if self.fused:
            found = self.attention(node)
            if found is not None:
                (q, k, v), biases = found
                return self.emit(
                    "attention",
                    self.graph.nodes[self.score_node(node)].op,
                    biases,
                    tuple([self.full(self.values[j]) for j in (q, k, v)]),
                    made,
                )
            branches = self.branches(node)
            if branches is not None:
                return branches.emit(self)
            if op.name == "slice" and self.split(node):
                return self.values[node]
            if op.name == "broadcast" and self.readers[inputs[0]] == 1 and type(made) is FeatureMap:
                value = self.values[inputs[0]]
                self.postponed[value] = None
                return value
            values = [self.values[j] for j in inputs]
            if op.spec.elementwise and not op.spec.instance and any(v in self.postponed for v in values):
                result = self.emit("node", op, (node,), tuple(values), made)
                if all(v in self.postponed for v in values):
                    self.postponed[result] = None
                return result
        return self.emit("node", op, (node,), tuple([self.full(self.values[j]) for j in inputs]), made)

    # --- fusion 3 ---------------------------------------------------------------------------------------------------------

    def split(self, node: int) -> bool:
        """Cut a slice's map into all its slices at once, if each of them is needed; return whether that was done."""
        op, (source,) = self.graph.nodes[node]
        count = op.values["count"]
        slices = [(i, self.graph.nodes[i].op.values["index"]) for i in self.slices.get((source, count), ())]
        if [index for _, index in sorted(slices, key=lambda found: found[1])] != list(range(count)):
            return False
        first = self.emit("split", op, (), (self.full(self.values[source]),), self.types[node])
        self.made += [self.types[node]] * (count - 1)
        for i, index in slices:
            self.values[i] = first + index
        return True

    # --- fusion 1 ---------------------------------------------------------------------------------------------------------

    def score_node(self, node: int) -> int:
        i = self.graph.nodes[self.graph.nodes[node].inputs[0]].inputs[0]
        while self.graph.nodes[i].op.name == "relative_position_bias":
            i = self.graph.nodes[i].inputs[0]
        return i

    def attention(self, node: int) -> tuple[tuple[int, int, int], tuple[int, ...]] | None:
        """Find ((q, k, v), bias nodes) where `node` applies a softmax of scores that nothing else reads."""
        op, inputs = self.graph.nodes[node]
        if op.name != "matmul_av":
            return None
        i = inputs[0]
        if self.graph.nodes[i].op.name != "softmax" or self.readers[i] != 1:
            return None
        biases = []
        i = self.graph.nodes[i].inputs[0]
        while self.graph.nodes[i].op.name == "relative_position_bias" and self.readers[i] == 1:
            biases.append(i)
            i = self.graph.nodes[i].inputs[0]
        scores = self.graph.nodes[i].op
        if scores.name != "matmul_qk" or scores.values["over"] != "pixels" or self.readers[i] != 1:
            return None
        q, k = self.graph.nodes[i].inputs
        return (q, k, inputs[1]), tuple(reversed(biases))

    # --- fusion 4 ---------------------------------------------------------------------------------------------------------

    def branches(self, node: int) -> _Branches | None:
        """Return the branches that run into a concatenation, where batching them saves a convolution or an attention product."""
        op, inputs = self.graph.nodes[node]
        if op.name != "concat" or len(set(inputs)) != len(inputs) or len(inputs) < 2:
            return None
        if node not in self.branch_memo:
            self.branch_memo[node] = _Branches(self.graph, self.types, self.readers, inputs)
        found = self.branch_memo[node]
        return found if found.worth_it else None


class _Branches:
    """Branches followed upwards in lockstep from the inputs of a concatenation."""

    def __init__(self, graph: Graph, types: tuple[Type, ...], readers: list[int], ends: tuple[int, ...]) -> None:
        self.graph, self.types = graph, types
        self.order: list[tuple[int, ...]] = []  # batched tuples, inputs before readers
        self.stacked: list[tuple[int, ...]] = []  # tuples where the branches part: values to concatenate
        self.worth_it = False
        self.ends = ends
        self._follow(ends, readers)

    def _follow(self, ends: tuple[int, ...], readers: list[int]) -> None:
        seen: set[tuple[int, ...]] = set()
        stack: list[tuple[tuple[int, ...], bool]] = [(ends, False)]
        while stack:
            branch, done = stack.pop()
            if done:
                self.order.append(branch)
                continue
            if branch in seen:
                continue
            seen.add(branch)
            nodes = [self.graph.nodes[i] for i in branch]
            if not self._batches(branch, nodes, readers):
                self.stacked.append(branch)
                continue
            self.worth_it |= nodes[0].op.name in _WORTH_BATCHING
            stack.append((branch, True))
            for slot in reversed(range(len(nodes[0].inputs))):
                stack.append((tuple([node.inputs[slot] for node in nodes]), False))

    def _batches(self, branch: tuple[int, ...], nodes: list[Node], readers: list[int]) -> bool:
        first = nodes[0]
        return (
            first.op.spec.batches
            and not first.op.values.get("shared")  # one table for the heads of a branch is none for those of all
            and len(set(branch)) == len(branch)
            and all(node.op is first.op and len(node.inputs) == len(first.inputs) for node in nodes)
            and all(self.types[i] == self.types[branch[0]] for i in branch)
            and all(self.types[j] == self.types[first.inputs[slot]] for node in nodes for slot, j in enumerate(node.inputs))
            and all(readers[i] == 1 for i in branch)
        )

    def roots(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(i for branch in self.stacked for i in branch))

    def emit(self, planner: _Planner) -> int:
        count = len(self.ends)
        made: dict[tuple[int, ...], int] = {}
        for branch in self.order:
            nodes = [self.graph.nodes[i] for i in branch]
            op, type_ = nodes[0].op, _times(self.types[branch[0]], count)
            sources = [tuple([node.inputs[slot] for node in nodes]) for slot in range(len(nodes[0].inputs))]
            if op.name == "conv" and op.values["groups"] == 1 and len(set(sources[0])) == 1:
                value = planner.full(planner.values[sources[0][0]])
                made[branch] = planner.emit("wide", op, branch, (value,), type_)
                continue
            for source in sources:
                if source not in made:
                    values = tuple([planner.full(planner.values[i]) for i in source])
                    made[source] = planner.emit("stack", None, source, values, _times(self.types[source[0]], count))
            made[branch] = planner.emit("batch", op, branch, tuple([made[source] for source in sources]), type_)
        return made[self.ends]


def _times(type_: Type, count: int) -> Type:
    if type(type_) is FeatureMap:
        return type_._replace(channels=type_.channels * count)
    assert type(type_) is AttentionMap
    return type_._replace(heads=type_.heads * count, key_heads=type_.key_heads * count)
