"""Published networks against timm's own: parameters, MACs, and with timm's weights the output."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import downstream  # noqa: F401 mends torchvision, which timm imports
from uninas import InputError, cost, preset
from uninas.canonical import canonicalise
from uninas.compile import build
from uninas.layers import LayerScale
from uninas.text import parse, to_text
from uninas.zoo import ZOO

timm = pytest.importorskip("timm")

PARAMS = {
    "resnet50": 25_557_032, "resnext50_32x4d": 25_028_904, "regnety_004": 4_344_144, "mobilenetv2_100": 3_504_872,
    "mobilenetv3_large_100": 5_483_032, "efficientnet_b0": 5_288_548, "convnext_tiny": 28_589_128,
}  # fmt: skip
"""Of timm 1.0, counted by torch."""


def parts(network: nn.Module) -> list[tuple[dict[str, Tensor], bool]]:
    """The parameters and statistics of each module that has any, in the order of execution, and whether it is a LayerScale."""
    found: dict[int, tuple[dict[str, Tensor], bool]] = {}

    def seen(module: nn.Module, *_: object) -> None:
        own = {**module._parameters, **module._buffers}
        tensors = {name: value for name, value in own.items() if value is not None and name != "num_batches_tracked"}
        if "weight" in tensors:
            found.setdefault(id(module), (tensors, isinstance(module, LayerScale)))

    handles = [module.register_forward_pre_hook(seen) for module in network.modules()]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 64, 64))
    for handle in handles:
        handle.remove()
    return list(found.values())


def copy(theirs: nn.Module, ours: nn.Module) -> None:
    """Copy weights part by part in the order of execution, every one of both; timm's LayerScales are parameters of its blocks."""
    scales = iter([value for name, value in theirs.named_parameters() if name.endswith("gamma")])
    others, count = iter(parts(theirs)), 0
    with torch.no_grad():
        for mine, is_scale in parts(ours):
            given = {"weight": next(scales)} if is_scale else next(others)[0]
            assert mine.keys() == given.keys()
            for name, value in mine.items():
                value.copy_(given[name].reshape(value.shape))
                count += value.numel()
    assert next(others, None) is None
    assert next(scales, None) is None
    assert count == sum(value.numel() for name, value in theirs.state_dict().items() if not name.endswith("num_batches_tracked"))


def randomise(network: nn.Module) -> None:
    """Weights of a trained network's kind: nothing stands for nothing, statistics that differ, scales that count."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith("num_batches_tracked"):
                continue
            elif value.dim() < 2:
                value.add_(torch.randn(value.shape, generator=generator) * 0.2)


@pytest.fixture(scope="module", params=sorted(ZOO))
def pair(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    torch.manual_seed(0)
    theirs = timm.create_model(request.param).eval()
    randomise(theirs)
    return request.param, theirs


def test_parameters_are_timms(pair: tuple[str, nn.Module]) -> None:
    name, theirs = pair
    counted = sum(value.numel() for value in theirs.parameters())
    assert cost(preset(name)).params == counted == PARAMS[name]


@pytest.mark.parametrize(("size", "batch"), [((224, 224), 1), ((96, 128), 2)])
def test_with_timms_weights_the_output_is_timms(pair: tuple[str, nn.Module], size: tuple[int, int], batch: int) -> None:
    """Fused or not, at sizes that every stride divides."""
    name, theirs = pair
    pictures = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(pictures)
        for fused in (True, False):
            ours = build(preset(name), fused=fused).eval()
            copy(theirs, ours)
            assert (ours(pictures) - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_macs_are_fvcores_on_timms_network(pair: tuple[str, nn.Module]) -> None:
    fvcore = pytest.importorskip("fvcore.nn")
    name, theirs = pair
    analysis = fvcore.FlopCountAnalysis(theirs, torch.zeros(1, 3, 224, 224))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counted = analysis.by_operator()
    assert cost(preset(name)).macs == counted["conv"] + counted["linear"]


def test_a_file_holds_it(pair: tuple[str, nn.Module]) -> None:
    architecture = preset(pair[0])
    assert parse(to_text(architecture)) == architecture
    assert canonicalise(architecture).digest == architecture.digest


def test_it_is_as_it_was_published() -> None:
    with pytest.raises(InputError, match="preset resnet50: expected no other widths"):
        preset("resnet50", widths=(1, 2, 3, 4))
    assert preset("mobilenetv2_100", classes=10, input_size=(32, 32)).classes == 10
    with pytest.raises(InputError, match=r"expected a preset .*convnext_tiny"):
        preset("resnet51")
