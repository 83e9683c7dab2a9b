"""The compiled module: any size, the relative position bias, torch's transforms, names, and the door to scores."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.amounts import examples
from tests.uninas.compile.test_compile import pair
from tests.uninas.examples import around, graph_of, graphs_of, small, tiny, walk
from tests.uninas.running import distance, noise, scramble
from uninas import PRESETS, Rejection, canonicalise, op, preset
from uninas.compile.attention import RelativePositionBias, expand_table
from uninas.compile.layers import LAYERS, LayerNorm2d
from uninas.compile.module import GraphModule, build

# --- sizes ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_any_rectangular_size_with_one_set_of_weights(name: str) -> None:
    module = build(small(name))
    for size in ((1, 1), (2, 3), (17, 96), (33, 65), (64, 64), (95, 31)):
        features = module.eval().forward_features(noise(2, 3, *size))
        assert [f.shape[2:] for f in features] == [
            torch.Size([-(-size[0] // stride), -(-size[1] // stride)]) for stride in (4, 8, 16, 32)
        ]
        assert [f.shape[1] for f in features] == [stage.width for stage in small(name).stages]
        assert module(noise(2, 3, *size)).shape == (2, 7)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("fused", [True, False])
def test_a_detection_size_on_the_meta_device(name: str, fused: bool) -> None:
    with torch.device("meta"):
        module = build(preset(name), fused=fused)
        features = module.forward_features(torch.empty(2, 3, 799, 1333))
    assert [tuple(f.shape) for f in features] == [
        (2, stage.width, -(-799 // stride), -(-1333 // stride))
        for stage, stride in zip(preset(name).stages, (4, 8, 16, 32), strict=True)
    ]


def test_a_backbone_has_no_head() -> None:
    module = build(small(), classes=0)
    assert module(noise(2, 3, 64, 64)).shape == (2, 96)
    assert not [name for name, _ in module.named_parameters() if name.startswith(("norm.", "head."))]


# --- relative position bias -----------------------------------------------------------------------------------------------------


def naive_bias(table: Tensor, size: tuple[int, int]) -> Tensor:
    """Entry (i, j): the table at row y_i - y_j + H - 1, column x_i - x_j + W - 1, one by one."""
    height, width = size
    made = torch.empty(table.shape[0], height * width, height * width, dtype=table.dtype)
    for i in range(height * width):
        for j in range(height * width):
            row, column = i // width - j // width + height - 1, i % width - j % width + width - 1
            made[:, i, j] = table[:, row, column]
    return made


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 4), (3, 6), (7, 2)])
def test_the_bias_is_the_table_at_the_offset(size: tuple[int, int]) -> None:
    table = noise(3, 2 * size[0] - 1, 2 * size[1] - 1, dtype=torch.float64).requires_grad_()
    made = expand_table(table, size)
    assert torch.equal(made, naive_bias(table.detach(), size))
    weights = noise(*made.shape, seed=4, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((made * weights).sum(), table)
    other = table.detach().clone().requires_grad_()
    (expected,) = torch.autograd.grad((naive_bias(other, size) * weights).sum(), other)
    assert torch.allclose(gradient, expected, atol=1e-12)


def resized_by_hand(table: Tensor, rows: int, columns: int) -> Tensor:
    """Bilinear, corners on corners, written with loops."""
    heads, height, width = table.shape
    made = torch.empty(heads, rows, columns, dtype=table.dtype)
    for r in range(rows):
        for c in range(columns):
            y = r * (height - 1) / (rows - 1) if rows > 1 else 0.0
            x = c * (width - 1) / (columns - 1) if columns > 1 else 0.0
            top, left = min(int(y), height - 1), min(int(x), width - 1)
            below, right = min(top + 1, height - 1), min(left + 1, width - 1)
            dy, dx = y - top, x - left
            made[:, r, c] = (
                (1 - dy) * (1 - dx) * table[:, top, left]
                + (1 - dy) * dx * table[:, top, right]
                + dy * (1 - dx) * table[:, below, left]
                + dy * dx * table[:, below, right]
            )
    return made


@pytest.mark.parametrize("size", [(5, 3), (2, 2), (4, 7), (1, 1), (1, 6)])
def test_the_table_is_resized_at_other_sizes_in_its_own_precision(size: tuple[int, int]) -> None:
    layer = RelativePositionBias(2, 3, 4).double()
    scramble(layer)
    rows, columns = 2 * size[0] - 1, 2 * size[1] - 1
    expected = naive_bias(resized_by_hand(layer.table.detach(), rows, columns), size)
    assert torch.allclose(layer.bias(size), expected, atol=1e-13, rtol=0)
    scores = noise(2, 2, size[0] * size[1], size[0] * size[1], dtype=torch.float64)
    assert torch.allclose(layer(scores, size=size), scores + expected, atol=1e-13)


def test_half_precision_tables_are_resized() -> None:
    layer = RelativePositionBias(2, 3, 3).bfloat16()
    scramble(layer)
    assert layer.bias((5, 4)).dtype == torch.bfloat16


def test_attention_is_what_its_formula_says() -> None:
    """softmax(q^T k / sqrt(d) + bias) v, written with loops over heads."""
    network = around(
        graph_of(
            "%1 = conv(kernel=1, ratio=3) %0",
            "%2 = slice(index=0, count=3) %1",
            "%3 = slice(index=1, count=3) %1",
            "%4 = matmul_qk(head_dim=8) %2 %3",
            "%5 = relative_position_bias %4",
            "%6 = softmax %5",
            "%7 = slice(index=2, count=3) %1",
            "%8 = matmul_av %6 %7",
            "return %8",
        )
    )
    for module in pair(network):
        graph = next(part for part in module.modules() if isinstance(part, GraphModule))
        x = noise(2, 32, 10, 10, dtype=torch.float64)
        convolution, table = graph.get_submodule("conv_kernel_1_ratio_3_0"), graph.get_submodule("relative_position_bias_0")
        assert isinstance(convolution, nn.Conv2d)
        assert isinstance(table, RelativePositionBias)
        q, k, v = convolution(x).chunk(3, 1)
        bias = naive_bias(table.table, (10, 10))
        heads = []
        for h in range(4):
            part = slice(8 * h, 8 * h + 8)
            qh, kh, vh = (t[:, part].flatten(2) for t in (q, k, v))
            weights = (torch.einsum("bdi,bdj->bij", qh, kh) / 8**0.5 + bias[h]).softmax(-1)
            heads.append(torch.einsum("bij,bdj->bdi", weights, vh))
        assert distance(graph(x), torch.cat(heads, 1).view(2, 32, 10, 10)) < 1e-12


def test_layer_norm_is_over_channels() -> None:
    layer = LayerNorm2d(6).double()
    scramble(layer)
    x = noise(2, 6, 3, 4, dtype=torch.float64)
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    expected = (x - mean) / (variance + 1e-6).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]
    assert torch.allclose(layer(x), expected, atol=1e-12)


def test_the_mask_keeps_a_band() -> None:
    network = around(graph_of("%1 = mask(band=2) %0", "return %1"))
    graph = next(part for part in build(network).modules() if isinstance(part, GraphModule))
    x = noise(1, 32, 7, 9)
    kept = torch.tensor([[abs(i - j) <= 2 for j in range(9)] for i in range(7)])
    assert torch.equal(graph(x), torch.where(kept, x, torch.zeros(())))


# --- transforms -------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # torch's own decompositions
@pytest.mark.parametrize("fused", [True, False])
def test_forward_derivatives_and_vmap_run(fused: bool) -> None:
    """jvp and vmap through the unfused form, and through the fused one with torch's own attention formula."""
    from torch.func import functional_call, jacrev, jvp, vmap
    from torch.nn.attention import SDPBackend, sdpa_kernel

    modules = pair(small("coatnet", size=(32, 32)))
    module = modules[0 if fused else 1].eval()
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    buffers = dict(module.named_buffers())
    x = noise(3, 3, 32, 32, dtype=torch.float64)
    directions = {name: noise(*p.shape, seed=i, dtype=torch.float64) for i, (name, p) in enumerate(parameters.items())}

    def logits(weights: dict[str, Tensor], batch: Tensor) -> Tensor:
        made: Tensor = functional_call(module, {**weights, **buffers}, (batch,))
        return made

    with sdpa_kernel(SDPBackend.MATH):
        _, tangent = jvp(lambda w: logits(w, x), (parameters,), (directions,))
        each = vmap(lambda image: logits(parameters, image[None])[0])(x)
        jacobian = vmap(jacrev(lambda w, image: logits(w, image[None])[0]), (None, 0))(parameters, x)
    assert distance(each, module(x)) < 1e-10
    expected = sum((jacobian[name] * directions[name]).flatten(2).sum(2) for name in parameters)
    assert isinstance(expected, Tensor)
    assert distance(tangent, expected) < 1e-8


