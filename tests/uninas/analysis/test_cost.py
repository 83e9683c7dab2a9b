"""Exact cost: presets against published figures and closed forms, networks against what the compiled module has and executes."""

from __future__ import annotations

import random
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tests.amounts import examples
from tests.uninas.examples import around, graph_of, graphs_of, headed, small, tiny, walked
from tests.uninas.oracle import LETTERS, preset_macs, preset_params
from tests.uninas.running import executed_macs
from uninas import IDENTITY, PRESETS, Architecture, InputError, canonicalise, cost, op, preset
from uninas.compile.module import GraphModule, Network, ResidualBlock, build

TABLE = {
    "resnet": (24_817_416, 4_513_542_144),
    "efficientnet": (23_864_136, 3_034_941_440),
    "vit": (26_398_156, 9_169_277_952),
    "coatnet": (26_871_124, 4_213_122_048),
}
"""Params and MACs at 224 px with 1000 classes, depths (2, 3, 5, 2)."""

BACKBONES = {"resnet": ("184.2", "47.2"), "efficientnet": ("123.4", "31.6"), "coatnet": ("294.6", "50.8")}
"""2 x MACs in G without a head at 1280x800 (width x height) and 512x512."""

LARGE_SIZES = ((224, 224), (799, 1333))


@pytest.mark.parametrize("name", TABLE)
def test_presets_cost_what_is_published(name: str) -> None:
    figures = cost(preset(name))
    assert (figures.params, figures.macs) == TABLE[name]


@pytest.mark.parametrize("name", BACKBONES)
def test_backbones_cost_what_is_published_at_detection_and_segmentation_sizes(name: str) -> None:
    at = [2 * cost(preset(name), size, 0).macs for size in ((800, 1280), (512, 512))]
    assert tuple(f"{macs / 1e9:.1f}" for macs in at) == BACKBONES[name]
    widths = PRESETS[name][0]
    assert at == [2 * preset_macs(name, widths, (2, 3, 5, 2), 0, size) for size in ((800, 1280), (512, 512))]


_SIDES = st.integers(1, 1400)


@given(
    name=st.sampled_from(sorted(LETTERS)),
    scale=st.lists(st.integers(1, 24), min_size=4, max_size=4),
    depths=st.lists(st.integers(1, 6), min_size=4, max_size=4),
    classes=st.integers(0, 2000),
    reference=st.tuples(_SIDES, _SIDES),
    size=st.tuples(_SIDES, _SIDES),
)
@examples(300)
def test_presets_follow_the_closed_forms_at_any_width_depth_and_size(
    name: str,
    scale: list[int],
    depths: list[int],
    classes: int,
    reference: tuple[int, int],
    size: tuple[int, int],
) -> None:
    widths = [32 * s for s in scale]
    network = preset(name, widths=widths, depths=depths, input_size=reference)
    figures = cost(network, size, classes)
    assert figures.params == preset_params(name, widths, depths, classes, reference)
    assert figures.macs == preset_macs(name, widths, depths, classes, size)
    assert cost(network, classes=classes).macs == preset_macs(name, widths, depths, classes, reference)


def test_layers_are_convolutions_and_linear_layers() -> None:
    per_block = {"R": 2, "E": 5, "T": 4}
    for name, letters in LETTERS.items():
        widths = PRESETS[name][0]
        expected = 2 + 1 + sum(per_block[letter] * d for letter, d in zip(letters, (2, 3, 5, 2), strict=True))
        expected += 2 * sum(a != b for a, b in zip((64, *widths), widths, strict=False))
        assert cost(preset(name)).layers == expected
        assert len(meta(preset(name)).scoring_layers()) == expected


def test_the_largest_attention_map_is_global_at_every_size() -> None:
    assert cost(preset("vit")).attention_tokens == 56 * 56
    assert cost(preset("coatnet")).attention_tokens == 14 * 14
    assert cost(preset("coatnet"), (799, 1333)).attention_tokens == 50 * 84
    assert cost(preset("resnet")).attention_tokens == 0


@pytest.mark.parametrize("size", [(0, 224), (224, 0), (1 << 17, 224)])
def test_a_size_out_of_range_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="expected an input size"):
        cost(preset("resnet"), size)


