"""The space that a configuration describes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import uninas
from search.algorithms.candidate import Space
from search.config.schema import SearchConfig
from search.spaces.budget import bounds_of
from search.spaces.choice_space import GenotypeSpace
from search.spaces.graph_space import GraphSpace, Settings
from uninas import edits
from uninas.networks.fitted import fitted
from uninas.spaces import SPACES, own


def from_config(config: SearchConfig, stored: Path | None = None) -> Space:
    """Make the space that a configuration describes; `stored` replaces its file by a run's own copy.

    Raises:
        InputError: no such preset or file, it does not suit the widths, its file is no space, or a start breaks the budget.
    """
    height, width = config.size
    space = config.space
    if space.name is not None or space.file is not None:
        return _chosen(config, stored)
    starts: dict[str, uninas.Architecture] = {}
    if space.preset is not None:
        starts[f"preset {space.preset}"] = uninas.preset(
            space.preset,
            widths=space.widths,
            depths=space.depths,
            stem=space.stem,
            classes=config.classes,
            input_size=(height, width),
        )
    elif space.architecture is not None:
        start = uninas.load(stored or space.architecture)
        starts[str(stored or space.architecture)] = dataclasses.replace(start, classes=config.classes)
    for name in space.fitted:
        made = fitted(name, bounds_of(config.budget), classes=config.classes, input_size=(height, width))
        starts[f"preset {name}, fitted"] = made
    settings = Settings(
        size=(height, width),
        limits=edits.Limits(nodes_per_subblock=space.nodes_per_subblock),
        random_edits=space.random_edits,
        sampler=space.sampler,
        prior=edits.prior_of(space.prior),
        words=edits.vocabulary(space.vocabulary),
        regularisers=space.regularisers,
    )
    return GraphSpace.of(starts, config.budget, settings)


def _chosen(config: SearchConfig, stored: Path | None) -> GenotypeSpace:
    """Make the space that `space.name` or `space.file` names."""
    height, width = config.size
    if config.space.name is not None:
        space = SPACES[config.space.name]
    else:
        assert config.space.file is not None
        space = own.load(stored or Path(config.space.file))
    return GenotypeSpace.of(space, config.budget, classes=config.classes, size=(height, width), start=config.space.start)
