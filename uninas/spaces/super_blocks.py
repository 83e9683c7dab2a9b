"""The spaces of Zen-NAS (Lin et al., arXiv 2102.01063, section 5 and appendix): a network is a list of super-blocks.

A super-block is a kind, its channels, stride, bottleneck channels and number of layers. It is written as in the authors' files,

    SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperConvK1BNRELU(32,2048,1,1)

where the numbers are channels in, channels out, stride, bottleneck (not for the convolutions that begin and end), layers:
SuperResIDWE6K3 are inverted residuals of expansion 6 and kernel 3, SuperResK1K5K1 bottlenecks and SuperResK5K5 residual blocks of
kernel 5. A mutation replaces one super-block by a relative (SearchSpace/search_space_*.py): any kind, channels and bottleneck
times 2.5, 2, 1.5, 1.25, 1 or their inverses in multiples of 8, up to two layers more or fewer; six layers and more become two
super-blocks of three. Strides stay.

The authors list earlier kinds several times, and so draw them more often; here all relatives have the same chance. Their networks
train with squeeze and excitation on ImageNet; searched, and built here, are those without.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, final

from uninas.errors import InputError
from uninas.graph import Architecture, Graph, GraphBuilder
from uninas.networks.pieces import NORM, RELU, chain, conv, network, normed, stage
from uninas.ops import op
from uninas.spaces.choices import Genotype, check_legal, shown
from uninas.text import MAX_STAGES

STEM, END = "SuperConvK3BNRELU", "SuperConvK1BNRELU"
INVERTED = tuple([f"SuperResIDWE{expansion}K{kernel}" for kernel in (3, 5, 7) for expansion in (1, 2, 4, 6)])
BOTTLENECK = tuple([f"SuperResK1K{kernel}K1" for kernel in (3, 5, 7)])
RESIDUAL = tuple([f"SuperResK{kernel}K{kernel}" for kernel in (3, 5, 7)])

_SPLIT = 6  # layers from which on a super-block becomes two of half as many
_NARROWEST = 8
_FACTORS = (2.5, 2, 1.5, 1.25, 1, 1 / 1.25, 1 / 1.5, 1 / 2, 1 / 2.5)
_WIDEST = 1 << 16


class _Block(NamedTuple):
    """One super-block of a genotype, which holds it as a list; a convolution that begins or ends has the first three fields."""

    kind: str
    out: int
    stride: int
    bottleneck: int = 0
    layers: int = 1


@final
@dataclass(frozen=True, kw_only=True)
class SuperBlocks:
    """A space of lists of super-blocks.

    A genotype is [[kind, channels, stride], [kind, channels, stride, bottleneck, layers], .., [kind, channels, stride]].

    Attributes:
        name, classes, input_size, size: see `ChoiceSpace`.
        kinds: what a super-block between the first and the last convolution may be.
        first: text of the network that a search begins with.
        most_layers: bound of the sum of the layers of all super-blocks, the two convolutions included.
        widest: most channels of anything that a mutation makes.
        end_is_fixed: whether the last convolution keeps its channels.
        steps: a sample is the first network after 1 .. steps mutations.
    """

    name: str
    kinds: Sequence[str]
    first: str
    most_layers: int
    classes: int
    input_size: tuple[int, int]
    widest: int = _WIDEST
    end_is_fixed: bool = False
    steps: int = 32
    size: int | None = None

    def start(self) -> list[list[Any]]:
        """Return the network that the authors begin with."""
        return self.parse(self.first)

    def sample(self, rng: random.Random) -> list[list[Any]]:
        """Mutate the first network some times: the space is open to all sides, so nothing is uniform over it."""
        genotype = self.start()
        for _ in range(rng.randint(1, self.steps)):
            genotype = self.mutate(genotype, rng)
        return genotype

    def mutate(self, genotype: Genotype, rng: random.Random) -> list[list[Any]]:
        """Replace one super-block by a relative that is not its equal."""
        while True:  # wider or narrower is always possible, so this ends
            place = rng.randrange(len(genotype) - self.end_is_fixed)
            block = _Block(*genotype[place])
            relative = self._relative(block, rng)
            if relative == block:
                continue
            made = [*genotype[:place], *map(_as_list, _split(relative)), *genotype[place + 1 :]]
            if self.fault(made) is None:
                return made

    def _relative(self, block: _Block, rng: random.Random) -> _Block:
        out = rng.choice(self._widths(block.out))
        if block.kind in (STEM, END):
            return block._replace(out=out)
        layers = rng.choice([n for n in range(block.layers - 2, block.layers + 3) if n > 0])
        return _Block(rng.choice(self.kinds), out, block.stride, rng.choice(self._widths(block.bottleneck)), layers)

    def _widths(self, width: int) -> list[int]:
        return sorted({max(_NARROWEST, round(min(self.widest, width * factor) / 8) * 8) for factor in _FACTORS})

    def fault(self, genotype: Genotype) -> str | None:
        """Report what is no list of super-blocks between two convolutions, impossible numbers, too many layers."""
        if not isinstance(genotype, list) or len(genotype) < 3:
            return f"expected a list of {STEM}, super-blocks and {END}"
        for place, given in enumerate(genotype):
            known = (STEM,) if place == 0 else (END,) if place == len(genotype) - 1 else tuple(self.kinds)
            where, length = f"super-block {place + 1}", 3 if place in (0, len(genotype) - 1) else 5
            if not isinstance(given, list) or not given or given[0] not in known:
                return f"{where}: expected one of {', '.join(known)}; got {shown(given)}"
            if len(given) != length or not all(type(number) is int for number in given[1:]):
                return f"{where}: expected {length - 1} whole numbers behind the kind; got {shown(given)}"
            block = _Block(*given)
            for width in (block.out, block.bottleneck)[: 1 if length == 3 else 2]:
                if not _NARROWEST <= width <= _WIDEST or width % 8:
                    return f"{where}: expected channels in multiples of 8, at least 8; got {width}"
            if block.stride not in (1, 2) or not 0 < block.layers < 100:
                return f"{where}: expected stride 1 or 2 and at least one layer; got {shown(given)}"
        layers = sum(_Block(*given).layers for given in genotype)
        if layers > self.most_layers:
            return f"expected at most {self.most_layers} layers; got {layers}"
        if len(genotype) - 2 > MAX_STAGES:
            return f"expected at most {MAX_STAGES} super-blocks between the convolutions; got {len(genotype) - 2}"
        return None

    def build(self, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
        """Build the network: a super-block becomes a stage, its first layer the transition into that stage."""
        first, *middle, last = [_Block(*given) for given in genotype]
        stages, channels = [], first.out
        for block in middle:
            transition = _layer(block.kind, channels, block.bottleneck, block.out, block.stride, True)
            others = [_layer(block.kind, block.out, block.bottleneck, block.out, 1, False)] * (block.layers - 1)
            stages.append(stage(block.out, transition, others))
            channels = block.out
        stem, head = normed(3, first.out, 3, stride=first.stride), normed(channels, last.out, stride=last.stride)
        return network(chain(*stem), stages, chain(*head), classes, input_size)

    def text(self, genotype: Genotype) -> str:
        """Write the authors' form."""
        written, channels = "", 3
        for given in genotype:
            block = _Block(*given)
            inner = "" if block.kind in (STEM, END) else f"{block.bottleneck},"
            written += f"{block.kind}({channels},{block.out},{block.stride},{inner}{block.layers})"
            channels = block.out
        return written

    def parse(self, text: str) -> list[list[Any]]:
        """Read what `text` wrote. Raises InputError."""
        genotype: list[list[Any]] = []
        place, channels = 0, 3
        while place < len(text):
            match = _WRITTEN.match(text, place)
            if match is None:
                raise InputError(
                    f"{self.name}: expected super-blocks such as {self.first}, got {shown(text[place:])!r} at character {place}"
                )
            kind, (before, *numbers, layers) = match[1], [int(number) for number in match[2].split(",")]
            short = kind in (STEM, END)
            if before != channels or len(numbers) != (2 if short else 3) or (short and layers != 1):
                raise InputError(
                    f"{self.name}: expected {kind}({channels},channels,stride{',1' if short else ',bottleneck,layers'}), "
                    f"got {shown(match[0])!r} at character {place}"
                )
            genotype.append([kind, *numbers] if short else [kind, *numbers, layers])
            place, channels = match.end(), numbers[0]
        check_legal(self, genotype)
        return genotype


