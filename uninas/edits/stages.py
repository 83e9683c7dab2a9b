"""Edits of stages and of the frame: widths, transitions, stem, head, stages added and removed, crossover of a stage.

What reads a map whose channels change (the next stage's transition, or the head) is fitted to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from uninas.canonical import EMPTY, canonicalise
from uninas.edits.blocks import block_at_width, bounded
from uninas.edits.channels import leading, reading
from uninas.edits.edit import Edit
from uninas.edits.forms import ACTIVATIONS, HEADS, STEMS, TRANSITIONS, template_stem
from uninas.edits.macros import chain
from uninas.errors import InputError
from uninas.graph import Architecture, Block, Graph, Node, Stage
from uninas.ops import IllTyped, Op, op
from uninas.text import parse_graph

_WIDEST = 1 << 16


def _word(edit: Edit, name: str, known: Iterable[str]) -> str:
    value = edit.arguments.get(name)
    if not isinstance(value, str) or value not in known:
        raise InputError(f"expected an edit's {name!r} to be one of {', '.join(known)}, got {str(value)[:60]!r}")
    return value


def _act(edit: Edit) -> Op:
    return op(_word(edit, "act", ACTIVATIONS))


def _stage(architecture: Architecture, edit: Edit) -> Stage:
    if not 0 <= edit.stage < len(architecture.stages):
        raise InputError(
            f"expected a stage of the architecture, which has {len(architecture.stages)}, got stage {edit.stage + 1}"
        )
    return architecture.stages[edit.stage]


def _joined(architecture: Architecture, stages: list[Stage], at: int, before: int, after: int) -> Architecture:
    """The network with these stages, of which number `at` (or the head) now reads `after` channels in place of `before`."""
    head, tokens = architecture.head, stages[at - 1].tokens if at else 0
    if at == len(stages):
        head = None if head is None else reading(head, before, after, tokens)
    elif (transition := stages[at].transition) is not None:
        stages[at] = replace(stages[at], transition=reading(transition, before, after, tokens))
    return architecture.replace(stages=tuple(stages), head=head)


def _given(architecture: Architecture, stage: int) -> int:
    """Channels that a stage reads."""
    return architecture.flows()[stage].channels


def width(architecture: Architecture, edit: Edit) -> Architecture:
    """Give a stage, or the stem, another width; of the template's stem also the inner one."""
    wanted = bounded(edit, "width", 1, _WIDEST)
    if edit.part == "stem":
        return _stem_width(architecture, edit, wanted)
    stage = _stage(architecture, edit)
    blocks = tuple([block_at_width(block, stage.width, wanted) for block in stage.blocks])
    given = architecture.flows()[edit.stage]
    new = None if stage.transition is None else leading(stage.transition, given.channels, wanted, given.tokens)
    stages = list(architecture.stages)
    stages[edit.stage] = Stage(wanted, blocks, new, stage.tokens)
    return _joined(architecture, stages, edit.stage + 1, stage.width, wanted)


def _stem_width(architecture: Architecture, edit: Edit, wanted: int) -> Architecture:
    stem, before = architecture.stem, _given(architecture, 0)
    if isinstance(stem, Graph):
        stem = leading(stem, architecture.in_channels, wanted)
    elif bounded(edit, "slot", 0, 1) == 0:
        return architecture.replace(stem=(wanted, stem[1]))
    else:
        stem = (stem[0], wanted)
    return _joined(architecture.replace(stem=stem), list(architecture.stages), 0, before, wanted)


def stem(architecture: Architecture, edit: Edit) -> Architecture:
    """Put a ready-made stem in the stem's place."""
    made, before = bounded(edit, "width", 1, _WIDEST), _given(architecture, 0)
    new = STEMS[_word(edit, "form", STEMS)](architecture.in_channels, made, _act(edit))

    def built(new: Graph | tuple[int, int]) -> Architecture:
        return _joined(architecture.replace(stem=new), list(architecture.stages), 0, before, made)

    old = architecture.stem
    if isinstance(old, Graph) and architecture.flows()[0].tokens and not _fits(built, new):
        return built(_with_tokens(new if isinstance(new, Graph) else template_stem(architecture.in_channels, *new), old))
    return built(new)