# --- against the module ---------------------------------------------------------------------------------------------------


def meta(architecture: Architecture, *, fused: bool = True) -> Network:
    with torch.device("meta"):
        return build(architecture, fused=fused)


def module_params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("fused", [True, False])
def test_the_compiled_presets_have_and_execute_what_they_cost(name: str, fused: bool) -> None:
    network = preset(name)
    module = meta(network, fused=fused)
    assert module_params(module) == cost(network).params
    for size in LARGE_SIZES:
        assert executed_macs(module, size, device="meta") == cost(network, size).macs


@pytest.mark.parametrize("fused", [True, False])
def test_hooked_layers_and_the_rest_add_up_to_the_macs(fused: bool) -> None:
    """Counted twice: convolutions and linear layers by hooks on the modules, attention products by the dispatcher."""
    network, size = preset("coatnet"), (191, 260)
    module = meta(network, fused=fused)
    by_hooks = 0

    def count(layer: nn.Module, given: tuple[torch.Tensor], made: torch.Tensor) -> None:
        nonlocal by_hooks
        weight = layer.weight
        assert isinstance(weight, torch.Tensor)
        by_hooks += made.numel() * weight[0].numel()

    for _, layer in module.scoring_layers():
        layer.register_forward_hook(count)
    counted = executed_macs(module, size, device="meta")
    attention = 0
    for stage, place in zip(network.stages, network.places(size), strict=True):
        for block in stage.blocks:
            for graph in block.subblocks:
                products = sum(node.op.name.startswith("matmul") for node in graph.nodes) if graph else 0
                attention += products * stage.width * (place.height * place.width) ** 2
    assert by_hooks + attention == counted == cost(network, size).macs


def test_one_linear_head_sees_the_pooled_map() -> None:
    network = preset("resnet")
    assert cost(network).macs - cost(network, classes=0).macs == 512 * 1000
    assert cost(network).params - cost(network, classes=0).params == 512 * 1000 + 1000 + 2 * 512
    assert module_params(build(small(), classes=0)) == cost(small(), classes=0).params


@pytest.mark.filterwarnings("ignore")  # fvcore and torch.jit deprecate each other
@pytest.mark.parametrize("name", TABLE)
def test_fvcore_counts_the_same_on_the_unfused_form(name: str) -> None:
    from fvcore.nn import FlopCountAnalysis

    network = small(name)
    module = build(network, fused=False).eval()
    for size in ((64, 64), (45, 70)):
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            analysis = FlopCountAnalysis(module, torch.zeros(1, 3, *size))
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
            counted = analysis.by_operator()
        products = {"conv", "linear", "matmul", "bmm", "addmm", "einsum", "baddbmm"}
        assert set(counted) - products <= {"batch_norm", "layer_norm", "upsample_bilinear2d", "adaptive_avg_pool2d"}
        assert sum(macs for kind, macs in counted.items() if kind in products) == cost(network, size).macs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("size", [(800, 1280), (512, 512)])
@pytest.mark.parametrize("name", ["resnet", "efficientnet", "coatnet"])
def test_fvcore_counts_the_same_backbones_at_the_sizes_of_detection_and_segmentation(name: str, size: tuple[int, int]) -> None:
    from fvcore.nn import FlopCountAnalysis

    network = preset(name)
    module = build(network, classes=0, fused=False).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        analysis = FlopCountAnalysis(module, torch.zeros(1, 3, *size))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        counted = analysis.by_operator()
    products = {"conv", "linear", "matmul", "bmm", "addmm", "einsum", "baddbmm"}
    assert sum(macs for kind, macs in counted.items() if kind in products) == cost(network, size, 0).macs


# --- activation bytes --------------------------------------------------------------------------------------------------------


