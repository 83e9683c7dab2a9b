"""Counts by hand, and which modules are layers and blocks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from proxies import PROXIES, ProxyFailure, ProxyUsageError, block_outputs, scoring_layers
from tests.proxies.networks import Attention, Shared, Transformer, batch, convolution
from uninas.runtime.torchvision_repair import repair

repair()
timm = pytest.importorskip("timm")


def flops(network: nn.Module, inputs: Tensor) -> float:
    return PROXIES["flops"](network.eval(), inputs, seed=0)


class Pooled(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten(1)


def test_macs_of_convolutions_and_linear_layers() -> None:
    x = torch.randn(2, 4, 9, 9)
    assert flops(Pooled(nn.Conv2d(4, 6, 3, 2, 1)), x) == 25 * 6 * 4 * 9
    assert flops(Pooled(nn.Conv2d(4, 6, 3, 2, 1, groups=2)), x) == 25 * 6 * 2 * 9
    assert flops(Pooled(nn.Conv2d(4, 4, (3, 1), groups=4)), x) == 7 * 9 * 4 * 3
    assert flops(Pooled(nn.BatchNorm2d(4), nn.GELU(), nn.AvgPool2d(3)), x) == 0
    assert flops(Pooled(nn.Linear(9, 7)), x) == 4 * 9 * 9 * 7
    assert flops(Pooled(nn.Linear(9, 7, bias=False)), x) == 4 * 9 * 9 * 7


def test_macs_of_attention_however_it_is_written() -> None:
    class Written(nn.Module):
        def __init__(self, way: str) -> None:
            super().__init__()
            self.way = way

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = x, x * 2, x[..., :3]
            if self.way == "fused":
                out = functional.scaled_dot_product_attention(q, k, x)
            elif self.way == "matmul":
                out = (q @ k.transpose(-1, -2)).softmax(-1) @ v
            else:
                out = torch.einsum("bhqk,bhkd->bhqd", torch.einsum("bhqd,bhkd->bhqk", q, k).softmax(-1), v)
            return out.flatten(1)

    x = torch.randn(2, 4, 7, 5)  # heads, tokens, width
    assert flops(Written("fused"), x) == 4 * (7 * 7 * 5 + 7 * 7 * 5)
    assert flops(Written("matmul"), x) == 4 * (7 * 7 * 5 + 7 * 7 * 3)
    assert flops(Written("einsum"), x) == 4 * (7 * 7 * 5 + 7 * 7 * 3)


def test_macs_of_whole_networks() -> None:
    width, tokens = 8, 10
    block = tokens * width * (3 + 1 + 2 + 2) * width + 2 * 2 * tokens * tokens * (width // 2)
    assert flops(Transformer(), batch(2, dtype=torch.float32)) == 9 * width * 27 + 3 * block + width * 5
    resnet = timm.create_model("resnet18")
    assert flops(resnet, torch.zeros(1, 3, 224, 224)) == 1_814_073_344  # the published 1.8 G
    assert PROXIES["params"](resnet, torch.zeros(1), seed=0) == 11_689_512
    assert PROXIES["aleph"](resnet, torch.zeros(1, 3, 32, 32), seed=0) == 21


def test_shared_parameters_count_once() -> None:
    network = Shared()
    assert PROXIES["params"](network, torch.zeros(1), seed=0) == sum(p.numel() for p in set(network.parameters()))
    assert network.tied[0].weight.numel() == 4 * 4 * 9


class Backwards(nn.Module):
    """Defined in another order than it runs; one layer is never called, one twice."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.unused = nn.Linear(6, 3), nn.Linear(6, 6)
        self.second, self.first = nn.Linear(6, 6), nn.Linear(6, 6)
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(self.second(self.first(x))))
        return self.last(self.attention(x.unsqueeze(1), x.unsqueeze(1), x.unsqueeze(1))[0][:, 0])


def test_layers_come_in_forward_order() -> None:
    network = Backwards()
    layers = scoring_layers(network, torch.randn(2, 6))
    assert [name for name, _ in layers] == ["first", "second", "last"]
    assert layers[0][1] is network.first


def test_a_network_may_say_itself() -> None:
    class Says(Backwards):
        answer: object = None

        def scoring_layers(self) -> object:
            return self.answer

        def block_outputs(self) -> object:
            return self.answer

    network = Says()
    network.answer = [("mine", network.unused)]
    assert scoring_layers(network, torch.zeros(1)) == [("mine", network.unused)]
    assert block_outputs(network) == [("mine", network.unused)]
    for wrong, message in (
        ("text", "list of"),
        ([network.first], r"scoring_layers\(\)\[0\]: expected"),
        ([("a", network.first), ("b", 3)], r"\[1\]: expected"),
    ):
        network.answer = wrong
        with pytest.raises(ProxyUsageError, match=message):
            scoring_layers(network, torch.zeros(1))


@pytest.mark.parametrize(
    ("name", "options", "count", "first", "last"),
    [
        ("resnet18", {}, 8, "layer1.0", "layer4.1"),
        ("regnety_002", {}, 13, "s1.b1", "s4.b7"),
        ("convnext_atto", {}, 12, "stages.0.blocks.0", "stages.3.blocks.1"),
        ("mobilenetv3_small_050", {}, 12, "blocks.0.0", "blocks.5.0"),
        ("vit_tiny_patch16_224", {"img_size": 32, "depth": 3}, 3, "blocks.0", "blocks.2"),
    ],
)
def test_default_blocks_of_timm(name: str, options: dict[str, object], count: int, first: str, last: str) -> None:
    blocks = [key for key, _ in block_outputs(timm.create_model(name, **options))]
    assert (len(blocks), blocks[0], blocks[-1]) == (count, first, last)


def test_default_blocks_of_plain_networks() -> None:
    assert [name for name, _ in block_outputs(convolution())] == [f"stages.0.{place}" for place in range(4)]
    plain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(4, 2))
    assert [name for name, _ in block_outputs(plain)] == ["0", "2", "4"]
    assert block_outputs(nn.ReLU()) == []
    assert [name for name, _ in block_outputs(Attention(8, 2, 4))] == ["qkv", "project", "grow", "shrink"]


def test_logits_must_be_a_table() -> None:
    with pytest.raises(ProxyFailure, match=r"output_shape: expected logits of shape \(1, classes\), got \(1, 2, 4, 4\)"):
        flops(nn.Sequential(nn.Conv2d(3, 2, 1)), torch.zeros(2, 3, 4, 4))
