"""Edits inside one graph, a sub-block's or the frame's: from a graph and an edit's arguments to a new graph, unchecked as yet.

An edge is (consumer, slot): input number `slot` of node `consumer`; consumer 0 stands for the graph's output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from uninas.edits.channels import classes, fit
from uninas.edits.fragments import FRAGMENTS
from uninas.errors import InputError
from uninas.graph import Graph, Node
from uninas.ops import MOST_CHANNELS, Op, Type, op, parse_op

Arguments = Mapping[str, int | str]
_ADD, _MULTIPLY, _SIGMOID, _CONCAT = op("add"), op("multiply"), op("sigmoid"), op("concat")
_HALVES = (op("slice", index=0, count=2), op("slice", index=1, count=2))
MERGES = ("add", "gate", "multiply", "split")
"""How a fork comes together: x + f(x); x * sigmoid(f(x)); x * f(x); concat(x's first half, f(x's second half))."""


class _Growth:
    """A graph being rewritten: new nodes go right after node `after`, later ones shift."""

    def __init__(self, graph: Graph, after: int) -> None:
        self.graph, self.after = graph, after
        self.nodes = list(graph.nodes[: after + 1])

    def add(self, operation: Op, *inputs: int) -> int:
        self.nodes.append(Node(operation, inputs))
        return len(self.nodes) - 1

    def include(self, fragment: Graph, start: int) -> int:
        index = [start]
        for node in fragment.nodes[1:]:
            index.append(self.add(node.op, *[index[i] for i in node.inputs]))
        return index[fragment.output]

    def close(self, consumer: int, slot: int, made: int) -> Graph:
        """Append the rest of the graph, with the edge (consumer, slot) now reading node `made`."""
        shift = len(self.nodes) - self.after - 1
        after = self.after
        for i in range(after + 1, len(self.graph.nodes)):
            operation, inputs = self.graph.nodes[i]
            moved = [j if j <= after else j + shift for j in inputs]
            if i == consumer:
                moved[slot] = made
            self.nodes.append(Node(operation, tuple(moved)))
        output = self.graph.output
        if consumer == 0:
            output = made
        elif output > after:
            output += shift
        return Graph(tuple(self.nodes), output)


def _integer(arguments: Arguments, name: str, high: int) -> int:
    value = arguments.get(name)
    if type(value) is not int or not 0 <= value < high:
        raise InputError(f"expected an edit's {name!r} to be an integer from 0 to {high - 1}, got {value!r}")
    return value


def _word(arguments: Arguments, name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"expected an edit's {name!r} to be one of {', '.join(known)}, got {str(value)[:60]!r}")
    return value


def _edge(graph: Graph, arguments: Arguments) -> tuple[int, int, int]:
    """(consumer, slot, source)."""
    consumer = _integer(arguments, "consumer", len(graph.nodes))
    if consumer == 0:
        return 0, 0, graph.output
    slot = _integer(arguments, "slot", len(graph.nodes[consumer].inputs))
    return consumer, slot, graph.nodes[consumer].inputs[slot]


def insert(graph: Graph, arguments: Arguments) -> Graph:
    """Put a fragment on an edge."""
    consumer, slot, source = _edge(graph, arguments)
    growth = _Growth(graph, source)
    made = growth.include(FRAGMENTS[_word(arguments, "fragment", FRAGMENTS)], source)
    return growth.close(consumer, slot, made)


def fork(graph: Graph, arguments: Arguments) -> Graph:
    """Split an edge in two: one branch as it was, one through a fragment, merged again."""
    consumer, slot, source = _edge(graph, arguments)
    fragment = FRAGMENTS[_word(arguments, "fragment", FRAGMENTS)]
    merge = _word(arguments, "merge", MERGES)
    growth = _Growth(graph, source)
    if merge == "split":
        kept = growth.add(_HALVES[0], source)
        made = growth.add(_CONCAT, kept, growth.include(fragment, growth.add(_HALVES[1], source)))
    else:
        branch = growth.include(fragment, source)
        made = _merge(growth, merge, source, branch)
    return growth.close(consumer, slot, made)


def connect(graph: Graph, arguments: Arguments) -> Graph:
    """Merge another node's output into an edge: a skip connection."""
    consumer, slot, source = _edge(graph, arguments)
    end = consumer or len(graph.nodes)
    other = _integer(arguments, "other", end)
    growth = _Growth(graph, max(source, other))
    made = _merge(growth, _word(arguments, "merge", MERGES[:3]), source, other)
    return growth.close(consumer, slot, made)