def really_made(module: Network, size: tuple[int, int]) -> int:
    """Bytes of every node's output, template included, seen by instrumenting the unfused module."""
    entries = 0

    def seen(made: torch.Tensor) -> torch.Tensor:
        nonlocal entries
        entries += made.numel()
        return made

    def listen(part: nn.Module, times: int = 1) -> None:
        def hook(_: nn.Module, __: object, made: torch.Tensor) -> None:
            for _repeat in range(times):
                seen(made)

        part.register_forward_hook(hook)

    graphs = [part for part in module.modules() if isinstance(part, GraphModule)]
    inside = {id(layer) for part in graphs for layer in part.modules()}
    for part in graphs:
        part.functions[:] = [function and _wrapped(function, seen) for function in part.functions]
        for layer in part.children():
            listen(layer)
    for part in module.modules():
        if isinstance(part, ResidualBlock):
            # Every sub-block that is there ends in one addition, of the block's own output size.
            listen(part, sum(name.startswith("sub") for name, _ in part.named_children()))
        elif not list(part.children()) and not isinstance(part, nn.Identity) and id(part) not in inside:
            listen(part)
    features: list[torch.Tensor] = []
    module.norm.register_forward_hook(lambda _, __, made: features.append(made))
    module(torch.zeros(1, 3, *size))
    seen(features[0].mean((2, 3)))  # the global average pool before the linear layer
    return 4 * entries


def _wrapped(layer, seen):  # type: ignore[no-untyped-def]
    return lambda *inputs, **size: seen(layer(*inputs, **size))


@pytest.mark.parametrize("name", TABLE)
def test_activation_bytes_are_those_of_all_node_outputs(name: str) -> None:
    network = small(name)
    for size in ((64, 64), (45, 70)):
        module = build(network, fused=False).eval()
        with torch.no_grad():
            assert cost(network, size).activation_bytes == really_made(module, size)


def test_activation_bytes_of_walks() -> None:
    rng = random.Random(4)
    for _ in range(25):
        network = walked(tiny("ET"), rng, 12)
        module = build(network, fused=False).eval()
        with torch.no_grad():
            assert cost(network, (37, 52)).activation_bytes == really_made(module, (37, 52))


# --- sharing --------------------------------------------------------------------------------------------------------------


def test_two_equal_convolutions_are_two_and_one_read_twice_is_one() -> None:
    two = around(graph_of("%1 = conv(kernel=3) %0", "%2 = conv(kernel=3) %0", "%3 = add %1 %2", "return %3"))
    one = around(graph_of("%1 = conv(kernel=3) %0", "%2 = add %1 %1", "return %2"))
    base = cost(around(IDENTITY)).params
    assert cost(one).params - base == 9 * 32 * 32 + 32
    assert cost(two).params - base == 2 * (9 * 32 * 32 + 32)
    assert two.digest != one.digest
    for network in (one, two):
        assert module_params(build(canonicalise(network))) == cost(canonicalise(network)).params == cost(network).params


def test_equal_operations_without_parameters_are_one() -> None:
    written = around(graph_of("%1 = gelu %0", "%2 = gelu %0", "%3 = add %1 %2", "return %3"))
    ((_, _, _, graph),) = graphs_of(canonicalise(written))
    assert graph.text == "%1 = gelu %0\n%2 = add %1 %1\nreturn %2"


def test_heads_cost_the_same_as_one_operation() -> None:
    """Written head by head or as one attention, the products cost the same."""
    by_heads = around(headed(4))
    whole = around(
        graph_of(
            "%1 = conv(kernel=1, ratio=3) %0",
            "%2 = slice(index=0, count=3) %1",
            "%3 = slice(index=1, count=3) %1",
            "%4 = matmul_qk(head_dim=8) %2 %3",
            "%5 = softmax %4",
            "%6 = slice(index=2, count=3) %1",
            "%7 = matmul_av %5 %6",
            "return %7",
        )
    )
    assert cost(by_heads).macs == cost(whole).macs
    assert cost(by_heads).params == cost(whole).params
    assert executed_macs(build(by_heads), (40, 40)) == cost(by_heads).macs


def test_dropout_is_random_and_so_never_merged() -> None:
    written = around(graph_of("%1 = dropout %0", "%2 = dropout %0", "%3 = add %1 %2", "return %3"))
    ((_, _, _, graph),) = graphs_of(canonicalise(written))
    assert sum(node.op is op("dropout") for node in graph.nodes) == 2
