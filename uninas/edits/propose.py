"""Sample edits: the kind by a prior, then where, then what happens there."""

from __future__ import annotations

import difflib
import random
from collections.abc import Iterable, Mapping

from uninas.canonical import canonicalise
from uninas.edits.apply import apply
from uninas.edits.blocks import block_at_width, crossover_edit
from uninas.edits.edit import NAMES, Edit, Limits, Rejection
from uninas.edits.fragments import UNIVERSAL, Vocabulary
from uninas.edits.parts import site
from uninas.edits.sample_graph_edits import GRAPH_SAMPLERS, Where
from uninas.edits.sample_part_edits import PART_SAMPLERS, blocks_of
from uninas.edits.stages import crossover_stage_edit
from uninas.errors import InputError
from uninas.graph import Architecture, Graph
from uninas.ops import IllTyped
from uninas.rejections import Reason

PRIOR: dict[str, float] = {
    # inside a graph: of a block, or of a stem, transition or head that is a graph
    "insert": 4.0,
    "remove": 4.0,
    "replace": 3.0,
    "fork": 2.0,
    "unfork": 1.0,
    "connect": 1.0,
    "kernel": 1.0,
    "dilation": 0.25,
    "groups": 0.5,
    "expansion": 1.0,
    "head_dim": 0.5,
    "window": 0.25,
    # blocks
    "deepen": 0.5,
    "shorten": 0.5,
    "copy_block": 0.5,
    "move_block": 0.25,
    "drop_subblock": 0.25,
    # stages and the frame around them
    "width": 0.75,
    "stem": 0.1,
    "entry": 0.2,
    "head": 0.1,
    "add_stage": 0.1,
    "remove_stage": 0.1,
    "class_token": 0.1,
    # of two parents, where the algorithm draws two: these two against each other
    "crossover": 1.0,
    "crossover_stage": 0.25,
}
"""Kind of edit -> how often it is drawn, relative to the others."""

CROSSOVERS = ("crossover", "crossover_stage")
"""Kinds that take two parents: `cross` draws among them, `propose` among all others."""


def prior_of(changes: Mapping[str, float]) -> dict[str, float]:
    """Return PRIOR with some weights changed, in its own order; 0 switches a kind off.

    Raises InputError for an unknown kind, a negative weight, or if nothing is left that one parent is enough for.
    """
    for kind, weight in changes.items():
        if kind not in PRIOR:
            near = difflib.get_close_matches(kind, PRIOR, 1, cutoff=0.0)[0]
            raise InputError(f"expected kinds of edit ({', '.join(PRIOR)}), got {kind[:40]!r}, nearest is {near!r}")
        if not 0 <= weight < float("inf"):
            raise InputError(f"expected a weight of at least 0 for {kind}, got {weight}")
    made = {kind: float(changes.get(kind, weight)) for kind, weight in PRIOR.items()}
    if not sum(made.values()) < float("inf"):
        raise InputError("expected weights of edits with a finite sum")
    if not any(_weights(made, set(PRIOR) - set(CROSSOVERS)).values()):
        raise InputError("expected a kind of edit of one parent with a weight above 0, got none")
    return made


def _weights(prior: Mapping[str, float], kinds: Iterable[str]) -> dict[str, float]:
    return {kind: weight for kind, weight in prior.items() if kind in kinds and weight > 0}


def mutate(
    architecture: Architecture,
    rng: random.Random,
    limits: Limits | None = None,
    prior: Mapping[str, float] | None = None,
    words: Vocabulary = UNIVERSAL,
) -> tuple[Architecture, Edit] | Rejection:
    """Draw one edit and apply it: (canonical child, edit), or why there is no child."""
    return _made(architecture, propose(architecture, rng, prior, words), limits)


def cross(
    architecture: Architecture,
    donor: Architecture,
    rng: random.Random,
    limits: Limits | None = None,
    prior: Mapping[str, float] | None = None,
) -> tuple[Architecture, Edit] | Rejection:
    """Put a block or a stage of `donor` into `architecture`: (canonical child, edit), or why there is no child."""
    return _made(architecture, propose_crossover(architecture, donor, rng, prior), limits)


