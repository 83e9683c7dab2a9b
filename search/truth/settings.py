"""What a ground truth is made of: a YAML file with these keys, checked, and back."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from search.config.schema import BudgetConfig, PoolConfig
from search.config.trained import check_recipe
from search.config.typed import Schema, mapping
from search.config.validation import POOLS
from search.training.recipe import Recipe
from search.truth.families import FAMILIES
from uninas import edits
from uninas.errors import InputError
from uninas.files.reading import read_text
from uninas.networks.presets import PRESETS
from uninas.runtime import configurations

__all__ = ["ImagesConfig", "TruthConfig", "digest", "load", "to_yaml"]

SMALLEST_SIZE = 32  # pixels, of the grammar's networks


@dataclass
class ImagesConfig:
    """How the images of the folder are kept in the memory of a worker."""

    pixels: int = 32  # side; a batch is resized to `size`
    per_class: int | None = None  # training images of a class; null: all


@dataclass
class TruthConfig:
    """A whole ground truth. `load` fills it from YAML."""

    networks: int = 128  # drawn; the families take turns, so the first sixteen are a pilot of the same truth
    repeated: int = 16  # networks, the first ones, that are trained with every seed; the others with the first
    seeds: int = 2  # trainings of a repeated network, and of a preset
    families: list[str] = field(default_factory=lambda: list(FAMILIES))  # equally many networks of each
    presets: list[str] = field(default_factory=lambda: list(PRESETS))  # beside them, at the widths that fill the budget
    seed: int = 0  # decides what is drawn
    size: list[int] = field(default_factory=lambda: [64, 64])  # H, W in pixels that a network reads
    budget: BudgetConfig = field(default_factory=lambda: BudgetConfig(params=600_000, macs=13_000_000))
    fill: float = 0.85  # a network has at least this share of the budget's parameters, and of its MACs
    random_edits: int = 8  # a network is one of the grammar after 0 .. random_edits edits
    nodes_per_subblock: int = 32  # no edit grows a sub-block beyond this
    vocabulary: list[str] = field(default_factory=lambda: ["universal"])  # what edits and the grammar may use
    images: ImagesConfig = field(default_factory=ImagesConfig)
    recipe: Recipe = field(default_factory=Recipe)
    pool: PoolConfig = field(default_factory=PoolConfig)


SCHEMA = Schema(TruthConfig)
_GROWS = ("networks", "repeated", "seeds")
"""Keys that a resume may raise: what is trained stays."""


def load(path: str | Path, overrides: Sequence[str] = ()) -> TruthConfig:
    """Read a configuration file, or a shipped one by its name, apply `key=value` overrides, and check it.

    Raises:
        InputError: the file is missing, or holds or gets a key or value that cannot be.
    """
    found = Path(path)
    if not found.suffix and len(found.parts) == 1 and not found.exists():
        found = configurations.find(str(path), ("truth",))
    try:
        text = read_text(found)
    except (OSError, ValueError) as error:
        said = "no such file" if isinstance(error, FileNotFoundError) else f"cannot read it: {error}"
        raise InputError(f"{found}: expected the configuration of a ground truth (YAML); {said}") from None
    values = mapping(text, str(found), "keys of a ground truth")
    for override in overrides:
        SCHEMA.override(values, override)
    config = SCHEMA.fill(values, str(found))
    _check(config, str(found))
    return config


def to_yaml(config: TruthConfig) -> str:
    """Write the whole configuration, defaults included, as YAML that `load` reads back to an equal one."""
    return yaml.safe_dump(dataclasses.asdict(config), sort_keys=False)


def digest(config: TruthConfig) -> str:
    """Give the SHA-256 of all that decides the accuracies; how many networks there are, and who trains them, does not."""
    decisive = {name: value for name, value in dataclasses.asdict(config).items() if name not in (*_GROWS, "pool")}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _check(config: TruthConfig, source: str) -> None:
    """Raise `InputError` for what cannot be, with its key."""

    def expect(holds: bool, where: str, expected: str, got: object) -> None:
        if not holds:
            raise InputError(f"{source}: {where}: expected {expected}; got {got}")

    images = config.images

    def expect_of_training(holds: bool, where: str, expected: str, got: object) -> None:
        expect(holds, where if where.startswith("recipe.") else f"images.{where}", expected, got)

    check_recipe(config.recipe, images.pixels, images.per_class, expect_of_training)
    for where, value, least in (
        ("networks", config.networks, 0),
        ("repeated", config.repeated, 0),
        ("seeds", config.seeds, 1),
        ("seed", config.seed, 0),
        ("random_edits", config.random_edits, 0),
        ("nodes_per_subblock", config.nodes_per_subblock, 1),
        ("pool.workers", config.pool.workers, 1),
    ):
        expect(value >= least, where, f"at least {least}", value)
    expect(0 < config.fill < 1, "fill", "a share between 0 and 1", config.fill)
    expect(config.pool.kind in POOLS, "pool.kind", " or ".join(POOLS), f"'{config.pool.kind}'")
    expect(config.networks + len(config.presets) > 0, "networks", "a network, or presets", 0)
    expect(config.networks == 0 or bool(config.families), "families", f"some of {', '.join(FAMILIES)}", "none")
    for where, given, known in (("families", config.families, FAMILIES), ("presets", config.presets, tuple(PRESETS))):
        wrong = next((name for name in given if name not in known), None)
        expect(wrong is None, where, f"some of {', '.join(known)}", f"'{wrong}'")
        expect(len(set(given)) == len(given), where, "each name once", ", ".join(given))
    budget = config.budget
    expect(budget.params is not None and budget.macs is not None, "budget", "both params and macs, a narrow band", "one of them")
    expect(budget.latency_ms is None, "budget.latency_ms", "none: latencies are measured by a search", budget.latency_ms)
    expect(
        len(config.size) == 2 and min(config.size) >= SMALLEST_SIZE,
        "size",
        f"height and width of at least {SMALLEST_SIZE} pixels",
        config.size,
    )
    try:
        edits.vocabulary(config.vocabulary)
    except InputError as error:
        raise InputError(f"{source}: vocabulary: {error}") from None