def transition(architecture: Architecture, edit: Edit) -> Architecture:
    """Put a ready-made transition in the place of a stage's, or the template's."""
    stage = _stage(architecture, edit)
    given = architecture.flows()[edit.stage]
    new = TRANSITIONS[_word(edit, "form", TRANSITIONS)](given.channels, stage.width, _act(edit))
    blocks = stage.blocks or (() if new is not None else (EMPTY,))

    def built(new: Graph | None, tokens: int) -> Architecture:
        stages = list(architecture.stages)
        stages[edit.stage] = Stage(stage.width, blocks, new, tokens)
        return architecture.replace(stages=tuple(stages))

    if stage.tokens and stage.transition is not None and new is not None and not _fits(built, new, 0):
        return built(new if given.tokens else _with_tokens(new, stage.transition), stage.tokens)
    return built(new, 0)


def head(architecture: Architecture, edit: Edit) -> Architecture:
    """Put a ready-made head in the head's place."""
    channels = architecture.flows()[-1].channels
    return architecture.replace(head=HEADS[_word(edit, "form", HEADS)](channels, _act(edit)))


def add_stage(architecture: Architecture, edit: Edit) -> Architecture:
    """Add a stage after a stage: a ready-made transition to some width, and the stage's last block again."""
    stage, wanted = _stage(architecture, edit), bounded(edit, "width", 1, _WIDEST)
    new = TRANSITIONS[_word(edit, "form", TRANSITIONS)](stage.width, wanted, _act(edit))
    last = stage.blocks[-1] if stage.blocks else EMPTY

    def built(tokens: int) -> Architecture:
        added = Stage(wanted, (block_at_width(last, stage.width, wanted),), new, tokens)
        stages = [*architecture.stages[: edit.stage + 1], added, *architecture.stages[edit.stage + 1 :]]
        return _joined(architecture, stages, edit.stage + 2, stage.width, wanted)

    if stage.tokens and not _fits(built, 0):
        return built(stage.tokens)
    return built(0)


def remove_stage(architecture: Architecture, edit: Edit) -> Architecture:
    """Leave out a stage with its way down; a network keeps at least one."""
    stage = _stage(architecture, edit)
    if len(architecture.stages) == 1:
        raise InputError("expected a network of several stages to remove one of, got one stage")
    stages = [*architecture.stages[: edit.stage], *architecture.stages[edit.stage + 1 :]]
    return _joined(architecture, stages, edit.stage, stage.width, _given(architecture, edit.stage))


def class_token(architecture: Architecture, edit: Edit) -> Architecture:
    """Put a class token in front of the last stage's pixels, which the head reads in place of their mean; or take it away."""
    stage, head = architecture.stages[-1], architecture.head or chain(op("layer_norm"))
    if stage.transition is None:
        raise InputError("expected a last stage with a transition of its own, to end it in a class token, got none")
    token, take, mean = op("class_token"), op("take_class_token"), op("global_average_pool")
    if stage.tokens:
        return _without_token(architecture).replace(head=_with_op(head, take, mean))
    into, pooled = _followed(stage.transition, token), any(node.op is mean for node in head.nodes)
    head = _with_op(head, mean, take) if pooled else _followed(head, take)
    return architecture.replace(stages=(*architecture.stages[:-1], replace(stage, transition=into, tokens=1)), head=head)


def _without_token(architecture: Architecture) -> Architecture:
    """Leave out the class token where it is put in: at the end of the last transition that does so, else of the stem."""
    stages = list(architecture.stages)
    for number in range(len(stages) - 1, -1, -1):
        into = stages[number].transition
        if not stages[number].tokens or into is None:
            break
        ends = _ends_in_token(into)
        stages[number] = replace(stages[number], transition=_before_end(into) if ends else into, tokens=0)
        if ends:
            return architecture.replace(stages=tuple(stages))
    if isinstance(architecture.stem, Graph) and not stages[0].tokens and _ends_in_token(architecture.stem):
        return architecture.replace(stages=tuple(stages), stem=_before_end(architecture.stem))
    raise IllTyped("the class token is not put in at the end of a transition or of the stem")


def _ends_in_token(graph: Graph) -> bool:
    return graph.nodes[graph.output].op.name == "class_token"


def _before_end(graph: Graph) -> Graph:
    return Graph(graph.nodes, graph.nodes[graph.output].inputs[0])


