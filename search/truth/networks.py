"""The networks of a ground truth: drawn from the whole space within a narrow band of the budget, the families in turn; presets.

Tries are numbered, and each has its own generator. A network counts if it is in the band and its family is wanted; it is the next
of its family. So with more networks wanted, the first ones stay, and they are spread over the families:

    tries      0: gate   1: over the budget   2: hybrid   3: gate     4: convolution
    networks   convolution-01, hybrid-01, gate-01, gate-02, ...
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import zip_longest

import uninas
from search.algorithms import derive
from search.algorithms.candidate import Candidate, Rejected
from search.spaces.budget import bounds_of
from search.spaces.graph_space import GraphSpace, Settings
from search.truth.families import family_of
from search.truth.settings import TruthConfig
from uninas import edits
from uninas.analysis.cost import Cost
from uninas.errors import InputError
from uninas.networks.fitted import fitted

__all__ = ["Network", "draw", "presets"]

_PATIENCE = 20_000
"""Tries since the last network that was taken, after which a family is given up: the rarest is about one in a thousand."""

_NEAR = 0.95  # the grammar aims at this share of the budget: higher, and most of what it makes is over it


@dataclass(frozen=True)
class Network:
    """A network of a ground truth.

    Attributes:
        name: of its file: its family and number, or the preset's name.
        family: of `FAMILIES`.
        architecture: in canonical form.
        cost: exact, at the size that it reads.
        drawn: whether it was drawn; else it is a preset.
    """

    name: str
    family: str
    architecture: uninas.Architecture
    cost: Cost
    drawn: bool


def draw(config: TruthConfig, classes: int, *, show: Callable[[int], None] = lambda found: None) -> list[Network]:
    """Draw `config.networks` networks, the families in turn.

    Args:
        config: of the ground truth.
        classes: outputs of the networks.
        show: called with how many are found.

    Raises:
        InputError: a family of which none fits the band.
    """
    space = _space(config, classes)
    share, odd = divmod(config.networks, max(1, len(config.families)))
    wanted = {name: share + (place < odd) for place, name in enumerate(config.families)}
    found: dict[str, list[Network]] = {name: [] for name in config.families}
    seen, last, number = set[str](), 0, 0
    while sum(map(len, found.values())) < config.networks:
        if number - last > _PATIENCE:
            left = {name: wanted[name] - len(some) for name, some in found.items()}
            missing = ", ".join(f"{count} of {name}" for name, count in left.items() if count)
            raise InputError(
                f"expected {config.networks} networks within the budget; {missing} were not found in {_PATIENCE:,} tries: "
                "widen the budget, lower fill, or leave the family out"
            )
        made = space.sample(random.Random(derive(config.seed, "truth", number)))
        number += 1
        if isinstance(made, Rejected) or not _fills(config, made) or {made.alike or made.digest, made.digest} & seen:
            continue
        family = family_of(made.body)
        if len(found.get(family, ())) < wanted.get(family, 0):
            name = f"{family}-{len(found[family]) + 1:02d}"
            found[family].append(Network(name, family, made.body, uninas.cost(made.body, (config.size[0], config.size[1])), True))
            seen |= {made.digest, made.alike or made.digest}
            last = number
            show(sum(map(len, found.values())))
    return _in_turn(found.values())


def presets(config: TruthConfig, classes: int) -> list[Network]:
    """Give the presets at the widths that fill the budget. Raises InputError: one that does not fit into it."""
    size, networks = (config.size[0], config.size[1]), []
    for name in config.presets:
        made = uninas.canonicalise(fitted(name, bounds_of(config.budget), classes=classes, input_size=size))
        networks.append(Network(name, family_of(made), made, uninas.cost(made, size), False))
    return networks


def _space(config: TruthConfig, classes: int) -> GraphSpace:
    """Make the space to sample from; its start is there for the numbers of classes and channels alone."""
    height, width = config.size
    start = fitted("resnet", bounds_of(config.budget), classes=classes, input_size=(height, width))
    settings = Settings(
        size=(height, width),
        limits=edits.Limits(nodes_per_subblock=config.nodes_per_subblock),
        random_edits=config.random_edits,
        sampler="grammar",
        words=edits.vocabulary(config.vocabulary),
        share=_NEAR,
    )
    return GraphSpace.of({"preset resnet": start}, config.budget, settings)


def _fills(config: TruthConfig, candidate: Candidate) -> bool:
    """Whether the candidate, which is within the budget, has enough of its parameters and MACs."""
    bounds = bounds_of(config.budget)
    return all(candidate.cost[name] >= config.fill * bounds[name] for name in ("params", "macs"))


def _in_turn(families: Iterable[list[Network]]) -> list[Network]:
    """Give the first of each family, then the second of each, and so on."""
    return [network for row in zip_longest(*families) for network in row if network is not None]