def _made(parent: Architecture, edit: Edit | Rejection, limits: Limits | None) -> tuple[Architecture, Edit] | Rejection:
    if isinstance(edit, Rejection):
        return edit
    child = apply(parent, edit, limits or Limits())
    return child if isinstance(child, Rejection) else (child, edit)


def propose(
    architecture: Architecture,
    rng: random.Random,
    prior: Mapping[str, float] | None = None,
    words: Vocabulary = UNIVERSAL,
) -> Edit | Rejection:
    """Draw an edit of the architecture's canonical form; `Reason.NO_SITE` where the drawn kind has no place to act."""
    parent = canonicalise(architecture)
    weights = dict(PRIOR if prior is None else prior)
    for kind in CROSSOVERS:
        weights.pop(kind, None)
    kind = rng.choices(list(weights), weights=list(weights.values()))[0]
    if kind in PART_SAMPLERS:
        edit = PART_SAMPLERS[kind](kind, parent, rng)
        return edit or Rejection(Reason.NO_SITE, f"no place for {kind} where it was drawn")
    return _inside(kind, parent, rng, words)


def _inside(kind: str, parent: Architecture, rng: random.Random, words: Vocabulary) -> Edit | Rejection:
    """An edit inside a graph: one of a block as likely as one of the frame, graph by graph."""
    places = [("block", s, b) for s, b in blocks_of(parent)]
    if isinstance(parent.stem, Graph):
        places.append(("stem", 0, 0))
    places += [("entry", s, 0) for s, stage in enumerate(parent.stages) if stage.transition is not None]
    if parent.head is not None:
        places.append(("head", 0, 0))
    if not places:
        return Rejection(Reason.NO_SITE, "the network has no block, and no graph as its stem, a transition or its head")
    part, stage, block = places[rng.randrange(len(places))]
    sub = rng.randrange(len(parent.stages[stage].blocks[block].subblocks)) if part == "block" else 0
    at = site(parent, Edit(kind, stage, block, sub, part=part))
    arguments = None
    if len(at.graph.nodes) > 1 or kind in ("insert", "fork"):
        arguments = GRAPH_SAMPLERS[kind](Where(at.graph, at.types, words, part == "head"), rng)
    if arguments is None:
        where = f"stage {stage + 1}, block {block + 1}" if part == "block" else f"the {NAMES[part]}"
        return Rejection(Reason.NO_SITE, f"no place for {kind} in {where}")
    return Edit(kind, stage, block, sub, arguments, part)


def propose_crossover(
    architecture: Architecture, donor: Architecture, rng: random.Random, prior: Mapping[str, float] | None = None
) -> Edit | Rejection:
    """Draw what of `donor` comes into `architecture`: a block, or a stage, of about the same depth in the network."""
    parent, other = canonicalise(architecture), canonicalise(donor)
    weights = _weights(PRIOR if prior is None else prior, CROSSOVERS)
    if not weights:
        return Rejection(Reason.NO_SITE, "the prior has no weight for a crossover")
    kind = rng.choices(list(weights), weights=list(weights.values()))[0]
    try:
        if kind == "crossover_stage":
            stage = rng.randrange(len(parent.stages))
            return crossover_stage_edit(parent, stage, other, _alike(stage, parent, other))
        sites = blocks_of(parent)
        if sites:
            stage, block = sites[rng.randrange(len(sites))]
            source, mine = other.stages[_alike(stage, parent, other)], parent.stages[stage]
            choices = [b for b in source.blocks if b != mine.blocks[block]]
            if choices:
                taken = choices[rng.randrange(len(choices))]
                return crossover_edit(stage, block, block_at_width(taken, source.width, mine.width))
    except IllTyped as error:
        return Rejection(Reason.ILL_TYPED, str(error))
    return Rejection(Reason.NO_SITE, "the other parent has no other block there")


def _alike(stage: int, parent: Architecture, other: Architecture) -> int:
    """The stage of the other parent that lies as deep in it."""
    return round(stage * (len(other.stages) - 1) / max(len(parent.stages) - 1, 1))
