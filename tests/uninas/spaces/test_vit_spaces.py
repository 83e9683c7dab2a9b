"""AutoFormer's and PiT's spaces: parameters by the authors' own counts, and outputs of networks written naively in torch."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import downstream  # noqa: F401 mends torchvision, which timm imports
from search.testing import check_choice_space
from tests.amounts import slow
from tests.uninas.running import distance, noise, scramble
from uninas import cost
from uninas.compile.module import build
from uninas.errors import InputError
from uninas.spaces import SPACES, architecture_of
from uninas.spaces.autoformer import HEAD_DIM, network_of

RELATIVE = 2 * 2 * 30 * HEAD_DIM
"""Parameters of a block's relative positions in AutoFormer: of keys and of values, rows and columns, 30 vectors of 64."""


@pytest.mark.parametrize("name", ["autoformer", "pit"])
def test_the_spaces_keep_the_contract(name: str) -> None:
    check_choice_space(SPACES[name], samples=6)


def rows(data_folder: Path, name: str) -> list[dict[str, str]]:
    with (data_folder / "vit_bench" / f"vit_bench_{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- parameters -------------------------------------------------------------------------------------------------------------


def authors_count(width: int, heads: list[int], ratios: list[float], classes: int) -> int:
    """As AutoFormer's get_sampled_params_numel adds up: linear layers with biases, norms, relative positions, embeddings."""

    def linear(before: int, after: int) -> int:
        return (before + 1) * after

    total = linear(3 * 16 * 16, width) + width * (2 + 14 * 14) + 2 * width + linear(width, classes)
    for count, ratio in zip(heads, ratios, strict=True):
        inner, wide = HEAD_DIM * count, int(width * ratio)
        total += linear(width, 3 * inner) + linear(inner, width) + linear(width, wide) + linear(wide, width) + 4 * width
        total += RELATIVE
    return total


def test_autoformers_parameters_are_the_authors_without_relative_positions(data_folder: Path) -> None:
    found = rows(data_folder, "autoformer")
    assert len(found) == 200
    for row in found[::9]:
        text = f"{row['hidden_dim']}:{row['mlp_ratio']}:{row['num_heads']}"
        heads, ratios = (list(map(float, row[name].split("-"))) for name in ("num_heads", "mlp_ratio"))
        authors = authors_count(int(row["hidden_dim"]), list(map(int, heads)), ratios, 1000)
        assert cost(architecture_of(SPACES["autoformer"], text)).params == authors - RELATIVE * len(heads)


@pytest.mark.parametrize(
    ("width", "heads", "ratios", "millions"),
    [
        (384, "6 6 5 7 5 5 5 6 6 7 7 6 7", "3.0 3.5 3.0 3.5 4.0 4.0 4.0 4.0 4.0 4.0 4.0 3.5 4.0", 22.9),
        (576, "9 9 9 9 9 10 9 9 10 9 10 9 9 10", "3.5 3.5 4.0 3.5 4.0 3.5 3.5 3.0 4.0 4.0 3.0 4.0 3.0 3.5", 53.7),
    ],
)
def test_the_larger_published_networks_have_the_printed_size(width: int, heads: str, ratios: str, millions: float) -> None:
    """AutoFormer-S and -B, by the rule above."""
    blocks = list(zip(map(int, heads.split()), map(float, ratios.split()), strict=True))
    params = cost(network_of(width, blocks, 1000, (224, 224))).params
    assert round((params + RELATIVE * len(blocks)) / 1e6, 1) == millions


def pit_of_timm(text: str, classes: int = 1000, size: int = 224) -> nn.Module:
    from timm.models.pit import PoolingVisionTransformer

    base, ratio, depth, heads = ([int(number) for number in part.split("-")] for part in text.split(":"))
    return PoolingVisionTransformer(size, base_dims=base * 3, depth=depth, heads=heads, mlp_ratio=ratio[0], num_classes=classes)


@pytest.mark.parametrize("step", [12, slow(1)])
def test_pits_parameters_are_timms_without_the_class_token(step: int, data_folder: Path) -> None:
    found = rows(data_folder, "pit")
    assert len(found) == 100
    for row in found[::step]:
        text = ":".join(row[name] for name in ("base_dim", "mlp_ratio", "depth", "num_heads"))
        with torch.device("meta"):
            timms = sum(parameter.numel() for parameter in pit_of_timm(text).parameters())
        one, two, three = (int(row["base_dim"]) * int(heads) for heads in row["num_heads"].split("-"))
        token = one + (one + 1) * two + (two + 1) * three
        assert cost(architecture_of(SPACES["pit"], text)).params == timms - token


def test_pit_ti_is_where_the_space_begins() -> None:
    """timm's pit_ti_224 has 4,847,272 parameters."""
    space = SPACES["pit"]
    assert space.text(space.start()) == "32:4:2-6-4:2-4-8"
    assert cost(architecture_of(space, "32:4:2-6-4:2-4-8")).params + 64 + 65 * 128 + 129 * 256 == 4_847_272


# --- outputs ----------------------------------------------------------------------------------------------------------------


def copy_weights(theirs: list[nn.Module], module: nn.Module) -> None:
    """Give our layers the weights of theirs, in order: linear layers are 1x1 convolutions here."""
    ours = [layer for layer in module.modules() if "weight" in dict(layer.named_parameters(recurse=False))]
    for one, other in zip(theirs, ours, strict=True):
        for (name, given), (same, taken) in zip(one.named_parameters(), other.named_parameters(), strict=True):
            assert name == same
            taken.data = given.data.reshape(taken.shape).clone()


def test_pit_computes_what_timm_does_without_the_class_token() -> None:
    text = "16:2:1-4-2:2-4-4"
    timms = pit_of_timm(text, classes=5, size=48).double()
    scramble(timms, 0)
    layers = [
        layer
        for name, layer in timms.named_modules()
        if "weight" in dict(layer.named_parameters(recurse=False)) and not name.endswith("pool.fc")
    ]
    module = build(architecture_of(SPACES["pit"], text, classes=5, input_size=(40, 40))).double()
    copy_weights(layers, module)
    (embedding,) = [parameter for name, parameter in module.named_parameters() if name.endswith("embedding")]
    embedding.data = timms.pos_embed.data[0].clone()
    x = torch.zeros(2, 3, 48, 48, dtype=torch.float64)
    x[:, :, :40, :40] = noise(2, 3, 40, 40, dtype=torch.float64)  # our last patch is filled up with zeros
    map_ = timms.patch_embed(x) + timms.pos_embed
    for stage in timms.transformers:
        map_ = map_ if stage.pool is None else stage.pool.conv(map_)
        height, width = map_.shape[2:]
        map_ = stage.blocks(map_.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, (height, width))
    logits = timms.head(timms.norm(map_.flatten(2).transpose(1, 2)).mean(1))
    assert distance(module.eval()(x[:, :, :40, :40]), logits) < 1e-10


class Transformer(nn.Module):
    """AutoFormer's network without relative positions, its mean over all tokens."""

    def __init__(self, width: int, blocks: list[tuple[int, float]], classes: int, side: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.position = nn.Parameter(torch.randn(1, width, side, side, dtype=torch.float64))
        self.token = nn.Parameter(torch.randn(2, width, dtype=torch.float64))
        self.blocks = nn.ModuleList()
        for heads, ratio in blocks:
            inner, wide = HEAD_DIM * heads, int(width * ratio)
            parts = nn.LayerNorm(width, 1e-6), nn.Linear(width, 3 * inner), nn.Linear(inner, width)
            self.blocks.append(nn.ModuleList([*parts, nn.LayerNorm(width, 1e-6), nn.Linear(width, wide), nn.Linear(wide, width)]))
        self.norm, self.head = nn.LayerNorm(width, 1e-6), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        pixels = (self.patches(x) + self.position).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.sum(0).expand(len(x), 1, -1), pixels], 1)
        for norm, qkv, project, second, widen, narrow in self.blocks:
            split = qkv(norm(x)).unflatten(2, (3, -1, HEAD_DIM)).permute(2, 0, 3, 1, 4)
            made = F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2)
            x = x + project(made)
            x = x + narrow(F.gelu(widen(second(x))))
        return self.head(self.norm(x).mean(1))


