"""AutoFormer's tiny space (Chen et al., ICCV 2021, arXiv 2107.00651): vision transformers of one width, whose blocks differ.

Width 192, 216 or 240, 12 to 14 blocks, and in each block 3 or 4 heads of 64 channels and an MLP of 3.5 or 4 times the width. It
is written as the columns of the published accuracies, hidden_dim:mlp_ratio:num_heads, one entry a block: `192:3.5-4.0-..:3-4-..`.

The network (the authors' code, microsoft/Cream): patches of 16 pixels, a position embedding, a class token; blocks with LayerNorm
before attention and MLP, biases, GELU; LayerNorm, mean over the map, a linear layer.

What differs. The authors add to each block's keys and values vectors learned for relative positions: two pairs of tables of
30 x 64, whose vectors multiply the queries and the attention. A graph has biases of attention maps, not such vectors, so they are
not there: the authors count exactly 7,680 parameters more for each block, and no other. Their mean leaves the class token out,
here it is one of the 197 that are averaged.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any, final

from uninas.errors import InputError
from uninas.graph import IDENTITY, Architecture, Block, Graph, GraphBuilder, Stage
from uninas.networks.pieces import chain, conv, network
from uninas.ops import op
from uninas.spaces.choices import Genotype, check_legal, shown

WIDTHS, DEPTHS, RATIOS, HEADS = (192, 216, 240), (12, 13, 14), (3.5, 4.0), (3, 4)
HEAD_DIM = 64
_PATCH = 16
_NORM = op("layer_norm")


def network_of(width: int, blocks: Sequence[Sequence[Any]], classes: int, input_size: tuple[int, int]) -> Architecture:
    """Build a network of any width, of blocks (heads, MLP ratio): those of the larger spaces, AutoFormer-S and -B, too."""
    patches = conv(3, width, _PATCH, stride=_PATCH, bias=True)
    stem = chain(patches, op("position_embedding"), op("class_token", position=True))
    made = tuple([Block((_attention(width, heads), _mlp(ratio))) for heads, ratio in blocks])
    return network(stem, [Stage(width, made, IDENTITY, tokens=1)], chain(_NORM), classes, input_size)


@final
class AutoFormer:
    """See `uninas.spaces.ChoiceSpace`. A genotype is {"hidden_dim": width, "blocks": [[heads, ratio], ...]}."""

    name = "autoformer"
    classes = 1000
    input_size = (224, 224)

    @property
    def size(self) -> int:
        """Each block is one of four."""
        blocks = len(RATIOS) * len(HEADS)
        return len(WIDTHS) * sum(int(blocks**depth) for depth in DEPTHS)

    def start(self) -> Genotype:
        """Begin with the smallest."""
        return {"hidden_dim": WIDTHS[0], "blocks": [[HEADS[0], RATIOS[0]] for _ in range(DEPTHS[0])]}

    def sample(self, rng: random.Random) -> Genotype:
        """Draw width and depth, then each block, every option with the same chance."""
        width, depth = rng.choice(WIDTHS), rng.choice(DEPTHS)
        return {"hidden_dim": width, "blocks": [_block(rng) for _ in range(depth)]}

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """Change the width, the depth (the last blocks go, or drawn ones come), or heads or ratio of one block."""
        width, blocks = genotype["hidden_dim"], [list(block) for block in genotype["blocks"]]
        place = rng.randrange(2 + 2 * len(blocks))
        if place == 0:
            width = _other(WIDTHS, width, rng)
        elif place == 1:
            depth = _other(DEPTHS, len(blocks), rng)
            blocks = blocks[:depth] + [_block(rng) for _ in range(depth - len(blocks))]
        else:
            block, which = divmod(place - 2, 2)
            blocks[block][which] = _other((HEADS, RATIOS)[which], blocks[block][which], rng)
        return {"hidden_dim": width, "blocks": blocks}

    def fault(self, genotype: Genotype) -> str | None:
        """Find an unknown or missing key, or a number that is no option."""
        if not isinstance(genotype, Mapping) or set(genotype) != {"hidden_dim", "blocks"}:
            return "expected a mapping of hidden_dim and blocks"
        width, blocks = genotype["hidden_dim"], genotype["blocks"]
        if not _is(width, WIDTHS):
            return f"hidden_dim: expected one of {', '.join(map(str, WIDTHS))}; got {shown(width)}"
        if not isinstance(blocks, list) or len(blocks) not in DEPTHS:
            got = len(blocks) if isinstance(blocks, list) else shown(blocks)
            return f"blocks: expected a list of {DEPTHS[0]} to {DEPTHS[-1]}; got {got}"
        for number, block in enumerate(blocks, 1):
            if not isinstance(block, list) or len(block) != 2 or not _is(block[0], HEADS) or not _is(block[1], RATIOS):
                options = f"[heads, ratio] of {', '.join(map(str, HEADS))} and {', '.join(map(str, RATIOS))}"
                return f"block {number}: expected {options}; got {shown(block)}"
        return None

    def build(self, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
        """Build the network."""
        return network_of(genotype["hidden_dim"], genotype["blocks"], classes, input_size)

    def text(self, genotype: Genotype) -> str:
        """Write hidden_dim:mlp_ratio:num_heads."""
        heads, ratios = zip(*genotype["blocks"], strict=True)
        return f"{genotype['hidden_dim']}:{'-'.join(map(str, ratios))}:{'-'.join(map(str, heads))}"

    def parse(self, text: str) -> Genotype:
        """Read what `text` wrote."""
        try:
            width, ratios, heads = text.split(":")
            blocks = zip(heads.split("-"), ratios.split("-"), strict=True)
            found = {"hidden_dim": int(width), "blocks": [[int(head), float(ratio)] for head, ratio in blocks]}
        except ValueError:  # of a number, or of lists of other lengths
            raise InputError(
                f"{self.name}: expected hidden_dim:mlp_ratio:num_heads such as 192:3.5-4.0-..:3-4-.., one entry a block, "
                f"got {shown(text)!r}"
            ) from None
        return check_legal(self, found)


def _block(rng: random.Random) -> list[Any]:
    return [rng.choice(HEADS), rng.choice(RATIOS)]


def _other(options: tuple[Any, ...], option: Any, rng: random.Random) -> Any:
    return rng.choice([one for one in options if one != option])


def _is(value: object, options: tuple[Any, ...]) -> bool:
    """Equal as JSON: 3 is not 3.0, nor 1 true."""
    return any(type(value) is type(option) and value == option for option in options)


@cache
def _attention(width: int, heads: int) -> Graph:
    inner = heads * HEAD_DIM
    builder = GraphBuilder()
    qkv = builder.add(conv(width, 3 * inner, bias=True), 0)
    query, key, value = (builder.add(op("slice", index=i, count=3), qkv) for i in range(3))
    scores = builder.chain(builder.add(op("matmul_qk", head_dim=HEAD_DIM), query, key), op("softmax"))
    return builder.build(builder.add(conv(inner, width, bias=True), builder.add(op("matmul_av"), scores, value)))


@cache
def _mlp(ratio: float) -> Graph:
    widen = Fraction(ratio)
    return chain(op("conv", kernel=1, ratio=widen), op("gelu"), op("conv", kernel=1, ratio=1 / widen))


SPACE = AutoFormer()
"""AutoFormer-T's space."""
