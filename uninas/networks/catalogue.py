"""Every network made by hand, by its name: the presets of the UniNAS space and the published networks."""

from __future__ import annotations

from collections.abc import Sequence

from uninas.errors import InputError
from uninas.graph import Architecture, Stage
from uninas.networks.presets import DEPTHS, PRESETS, STEM, letter_block
from uninas.networks.zoo import ZOO
from uninas.text import check


def preset(
    name: str,
    *,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    stem: Sequence[int] = STEM,
    classes: int = 1000,
    input_size: tuple[int, int] = (224, 224),
) -> Architecture:
    """Build a hand-made network, optionally at other widths and depths (one number per stage) and with another stem (two widths).

    Published networks (`uninas.networks.zoo`) are built as published.

    Raises InputError for an unknown name, a wrong number of stages, or a width that its blocks cannot have.
    """
    if name in ZOO:
        if widths or depths or tuple(stem) != STEM:
            raise InputError(f"preset {name}: expected no other widths, depths or stem: it is built as published")
        published = ZOO[name](classes=classes, input_size=input_size)
        check(published, f"preset {name}")
        return published
    if name not in PRESETS:
        raise InputError(f"expected a preset ({', '.join([*PRESETS, *ZOO])}), got {name!r}")
    usual, letters = PRESETS[name]
    widths, depths = tuple(widths or usual), tuple(depths or DEPTHS)
    if len(widths) != len(letters) or len(depths) != len(letters):
        raise InputError(
            f"preset {name}: expected {len(letters)} widths and {len(letters)} depths, got {len(widths)} and {len(depths)}"
        )
    if min(depths) < 1 or min(widths) < 1:
        raise InputError(f"preset {name}: expected widths and depths of at least 1, got {list(widths)} and {list(depths)}")
    if len(stem) != 2 or min(stem) < 1:
        raise InputError(f"preset {name}: expected two stem widths of at least 1, got {list(stem)}")
    stages = tuple(
        Stage(width, (letter_block(letter),) * depth) for width, depth, letter in zip(widths, depths, letters, strict=True)
    )
    architecture = Architecture(stages, classes=classes, input_size=input_size, stem=(stem[0], stem[1]))
    check(architecture, f"preset {name} with widths {list(widths)}")
    return architecture
