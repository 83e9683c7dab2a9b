"""Sample whole random architectures from a grammar of networks, instead of walking from one.

    network  := stem stage+ head                        3 to 5 stages, stem and head of `uninas.edits.forms` stage    :=
    transition block+                       transitions of `uninas.edits.forms`; 1 to 24 blocks in the network block    := recipe
    of `uninas.grammar.recipes`, one per stage; half of the networks have one or two

Widths are settled last: they grow along the network by drawn factors, and are scaled together until the costliest of the bounded
parameters and MACs comes near a drawn share of its bound. Attention stands only where its map is within its bound, and depth is
cut where there would be too many layers. So nearly all samples are within their bounds, and the caller checks them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

from uninas.analysis.cost import Cost, cost
from uninas.edits.forms import ACTIVATIONS, HEADS, STEMS, TRANSITIONS
from uninas.edits.fragments import UNIVERSAL, Vocabulary
from uninas.grammar.recipes import RECIPES, Recipe, attends
from uninas.graph import Architecture, Stage
from uninas.ops import op

MOST_BLOCKS = 24
MOST_TOKENS = 1024
"""Of an attention map, by default."""

_STAGES, _HOW_OFTEN = (3, 4, 5), (1, 3, 1)
_KEEPS = "project"  # the transition that does not halve the resolution
_LEAST_SHARE, _TOO_LARGE, _TOO_SMALL = 0.2, 0.9, 1.25  # of a bound; of the share, to be scaled once more
_ROUNDS = 6
_STEM_STEP = 8
_WIDEST = 4096


@dataclass(frozen=True)
class _Outline:
    """A network with relative widths."""

    stem: str
    stem_width: float
    transitions: tuple[str, ...]
    recipes: tuple[Recipe, ...]
    widths: tuple[float, ...]
    depths: tuple[int, ...]
    head: str
    act: str

    def build(self, scale: float, classes: int, input_size: tuple[int, int], in_channels: int) -> Architecture:
        """Return the network with all widths scaled, each a multiple of what its blocks ask for."""
        act = op(self.act)
        given = _multiple(self.stem_width * scale, _STEM_STEP)
        stem = STEMS[self.stem](in_channels, given, act)
        stages = []
        for form, recipe, relative, depth in zip(self.transitions, self.recipes, self.widths, self.depths, strict=True):
            width = _multiple(relative * scale, recipe.step)
            transition = TRANSITIONS[form](given, width, act)
            stages.append(Stage(width, (recipe.make(width),) * depth, transition))
            given = width
        return Architecture(tuple(stages), classes, input_size, stem, in_channels, HEADS[self.head](given, act))


def _multiple(wanted: float, step: int) -> int:
    return min(max(round(wanted / step), 1) * step, _WIDEST)


def sample_network(
    rng: random.Random,
    *,
    input_size: tuple[int, int],
    classes: int,
    in_channels: int = 3,
    bounds: Mapping[str, int] | None = None,
    words: Vocabulary = UNIVERSAL,
    share: float | None = None,
) -> Architecture:
    """Sample one architecture whose costs at the reference size are within the bounds as far as that can be arranged.

    Args:
        rng: decides everything.
        input_size: (H, W) in pixels, at least 32 each.
        classes: outputs of the head.
        in_channels: channels of the image.
        bounds: inclusive upper bounds by name: params, macs, layers, attention_tokens.
        words: fragments that blocks made of fragments may hold.
        share: of its bound that the costliest of parameters and MACs is to come near; None: drawn.

    Raises IllTyped where a fragment does not fit a width.
    """
    bounds = bounds or {}
    outline = _outline(rng, input_size, bounds, words)
    if share is None:
        share = math.exp(rng.uniform(math.log(_LEAST_SHARE), math.log(_TOO_LARGE)))
    wanted = {name: share * bounds[name] for name in ("params", "macs") if name in bounds}
    layers = bounds.get("layers")
    scale, architecture = 1.0, outline.build(1.0, classes, input_size, in_channels)
    for _ in range(_ROUNDS):
        made = cost(architecture)
        if layers is not None and made.layers > layers and max(outline.depths) > 1:
            outline = replace(outline, depths=tuple(max(1, depth * layers // made.layers) for depth in outline.depths))
        elif not wanted or _TOO_LARGE <= (factor := _room(made, wanted)) <= _TOO_SMALL:
            break
        else:
            scale *= math.sqrt(factor)
        architecture = outline.build(scale, classes, input_size, in_channels)
    return architecture


def _room(made: Cost, wanted: Mapping[str, float]) -> float:
    """By what factor all that is wanted may still grow."""
    costs = made.as_dict()
    return min(bound / costs[name] for name, bound in wanted.items())


def _outline(rng: random.Random, input_size: tuple[int, int], bounds: Mapping[str, int], words: Vocabulary) -> _Outline:
    count = rng.choices(_STAGES, _HOW_OFTEN)[0]
    act, stem = rng.choice(ACTIVATIONS), rng.choice(list(STEMS))
    stride = 2 if stem in ("template", "conv") else 4
    transitions, strides = [], []
    halving = [form for form in TRANSITIONS if form != _KEEPS]
    one = rng.choice(halving) if rng.random() < 0.5 else None  # one transition for all stages
    for number in range(count):
        room = min(input_size) >= 4 * stride  # two pixels are left
        halves = room and (stride == 2 if number == 0 else rng.random() < 0.9)
        transitions.append((one or rng.choice(halving)) if halves else _KEEPS)
        stride *= 2 if halves else 1
        strides.append(stride)
    tokens = [math.prod(-(-side // stride) for side in input_size) for stride in strides]
    blocks = round(math.exp(rng.uniform(math.log(count), math.log(MOST_BLOCKS))))
    weights = [rng.random() * (1 + number) for number in range(count)]  # later stages, where depth costs less, are deeper
    extra = rng.choices(range(count), weights, k=blocks - count)
    widths = [math.exp(rng.uniform(math.log(16), math.log(96)))]
    for _ in range(count - 1):
        widths.append(widths[-1] * rng.uniform(1.0, 2.5))
    return _Outline(
        stem=stem,
        stem_width=widths[0] * rng.uniform(0.5, 1.0),
        transitions=tuple(transitions),
        recipes=_recipes(rng, act, tokens, bounds.get("attention_tokens", MOST_TOKENS), words),
        widths=tuple(widths),
        depths=tuple(1 + extra.count(number) for number in range(count)),
        head=rng.choice(list(HEADS)),
        act=act,
    )


def _recipes(rng: random.Random, act: str, tokens: list[int], most: int, words: Vocabulary) -> tuple[Recipe, ...]:
    """Draw one recipe per stage: of one or two families, the second from some stage on, or of any."""
    known = [family for family in RECIPES if family != "fragments" or words.fitting["full"]]
    early, late = rng.choice(known), rng.choice(known)
    turn, mixed = rng.randint(0, len(tokens)), rng.random() < 0.5
    recipes = []
    for number, here in enumerate(tokens):
        family = rng.choice(known) if mixed else (early if number < turn else late)
        recipe = RECIPES[family](rng, op(act), words)
        while here > most and attends(recipe.make(recipe.step)):
            recipe = RECIPES[rng.choice(known)](rng, op(act), words)
        recipes.append(recipe)
    return tuple(recipes)
