"""Where in an architecture an edit acts: a sub-block of a block, or a graph of the frame."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from uninas.edits.edit import NAMES, Edit
from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Graph
from uninas.ops import Type


class Site(NamedTuple):
    """A graph and the map that it reads, by channels and class tokens; one of the frame may make others."""

    graph: Graph
    channels: int
    framed: bool
    tokens: int = 0

    @property
    def types(self) -> tuple[Type, ...]:
        """The types of its nodes. Raises GraphError."""
        infer = self.graph.frame_types if self.framed else self.graph.types
        return infer(self.channels, self.tokens)


def site(architecture: Architecture, edit: Edit) -> Site:
    """Return the graph that an edit acts on; an absent sub-block is the identity. Raises InputError where there is none."""
    if edit.part == "block":
        if not (
            0 <= edit.stage < len(architecture.stages)
            and 0 <= edit.block < len(architecture.stages[edit.stage].blocks)
            and 0 <= edit.sub < len(architecture.stages[edit.stage].blocks[edit.block].subblocks)
        ):
            raise InputError(
                f"expected a sub-block of the architecture, got stage {edit.stage + 1}, block {edit.block + 1}, "
                f"sub-block {edit.sub + 1}"
            )
        stage = architecture.stages[edit.stage]
        graph = stage.blocks[edit.block].subblocks[edit.sub]
        return Site(IDENTITY if graph is None else graph, stage.width, False, stage.tokens)
    if edit.part == "stem" and isinstance(architecture.stem, Graph):
        return Site(architecture.stem, architecture.in_channels, True)
    if edit.part == "head" and architecture.head is not None:
        last = architecture.flows()[-1]
        return Site(architecture.head, last.channels, True, last.tokens)
    if edit.part == "entry" and 0 <= edit.stage < len(architecture.stages):
        transition = architecture.stages[edit.stage].transition
        if transition is not None:
            given = architecture.flows()[edit.stage]
            return Site(transition, given.channels, True, given.tokens)
    raise InputError(f"expected a graph as the network's {NAMES[edit.part]}, got the template's (stage {edit.stage + 1})")


def with_graph(architecture: Architecture, edit: Edit, graph: Graph) -> Architecture:
    """Return a copy with another graph where the edit acts."""
    if edit.part == "stem":
        return architecture.replace(stem=graph)
    if edit.part == "head":
        return architecture.replace(head=graph)
    if edit.part == "entry":
        stages = list(architecture.stages)
        stages[edit.stage] = replace(stages[edit.stage], transition=graph)
        return architecture.replace(stages=tuple(stages))
    return architecture.with_subblock(edit.stage, edit.block, edit.sub, graph)
