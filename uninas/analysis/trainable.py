r"""Which parameters of a canonical architecture no gradient reaches: those that only ever see a zero, or lie before one.

The map that passes through the network is followed from the stem to the head. A layer fed by a zero still learns its bias; a
norm whose map only reaches zeros learns nothing; and where a plain part does not read its input at all, nothing before it learns.
Where the pixels behind a class token are not read, what lies before the token learns nothing either (`uninas.analysis.lanes`).

A network whose second block is a plain zero. Nothing before that block gets a gradient: neither the stem's 404 parameters nor the
convolution's 584. Behind it the final LayerNorm reads zeros, so that of its 16 parameters only the 8 biases learn:

    >>> from uninas.text import parse_graph
    >>> conv, zero = parse_graph("%1 = conv(kernel=3) %0\nreturn %1"), parse_graph("%1 = zero %0\nreturn %1")
    >>> blocks = (Block((conv,), residual=False), Block((zero,), residual=False))
    >>> network = Architecture((Stage(8, blocks),), classes=3, input_size=(8, 8), stem=(4, 8))
    >>> never_trained(network, classes=3) == 404 + 584 + 8
    True

Were the second block residual, it would add nothing and be absent, and all would learn:

    >>> from uninas.canonical import canonicalise
    >>> blocks = (Block((conv,), residual=False), Block((zero, None)))
    >>> never_trained(canonicalise(network.replace(stages=(Stage(8, blocks),))), classes=3)
    0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from uninas.analysis.graph_cost import frame_cost, graph_cost
from uninas.analysis.lanes import Lanes, Place, cuts_of, read_lanes
from uninas.canonical import canonical_frame, canonical_plain
from uninas.graph import Architecture, Block, Flow, Graph, Node, Stage, head_channels
from uninas.ops import INPUT, Type, op


def never_trained(canonical: Architecture, classes: int) -> int:
    """Count the parameters of a canonical architecture with a head of `classes` outputs (0: none) that get no gradient."""
    walk = _Walk(cuts_of(canonical))
    flows = canonical.flows()
    if isinstance(canonical.stem, Graph):
        walk.frame(canonical.stem, Flow(canonical.in_channels, canonical.image()), ("stem",))
    else:
        first, second = canonical.stem
        walk.met = 9 * canonical.in_channels * first + 2 * first + 9 * first * second
    for number, (stage, before, after) in enumerate(zip(canonical.stages, flows, flows[1:], strict=False)):
        walk.stage(stage, before, after, number)
    if classes:
        if canonical.head is not None:
            walk.frame(canonical.head, flows[-1], ("head",))
            walk.linear(head_channels(canonical), classes)
        elif walk.zero:
            walk.dead += flows[-1].channels  # the LayerNorm's weight
    return walk.dead


class _Walk:
    """What was met on the way: all parameters, the dead among them, and whether the map is zero here."""

    def __init__(self, cuts: Mapping[Place, Lanes]) -> None:
        self.cuts = cuts
        self.met = self.dead = 0
        self.zero = False

    def stage(self, stage: Stage, before: Flow, after: Flow, number: int) -> None:
        """Walk the transition, if there is one, and the blocks; `after` follows from `before`, but for how halves are rounded.

        Where the map is not zero, and blocks are residual or no part is a zero, the counts do not depend on what lies before the
        stage: they are kept with it.
        """
        key = ("never trained", before, after.place)
        cut = any(place[0] == number for place in self.cuts)
        if not self.zero and not cut and key in stage.memo:
            dead, met = stage.memo[key]
            self.dead, self.met = self.dead + dead, self.met + met
            return
        residual = stage.transition is None and all(block.residual for block in stage.blocks)
        keep = not self.zero and not cut and (residual or not _holds_zero(stage))
        dead, met = self.dead, self.met
        if stage.transition is not None:
            self.frame(stage.transition, before, (number,))
        for index, block in enumerate(stage.blocks):
            halved = before.channels if index == 0 and stage.transition is None else None
            if block.residual:
                self.residual(block, stage, after, halved, (number, index))
            else:
                self.plain(block, stage, after, halved, (number, index))
        if keep:
            stage.memo[key] = (self.dead - dead, self.met - met)

    def frame(self, graph: Graph, given: Flow, place: Place) -> None:
        self._graph(
            graph,
            lambda g: canonical_frame(g, given),
            lambda g: frame_cost(g, given)[0],
            given.types,
            ("frame", given),
            place,
        )

    def plain(self, block: Block, stage: Stage, at: Flow, halved: int | None, place: Place) -> None:
        """Walk a plain block, at a map of that kind; `halved`: the channels that it reads where it halves the resolution."""
        if halved is not None:
            self._project(halved, stage.width)
        for sub, graph in enumerate(block.subblocks):
            if graph is not None:
                self._graph(
                    graph,
                    lambda g: canonical_plain(g, stage),
                    lambda g: graph_cost(g, at)[0],
                    stage.types,
                    ("plain", at),
                    (*place, sub),
                )

    def linear(self, channels: int, made: int) -> None:
        """Walk a linear layer with a bias."""
        self.dead += channels * made * self.zero
        self.met += channels * made + made
        self.zero = False

    def _project(self, channels: int, width: int) -> None:
        """The shortcut of a block that halves the resolution."""
        if channels != width:
            self.linear(channels, width)

    def _graph(
        self,
        graph: Graph,
        form: Callable[[Graph], Graph],
        parameters: Callable[[Graph], int],
        types: Callable[[Graph], tuple[Type, ...]],
        at: tuple[str, Flow],
        place: Place,
    ) -> None:
        """Walk a graph without a shortcut: where it does not read its input, all before it is dead. `at`: its kind and place.

        Kept with the graph, since one graph may stand in thousands of blocks.
        """
        wanted = self.cuts.get(place)
        key = ("leads on", at, self.zero, wanted)
        if key not in graph.memo:
            every, left = parameters(graph), graph
            if self.zero:  # what is left of it when it reads a zero
                left = form(_of_zero(graph))
            dead = every - parameters(left) + _unseen(left, types, at[1])
            reads = _reads_input(left)
            if wanted is not None:
                unread, read = _unread(left, types(left), at[1], wanted)
                dead, reads = dead + unread, reads and read
            graph.memo[key] = every, dead, reads, left.nodes[left.output].op.name == "zero"
        every, dead, reads, zero = graph.memo[key]
        if not (self.zero or reads):
            self.dead = self.met
        self.dead, self.met, self.zero = self.dead + dead, self.met + every, zero

    def residual(self, block: Block, stage: Stage, at: Flow, halved: int | None, place: Place) -> None:
        """Walk a residual block: its shortcut passes the map on whatever its sub-blocks do."""
        width = stage.width
        given_zero = self.zero
        if halved is not None:
            self._project(halved, width)
        for sub, graph in enumerate(block.subblocks):
            if graph is None:
                continue
            first = sub == 0 and halved is not None
            channels = halved if first and halved is not None else width
            front = 2 * channels + (channels * width + width if first and channels != width else 0)
            reads = _reads_input(graph)
            if (wanted := self.cuts.get((*place, sub))) is not None:
                unread, read = _unread(graph, stage.types(graph), at, wanted)
                self.dead, reads = self.dead + unread, reads and read
            if not reads:
                self.dead += front
            elif given_zero if first else self.zero:
                self.dead += channels  # a norm of zeros learns its bias alone
            self.dead += _unseen(graph, stage.types, at)
            self.met += front + graph_cost(graph, at)[0]
            self.zero = False


def _holds_zero(stage: Stage) -> bool:
    graphs = [stage.transition, *(graph for block in stage.blocks for graph in block.subblocks)]
    return any(graph is not None and _has_zero(graph) for graph in graphs)


def _has_zero(graph: Graph) -> bool:
    if "has zero" not in graph.memo:
        graph.memo["has zero"] = any(node.op.name == "zero" for node in graph.nodes)
    found: bool = graph.memo["has zero"]
    return found


def _of_zero(graph: Graph) -> Graph:
    """The graph, reading a zero in place of its input: one object, which keeps what is derived from it."""
    if "of zero" not in graph.memo:
        shifted = [Node(node.op, tuple([i + 1 for i in node.inputs])) for node in graph.nodes[1:]]
        graph.memo["of zero"] = Graph((Node(INPUT, ()), Node(op("zero"), (0,)), *shifted), graph.output + 1)
    found: Graph = graph.memo["of zero"]
    return found


def _unseen(graph: Graph, infer: Callable[[Graph], tuple[Type, ...]], at: Flow) -> int:
    """Parameters of layers fed by a zero, their biases left out, in a graph that reads that map."""
    if not _has_zero(graph):
        return 0
    if ("unseen", at) not in graph.memo:
        types, unseen = infer(graph), 0
        for (operation, inputs), made in zip(graph.nodes, types, strict=True):
            spec = operation.spec
            if spec.bias_parameters is not None and graph.nodes[inputs[0]].op.name == "zero":
                assert spec.parameters is not None
                unseen += spec.parameters(operation, types[inputs[0]], made, at.place)
                unseen -= spec.bias_parameters(operation, made, at.place)
        graph.memo["unseen", at] = unseen
    found: int = graph.memo["unseen", at]
    return found


def _unread(graph: Graph, types: tuple[Type, ...], at: Flow, wanted: Lanes) -> tuple[int, bool]:
    """Parameters that lead only to pixels which nobody reads, and whether the input is read. `_unseen` counts some apart."""
    read, unread = read_lanes(graph, types, wanted), 0
    for (operation, inputs), made, lanes in zip(graph.nodes[1:], types[1:], read[1:], strict=True):
        spec = operation.spec
        if lanes or spec.parameters is None:
            continue
        unread += spec.parameters(operation, types[inputs[0]], made, at.place)
        if spec.bias_parameters is not None and graph.nodes[inputs[0]].op.name == "zero":  # its weights are unseen
            unread -= spec.parameters(operation, types[inputs[0]], made, at.place)
            unread += spec.bias_parameters(operation, made, at.place)
    return unread, bool(read[0])


def _reads_input(graph: Graph) -> bool:
    """Whether the output depends on the input otherwise than through a zero."""
    if not _has_zero(graph):
        return True
    if "reads input" not in graph.memo:
        reached = [True]
        for operation, inputs in graph.nodes[1:]:
            reached.append(operation.name != "zero" and any(reached[i] for i in inputs))
        graph.memo["reads input"] = reached[graph.output]
    found: bool = graph.memo["reads input"]
    return found