# --- names ------------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
@examples(15)
def test_names_are_the_same_fused_and_not_and_shared_with_neighbours(seed: int) -> None:
    rng = random.Random(seed)
    for step in walk(tiny("ET"), rng, 4):
        if isinstance(step, Rejection):
            continue
        parent, _, child = step
        parent = canonicalise(parent)
        with torch.device("meta"):
            one, two = build(child).state_dict(), build(child, fused=False).state_dict()
            before = build(parent).state_dict()
        assert {k: v.shape for k, v in one.items()} == {k: v.shape for k, v in two.items()}
        unchanged = {(s, b, k): graph for s, b, k, graph in graphs_of(parent)}
        same_widths = [s.width for s in parent.stages] == [s.width for s in child.stages]
        for s, b, k, graph in graphs_of(child):
            prefix = f"stages.{s}.blocks.{b}.sub{k + 1}."
            if same_widths and unchanged.get((s, b, k)) == graph:
                assert {n: v.shape for n, v in one.items() if n.startswith(prefix)} == {
                    n: v.shape for n, v in before.items() if n.startswith(prefix)
                }


def test_an_edit_elsewhere_leaves_a_convolutions_name() -> None:
    chain = graph_of("%1 = conv(kernel=3) %0", "%2 = batch_norm %1", "%3 = conv(kernel=3) %2", "return %3")
    longer = graph_of(
        "%1 = conv(kernel=3) %0",
        "%2 = batch_norm %1",
        "%3 = gelu %2",
        "%4 = conv(kernel=3) %3",
        "%5 = conv(kernel=1) %4",
        "return %5",
    )
    one, two = build(around(chain)).state_dict(), build(around(longer)).state_dict()
    assert set(one) < set(two)
    assert set(two) - set(one) == {f"stages.0.blocks.0.sub1.conv_kernel_1_0.{leaf}" for leaf in ("weight", "bias")}