_WRITTEN = re.compile(r"(Super[A-Za-z0-9]{1,24})\(([0-9]{1,6}(?:,[0-9]{1,6}){3,4})\)")


def _as_list(block: _Block) -> list[Any]:
    return list(block[:3] if block.kind in (STEM, END) else block)


def _split(block: _Block) -> list[_Block]:
    if block.layers < _SPLIT:
        return [block]
    half = block._replace(layers=_SPLIT // 2)
    return [half, half._replace(stride=1)]


# --- layers -----------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _layer(kind: str, channels: int, bottleneck: int, out: int, stride: int, first: bool) -> Graph:
    """One layer of a super-block. The first one has a projection beside it whatever the shapes, as the authors' ResBlockProj."""
    builder = GraphBuilder()
    if match := re.fullmatch(r"SuperResIDWE([0-9])K([0-9])", kind):
        expansion, kernel = int(match[1]), int(match[2])
        x = _inverted(builder, 0, channels, expansion * bottleneck, bottleneck, kernel, stride, first)
        return builder.build(_inverted(builder, x, bottleneck, expansion * out, out, kernel, 1, False))
    if match := re.fullmatch(r"SuperResK1K([0-9])K1", kind):
        x = _bottleneck(builder, 0, channels, bottleneck, out, int(match[1]), stride, first)
        return builder.build(_bottleneck(builder, x, out, bottleneck, out, int(match[1]), 1, False))
    kernel = int(kind[-1])
    deep = builder.chain(0, *normed(channels, bottleneck, kernel, stride=stride), *normed(bottleneck, out, kernel, act=None))
    return builder.build(_beside(builder, 0, deep, channels, out, stride, first))


def _inverted(
    builder: GraphBuilder, x: int, channels: int, inner: int, out: int, kernel: int, stride: int, projected: bool
) -> int:
    """1x1, depthwise and 1x1 convolution beside the input."""
    deep = builder.chain(
        x,
        *normed(channels, inner),
        *normed(inner, inner, kernel, stride=stride, groups="depthwise"),
        *normed(inner, out, act=None),
    )
    return _beside(builder, x, deep, channels, out, stride, projected)


def _bottleneck(
    builder: GraphBuilder, x: int, channels: int, inner: int, out: int, kernel: int, stride: int, projected: bool
) -> int:
    """1x1, full and 1x1 convolution beside the input."""
    deep = builder.chain(x, *normed(channels, inner), *normed(inner, inner, kernel, stride=stride), *normed(inner, out, act=None))
    return _beside(builder, x, deep, channels, out, stride, projected)


def _beside(builder: GraphBuilder, x: int, deep: int, channels: int, out: int, stride: int, projected: bool) -> int:
    """The sum with the input, which a 1x1 convolution with bias and BatchNorm fits where shapes differ; ReLU."""
    short = x
    if projected or channels != out or stride != 1:
        short = builder.chain(x, conv(channels, out, stride=stride, bias=True), NORM)
    return builder.add(RELU, builder.add(op("add"), deep, short))