def test_autoformer_computes_what_the_authors_do_without_relative_positions() -> None:
    blocks = [(3, 3.5), (4, 4.0)]
    theirs = Transformer(192, blocks, 5, 2).double()
    scramble(theirs, 0)
    module = build(network_of(192, blocks, 5, (32, 32))).double()
    layers = [layer for layer in theirs.modules() if "weight" in dict(layer.named_parameters(recurse=False))]
    copy_weights(layers, module)
    found = {name.rpartition(".")[2]: parameter for name, parameter in module.named_parameters()}
    found["embedding"].data = theirs.position.data[0].clone()
    found["token"].data, found["position"].data = theirs.token.data[0].clone(), theirs.token.data[1].clone()
    x = noise(2, 3, 32, 32, dtype=torch.float64)
    assert distance(module.eval()(x), theirs.eval()(x)) < 1e-10


# --- what is wrong ----------------------------------------------------------------------------------------------------------

DEEP = "-".join(["3"] * 12)
RATIOS = "-".join(["3.5"] * 12)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("pit", "24:4:2-8-4:4-2-4", r"expected no fewer heads than in the stage before; got \[4, 2, 4\]"),
        ("pit", "24:4:2-8:2-4-4", "expected base_dim:mlp_ratio:depth:num_heads such as 24:4:2-8-4:2-4-4, got '24:4:2-8:2-4-4'"),
        ("pit", "20:4:2-8-4:2-4-4", "base_dim: expected one of 16, 24, 32, 40; got 20"),
        ("autoformer", f"200:{RATIOS}:{DEEP}", "hidden_dim: expected one of 192, 216, 240; got 200"),
        ("autoformer", f"192:{RATIOS}:{DEEP}-3", "one entry a block"),
        ("autoformer", f"192:{RATIOS}:{DEEP[:-1]}5", r"block 12: expected \[heads, ratio\] of 3, 4 and 3.5, 4.0; got \[5, 3.5\]"),
        ("autoformer", "192:3.5:3", "blocks: expected a list of 12 to 14; got 1"),
        ("autoformer", "192", "one entry a block, got '192'"),
    ],
)
def test_what_is_no_network_is_said(name: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        SPACES[name].parse(text)