def _with_tokens(graph: Graph, old: Graph) -> Graph:
    """Give a graph of the frame the end of another that puts a class token in, with the positions that it embeds."""
    for node in old.nodes:
        if node.op.name in ("position_embedding", "class_token"):
            graph = _followed(graph, node.op)
    return graph


def _fits(built: Callable[..., Architecture], *arguments: object) -> bool:
    """Return whether all graphs of what is built are well typed."""
    try:
        canonicalise(built(*arguments))
    except IllTyped:
        return False
    return True


def _followed(graph: Graph, operation: Op) -> Graph:
    return Graph((*graph.nodes, Node(operation, (graph.output,))), len(graph.nodes))


def _with_op(graph: Graph, old: Op, new: Op) -> Graph:
    return Graph(tuple([Node(new, node.inputs) if node.op is old else node for node in graph.nodes]), graph.output)


# --- crossover of a stage -------------------------------------------------------------------------------------------------


def crossover_stage(architecture: Architecture, edit: Edit) -> Architecture:
    """Put a stage of another parent in a stage's place; the edit carries it, so it replays alone.

    `blocks` names the graphs of one block after the other, "g1 absent; plain g2"; `g1`, ... are their texts; `entry` names the
    transition.
    """
    stage = _stage(architecture, edit)
    graphs = {name: parse_graph(str(text), name) for name, text in edit.arguments.items() if re.fullmatch(r"g[0-9]+", name)}
    written, wanted = edit.arguments.get("blocks"), bounded(edit, "width", 1, _WIDEST)
    if not isinstance(written, str):
        raise InputError(f"expected a crossover of a stage to carry its 'blocks' as text, got {written!r}")
    blocks = tuple([_read_block(row.split(), graphs) for row in written.split(";") if row.strip()])
    new = _named(str(edit.arguments["entry"]), graphs) if "entry" in edit.arguments else None
    stages = list(architecture.stages)
    stages[edit.stage] = Stage(wanted, blocks, new, bounded(edit, "tokens", 0, 1) if "tokens" in edit.arguments else 0)
    return _joined(architecture, stages, edit.stage + 1, stage.width, wanted)


def _read_block(names: list[str], graphs: Mapping[str, Graph]) -> Block:
    plain = bool(names) and names[0] == "plain"
    subblocks = tuple([None if name == "absent" else _named(name, graphs) for name in names[plain:]])
    if not plain and len(subblocks) != 2:
        raise InputError(f"expected two graphs of a residual block, got {len(subblocks)}")
    return Block(subblocks, residual=not plain)


def _named(name: str, graphs: Mapping[str, Graph]) -> Graph:
    if name not in graphs:
        raise InputError(f"expected one of the graphs that the crossover carries ({', '.join(graphs)}), got {name[:40]!r}")
    return graphs[name]


def crossover_stage_edit(architecture: Architecture, stage: int, donor: Architecture, donor_stage: int) -> Edit:
    """Return the crossover that puts a stage of `donor` in place of another. Raises IllTyped where it cannot fit."""
    given, taken = _given(architecture, stage), donor.stages[donor_stage]
    names: dict[Graph, str] = {}

    def name(graph: Graph | None) -> str:
        return "absent" if graph is None else names.setdefault(graph, f"g{len(names) + 1}")

    more: dict[str, int | str] = {}
    if taken.transition is not None:
        read = donor.flows()[donor_stage]
        more["entry"] = name(reading(taken.transition, read.channels, given, read.tokens))
    if taken.tokens:
        more["tokens"] = taken.tokens
    rows = [" ".join([*([] if b.residual else ["plain"]), *map(name, b.subblocks)]) for b in taken.blocks]
    graphs = {called: graph.text for graph, called in names.items()}
    return Edit("crossover_stage", stage, arguments={"width": taken.width, "blocks": "; ".join(rows), **more, **graphs})


STAGE_EDITS: dict[str, Callable[[Architecture, Edit], Architecture]] = {
    "width": width,
    "stem": stem,
    "entry": transition,
    "head": head,
    "add_stage": add_stage,
    "remove_stage": remove_stage,
    "class_token": class_token,
    "crossover_stage": crossover_stage,
}
"""Kind of edit -> function."""