def test_the_door_to_scores() -> None:
    """Layers and blocks are offered in the order in which they run."""
    module = build(canonicalise(small()))
    order: list[str] = []
    names = {id(layer): name for name, layer in [*module.scoring_layers(), *module.block_outputs()]}
    for _, part in [*module.scoring_layers(), *module.block_outputs()]:
        part.register_forward_hook(lambda part, given, made: order.append(names[id(part)]))
    module(noise(2, 3, 64, 64))
    layers = [name for name, _ in module.scoring_layers()]
    blocks = [name for name, _ in module.block_outputs()]
    assert [name for name in order if name in layers] == layers
    assert [name for name in order if name in blocks] == blocks
    assert len(blocks) == 5
    assert layers[:2] == ["stem.conv1", "stem.conv2"]
    assert layers[-1] == "head"


def test_building_does_not_run_or_draw_from_a_foreign_generator() -> None:
    state = torch.random.get_rng_state()
    with torch.device("meta"):
        build(small())
    assert torch.equal(torch.random.get_rng_state(), state)
    module = build(small())
    assert all(p.grad is None for p in module.parameters())
    assert int(module.stem.norm.num_batches_tracked or 0) == 0


@pytest.mark.parametrize("train", [False, True])
def test_group_norm_over_one_entry_is_its_bias(train: bool) -> None:
    """As for one entry of several groups in any larger batch, where torch computes it too."""
    module = LAYERS["group_norm"](op("group_norm", groups=4), (), (4,), None)
    assert isinstance(module, nn.GroupNorm)
    module.train(train)
    with torch.no_grad():
        module.bias.copy_(torch.arange(4.0))
        images = torch.randn(1, 4, 1, 1)  # its deviation is divided by sqrt(eps), and so is what rounding leaves of it
        torch.testing.assert_close(module(images).flatten(), module.bias, rtol=0, atol=1e-3)
        torch.testing.assert_close(module(images.expand(2, -1, -1, -1))[1].flatten(), module.bias, rtol=0, atol=1e-3)
        larger = torch.randn(2, 8, 3, 2)
        own, plain = LAYERS["group_norm"](op("group_norm", groups=4), (), (8,), None), nn.GroupNorm(4, 8)
        assert torch.equal(own(larger), plain(larger))
