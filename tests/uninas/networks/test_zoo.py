"""Published networks against timm's own: parameters, MACs, and with timm's weights the output."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import downstream  # noqa: F401 mends torchvision, which timm imports
from uninas import InputError, cost, preset
from uninas.canonical import canonicalise
from uninas.compile.module import build
from uninas.networks.zoo import ZOO
from uninas.text import parse, to_text

timm = pytest.importorskip("timm")

PARAMS = {
    "resnet50": 25_557_032,
    "resnext50_32x4d": 25_028_904,
    "regnety_004": 4_344_144,
    "mobilenetv2_100": 3_504_872,
    "mobilenetv3_large_100": 5_483_032,
    "efficientnet_b0": 5_288_548,
    "convnext_tiny": 28_589_128,
    "swin_tiny_patch4_window7_224": 28_288_354,
    "pvt_v2_b1": 14_009_000,
    "deit_small_patch16_224": 22_050_664,
    "poolformer_s12": 11_915_176,
    "coatnet_0_224": 25_036_820,
}
"""Of timm 1.0, counted by torch."""


FIXED = {"swin_tiny_patch4_window7_224", "deit_small_patch16_224", "coatnet_0_224"}
"""Whom timm runs at one size alone."""

Tensors = dict[str, Tensor]


def parts(network: nn.Module) -> list[tuple[nn.Module, Tensors]]:
    """The modules that have parameters or statistics, in the order of execution, with these."""
    found: dict[int, tuple[nn.Module, Tensors]] = {}

    def seen(module: nn.Module, *_: object) -> None:
        own = {**module._parameters, **module._buffers}
        tensors = {n: v for n, v in own.items() if v is not None and n not in ("num_batches_tracked", "relative_position_index")}
        if tensors:
            found.setdefault(id(module), (module, tensors))

    handles = [module.register_forward_pre_hook(seen) for module in network.modules()]
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 224, 224))
    for handle in handles:
        handle.remove()
    return list(found.values())


def permuted(name: str, module: str, value: Tensor) -> Tensor:
    """Channels of timm's weights in the order of ours."""
    if name.startswith("swin") and ".downsample." in module:  # theirs: column, row, channel of four neighbours
        lead = value.shape[:-1]
        return value.view(*lead, 2, 2, -1).movedim(-1, -3).transpose(-1, -2).reshape(*lead, -1)
    if name.startswith("coatnet") and module.endswith("qkv"):  # theirs: head, then query, key, value
        return value.view(-1, 3, 32, *value.shape[1:]).transpose(0, 1).reshape(value.shape)
    return value


def streams(name: str, theirs: nn.Module) -> dict[str, list[Tensors]]:
    """timm's weights by kind of our module, in the order of execution."""
    named = {module: path for path, module in theirs.named_modules()}
    found: dict[str, list[Tensors]] = {"": []}
    for module, tensors in parts(theirs):
        if "weight" in tensors:
            found[""].append({key: permuted(name, named[module], value) for key, value in tensors.items()})
    own = dict(theirs.named_parameters())
    scales = [value for path, value in own.items() if path.endswith("gamma") or "layer_scale" in path]
    tables = [value for path, value in own.items() if path.endswith("relative_position_bias_table")]
    found["LayerScale"] = [{"weight": value} for value in scales]
    found["RelativePositionBias"] = [
        {"table": value.t().reshape(value.shape[1], round(len(value) ** 0.5), -1)} for value in tables
    ]
    if "pos_embed" in own:
        token, *pixels = own["pos_embed"][0]
        found["ClassToken"] = [{"token": own["cls_token"].flatten(), "position": token}]
        found["PositionEmbedding"] = [{"embedding": torch.stack(pixels, 1).reshape(-1, 14, 14)}]
    return found


def copy(name: str, theirs: nn.Module, ours: nn.Module) -> None:
    """Copy weights part by part in the order of execution, every one of both."""
    given, count = {kind: iter(tensors) for kind, tensors in streams(name, theirs).items()}, 0
    with torch.no_grad():
        for module, mine in parts(ours):
            kind = type(module).__name__
            source = next(given[kind if kind in given else ""])
            assert mine.keys() == source.keys()
            for key, value in mine.items():
                value.copy_(source[key].reshape(value.shape))
                count += value.numel()
    assert all(next(left, None) is None for left in given.values())
    assert count == sum(value.numel() for key, value in theirs.state_dict().items() if not key.endswith("num_batches_tracked"))


def randomise(network: nn.Module) -> None:
    """Weights of a trained network's kind: nothing stands for nothing, statistics that differ, scales and tables that count."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2.0, generator=generator)
            elif name.endswith("num_batches_tracked"):
                continue
            elif value.dim() < 2 or name.endswith(("bias_table", "pos_embed", "cls_token")):
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
    if name in FIXED and size != (224, 224):
        pytest.skip("timm runs it at one size")
    pictures = torch.randn(batch, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(pictures)
        for fused in (True, False):
            ours = build(preset(name), fused=fused).eval()
            copy(name, theirs, ours)
            assert (ours(pictures) - expected).abs().max() <= 1e-4 * expected.abs().max()


def test_macs_are_fvcores_on_timms_network(pair: tuple[str, nn.Module]) -> None:
    """Convolutions, linear layers and the products of attention, which timm computes one by one when told not to fuse."""
    fvcore = pytest.importorskip("fvcore.nn")
    name, _ = pair
    timm.layers.set_fused_attn(False)
    try:
        theirs = timm.create_model(name).eval()
    finally:
        timm.layers.set_fused_attn(True)
    analysis = fvcore.FlopCountAnalysis(theirs, torch.zeros(1, 3, 224, 224))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    counted = analysis.by_operator()
    assert cost(preset(name)).macs == counted["conv"] + counted["linear"] + counted["matmul"]


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