def _merge(growth: _Growth, merge: str, kept: int, branch: int) -> int:
    if merge == "gate":
        return growth.add(_MULTIPLY, kept, growth.add(_SIGMOID, branch))
    return growth.add(_ADD if merge == "add" else _MULTIPLY, kept, branch)


def remove(graph: Graph, arguments: Arguments) -> Graph:
    """Let the readers of `node` read the earlier node `instead`: what lies only between them is gone."""
    node = _integer(arguments, "node", len(graph.nodes))
    instead = _integer(arguments, "instead", max(node, 1))
    return _redirect(graph, node, instead)


def _redirect(graph: Graph, node: int, instead: int) -> Graph:
    nodes = list(graph.nodes)
    for i in range(node + 1, len(nodes)):
        operation, inputs = nodes[i]
        if node in inputs:
            nodes[i] = Node(operation, tuple([instead if j == node else j for j in inputs]))
    return Graph(tuple(nodes), instead if graph.output == node else graph.output)


def unfork(graph: Graph, arguments: Arguments) -> Graph:
    """Drop one input of a sum or product."""
    node = _integer(arguments, "node", len(graph.nodes))
    operation, inputs = graph.nodes[node]
    slot = _integer(arguments, "slot", len(inputs))
    if len(inputs) < 2 or not operation.spec.commutative:
        raise InputError(f"expected a sum or product of several inputs at node %{node}, got {operation.text}")
    return _with_node(graph, node, Node(operation, inputs[:slot] + inputs[slot + 1 :]))


def replace(graph: Graph, arguments: Arguments) -> Graph:
    """Put another operation with as many inputs in a node's place."""
    node = _integer(arguments, "node", len(graph.nodes))
    text = arguments.get("op")
    if not node or not isinstance(text, str):
        raise InputError(f"expected an edit's 'node' past the input and an 'op', got {node} and {text!r}")
    return _with_node(graph, node, Node(parse_op(text), graph.nodes[node].inputs))


def expansion(graph: Graph, arguments: Arguments, types: tuple[Type, ...]) -> Graph:
    """Give a convolution, and all that has as many channels as it makes, another number of them; the graph's ends keep theirs."""
    node = _integer(arguments, "node", len(graph.nodes))
    channels = _integer(arguments, "channels", MOST_CHANNELS)
    found = classes(graph, types)
    if graph.nodes[node].op.name != "conv" or found.of[node] == 0 or not channels:
        raise InputError(f"expected a convolution that makes a width of its own at node %{node}, got {graph.nodes[node].op.text}")
    return fit(graph, types, types[0][0], {found.of[node]: channels / found.factor[node]})


def _with_node(graph: Graph, index: int, node: Node) -> Graph:
    return Graph((*graph.nodes[:index], node, *graph.nodes[index + 1 :]), graph.output)


GRAPH_EDITS: dict[str, Callable[[Graph, Arguments], Graph]] = {
    "insert": insert,
    "fork": fork,
    "connect": connect,
    "remove": remove,
    "unfork": unfork,
    "replace": replace,
    "kernel": replace,
    "dilation": replace,
    "groups": replace,
    "head_dim": replace,
    "window": replace,
}
"""Kind of edit -> function. `kernel` and those after it are replacements drawn by rules of their own."""

TYPED_EDITS: dict[str, Callable[[Graph, Arguments, tuple[Type, ...]], Graph]] = {"expansion": expansion}
"""Kinds of edit inside a graph that ask for the types of its nodes."""
