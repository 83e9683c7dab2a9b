"""From a graph to torch: fused and unfused are one function with one set of weights, at any size, in every mode."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.amounts import examples
from tests.uninas.examples import around, graph_of, headed, small, tiny, walked
from tests.uninas.running import distance, noise, scramble
from uninas import PRESETS, Architecture, Graph, GraphBuilder, canonicalise, op
from uninas.compile.module import GraphModule, Network, build
from uninas.compile.plan import ExecutionPlan, plan

TOLERANCE = 1e-5  # of the largest output; float64 leaves far less


def pair(architecture: Architecture, seed: int = 0) -> tuple[Network, Network]:
    """The fused and the unfused module with the same scrambled weights, in float64; no dropout, which is random."""
    fused = scramble(build(architecture).double(), seed)
    unfused = build(architecture, fused=False).double()
    unfused.load_state_dict(fused.state_dict())
    for module in (fused, unfused):
        for part in module.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
    assert isinstance(fused, Network)
    return fused, unfused


def assert_same(fused: Network, unfused: Network, size: tuple[int, int], *, tolerance: float = 1e-10) -> None:
    """Same outputs, input and parameter gradients and running statistics after one step, in the modules' present mode."""
    results = []
    for module in (fused, unfused):
        module.zero_grad(set_to_none=True)
        x = noise(2, module.architecture.in_channels, *size, dtype=torch.float64).requires_grad_()
        logits = module(x)
        (logits * noise(*logits.shape, seed=7, dtype=torch.float64)).sum().backward()
        results.append((logits, x.grad))
    (one, one_grad), (two, two_grad) = results
    assert one_grad is not None
    assert two_grad is not None
    assert distance(one, two) < min(tolerance, TOLERANCE)
    assert distance(one_grad, two_grad) < 1e-8
    scale = max(float(p.grad.abs().max()) for p in unfused.parameters() if p.grad is not None)
    for (name, a), (other, b) in zip(fused.named_parameters(), unfused.named_parameters(), strict=True):
        assert name == other
        assert (a.grad is None) == (b.grad is None), name
        if a.grad is not None and b.grad is not None:
            assert float((a.grad - b.grad).abs().max()) < 1e-9 * scale, name
    for (name, a), (_, b) in zip(fused.named_buffers(), unfused.named_buffers(), strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12), name


def listen(module: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Hooks on every convolution and linear layer: name -> (input, output) of the last pass."""
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    assert isinstance(module, Network)
    for name, layer in module.scoring_layers():

        def hook(_: nn.Module, given: tuple[Tensor, ...], made: Tensor, name: str = name) -> None:
            seen[name] = (given[0].detach(), made.detach())

        layer.register_forward_hook(hook)
    return seen


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", [canonicalise, lambda a: a], ids=["canonical", "stored"])
def test_presets_agree(name: str, training: bool, form: Callable[[Architecture], Architecture]) -> None:
    fused, unfused = pair(form(small(name)))
    fused.train(training)
    unfused.train(training)
    for size in ((64, 64), (33, 65), (70, 41)):
        assert_same(fused, unfused, size)


@given(st.integers(0, 2**32 - 1))
@examples(200)
def test_walks_agree(seed: int) -> None:
    rng = random.Random(seed)
    network = canonicalise(walked(tiny(rng.choice(["ET", "TE", "TT", "RE"])), rng, rng.randrange(1, 12)))
    fused, unfused = pair(network, seed % 1000)
    training = rng.random() < 0.5
    fused.train(training)
    unfused.train(training)
    assert_same(fused, unfused, (33, 45), tolerance=1e-8)
    seen, plain = listen(fused), listen(unfused)
    assert_same(fused, unfused, (26, 39), tolerance=1e-8)
    assert list(seen) == [name for name, _ in fused.scoring_layers()]
    for name in seen:
        assert distance(seen[name][0], plain[name][0]) < 1e-8, name
        assert distance(seen[name][1], plain[name][1]) < 1e-8, name


# --- every kind of step -----------------------------------------------------------------------------------------------------


def gated(builder: GraphBuilder, pooled: int, x: int) -> int:
    return builder.add(op("multiply"), x, builder.chain(pooled, op("broadcast"), op("sigmoid")))


def broadcast_sums() -> Graph:
    """Pooled maps whose broadcasts are postponed past sums, products and activations, and one that is needed at full size."""
    builder = GraphBuilder()
    one = builder.chain(0, op("global_average_pool"), op("conv", kernel=1), op("broadcast"))
    two = builder.chain(0, op("global_average_pool"), op("conv", kernel=1), op("broadcast"))
    both = builder.chain(builder.add(op("add"), one, two), op("gelu"))
    full = builder.add(op("conv", kernel=3), both)
    return builder.build(builder.add(op("add"), builder.add(op("multiply"), both, 0), full))


def grouped_branches(*ops: object) -> Graph:
    """Four slices of the input through equal chains, concatenated."""
    builder = GraphBuilder()
    pieces = [builder.add(op("slice", index=i, count=4), 0) for i in range(4)]
    return builder.build(builder.add(op("concat"), *(builder.chain(piece, *ops) for piece in pieces)))  # type: ignore[arg-type]


def wide_branches() -> Graph:
    """Four convolutions of one map, one without a relative in its chain."""
    builder = GraphBuilder()
    ends = [builder.chain(0, op("conv", kernel=3, ratio="1/4"), op("batch_norm"), op("gelu")) for _ in range(4)]
    return builder.build(builder.add(op("concat"), *ends))


def two_step_branches() -> Graph:
    """Branches of two-input nodes: a gate and a sum inside each, over two chains."""
    builder = GraphBuilder()
    ends = []
    for i in range(2):
        piece = builder.add(op("slice", index=i, count=2), 0)
        left = builder.chain(piece, op("conv", kernel=3), op("layer_norm"))
        right = builder.chain(piece, op("conv", kernel=1), op("sigmoid"))
        pooled = builder.chain(left, op("max_pool"), op("softmax"), op("mask", band=3))
        ends.append(builder.add(op("add"), builder.add(op("multiply"), pooled, right), builder.add(op("gelu"), piece)))
    return builder.build(builder.add(op("concat"), *ends))


def unlike_branches() -> Graph:
    """Branches that are equal only at their ends, and one that is read from outside."""
    builder = GraphBuilder()
    piece = [builder.add(op("slice", index=i, count=2), 0) for i in range(2)]
    one = builder.chain(piece[0], op("gelu"), op("conv", kernel=3), op("batch_norm"))
    two = builder.chain(piece[1], op("sigmoid"), op("conv", kernel=3), op("batch_norm"))
    joined = builder.add(op("concat"), one, two)
    read = builder.chain(0, op("conv", kernel=3, ratio="1/2"))
    other = builder.add(op("concat"), read, builder.chain(0, op("conv", kernel=3, ratio="1/2")))
    again = builder.add(op("concat"), read, read)
    return builder.build(builder.add(op("add"), joined, other, again))


def pooled_attention() -> Graph:
    """Attention between pooled maps, head by head, and its broadcast."""
    builder = GraphBuilder()
    pooled = builder.chain(0, op("global_average_pool"))
    ends = []
    for i in range(2):
        piece = builder.add(op("slice", index=i, count=2), pooled)
        scores = builder.chain(builder.add(op("matmul_qk", head_dim=8), piece, piece), op("relative_position_bias"))
        ends.append(builder.add(op("matmul_av"), builder.add(op("softmax"), scores), piece))
    return builder.build(builder.add(op("add"), 0, builder.chain(builder.add(op("concat"), *ends), op("broadcast"))))


_TABLE, _GELU = op("relative_position_bias"), op("gelu")

STEPS: dict[str, tuple[Graph, set[str]]] = {
    "whole attention": (
        graph_of(
            "%1 = conv(kernel=1, ratio=3) %0",
            "%2 = slice(index=0, count=3) %1",
            "%3 = slice(index=1, count=3) %1",
            "%4 = matmul_qk(head_dim=8) %2 %3",
            "%5 = relative_position_bias %4",
            "%6 = relative_position_bias %5",
            "%7 = softmax %6",
            "%8 = slice(index=2, count=3) %1",
            "%9 = matmul_av %7 %8",
            "return %9",
        ),
        {"attention"},
    ),
    "attention whose scores somebody reads": (
        graph_of(
            "%1 = matmul_qk(head_dim=8) %0 %0",
            "%2 = softmax %1",
            "%3 = matmul_av %2 %0",
            "%4 = sigmoid %1",
            "%5 = matmul_av %4 %3",
            "return %5",
        ),
        {"node"},
    ),
    "plain heads": (headed(4), {"batch", "stack"}),
    "one head of one channel": (headed(32), {"batch", "stack"}),
    "heads with tables": (headed(4, on_map=(_TABLE,)), {"batch", "stack"}),
    "heads with masks and gates": (
        headed(4, on_map=(_TABLE, op("mask"), _GELU, op("sigmoid"), op("dropout"))),
        {"batch", "stack"},
    ),
    "heads with convolutions": (
        headed(
            2,
            piece=(op("conv", kernel=3), op("batch_norm"), _GELU),
            on_map=(_TABLE,),
            post=(op("conv", kernel=3, groups="depthwise", bias=False), op("layer_norm")),
        ),
        {"batch", "stack"},
    ),
    "grouped branches": (grouped_branches(op("conv", kernel=3), op("batch_norm"), _GELU, op("max_pool")), {"batch", "stack"}),
    "depthwise branches": (
        grouped_branches(op("conv", kernel=5, groups="depthwise", bias=False), op("layer_norm")),
        {"batch", "stack"},
    ),
    "dilated grouped branches": (
        grouped_branches(op("conv", kernel=3, groups=2, dilation=2, ratio=2), op("conv", kernel=1, ratio="1/2")),
        {"batch", "stack"},
    ),
    "pooled branches": (grouped_branches(op("global_average_pool"), op("conv", kernel=1), _GELU, op("broadcast")), {"node"}),
    "wide branches": (wide_branches(), {"wide", "batch"}),
    "two-step branches": (two_step_branches(), {"batch", "stack"}),
    "unlike branches": (unlike_branches(), {"batch", "stack", "node"}),
    "postponed broadcasts": (broadcast_sums(), {"expand"}),
    "pooled attention": (pooled_attention(), {"batch", "stack", "node"}),
}


def plan_of(graph: Graph, width: int = 32, *, fused: bool = True) -> ExecutionPlan:
    return plan(graph, graph.types(width), fused=fused)


@pytest.mark.parametrize("case", STEPS)
def test_steps_are_those_expected(case: str) -> None:
    graph, kinds = STEPS[case]
    found = {step.kind for step in plan_of(graph).steps}
    assert kinds <= found
    assert {step.kind for step in plan_of(graph, fused=False).steps} == {"node"}
    if "stack" in kinds or "wide" in kinds:
        assert len(plan_of(graph).steps) < len(plan_of(graph, fused=False).steps)


def test_every_kind_of_step_occurs() -> None:
    kinds = {step.kind for graph, _ in STEPS.values() for step in plan_of(graph).steps}
    assert kinds == {"node", "batch", "wide", "stack", "attention", "expand", "split"}


@pytest.mark.parametrize("case", STEPS)
@pytest.mark.parametrize("training", [True, False])
def test_hand_made_graphs_agree(case: str, training: bool) -> None:
    fused, unfused = pair(around(STEPS[case][0]))
    fused.train(training)
    unfused.train(training)
    for size in ((40, 40), (33, 26)):
        assert_same(fused, unfused, size)


@pytest.mark.parametrize("case", STEPS)
def test_hand_made_graphs_agree_with_hooks_on_every_layer(case: str) -> None:
    fused, unfused = pair(around(STEPS[case][0]))
    without = fused(noise(2, 3, 33, 26, dtype=torch.float64))
    seen, plain = {}, {}
    for module, record in ((fused, seen), (unfused, plain)):
        module.load_state_dict(unfused.state_dict())  # running statistics moved in the pass above
        for part in module.modules():
            if isinstance(part, GraphModule):
                for name, layer in part.named_children():
                    layer.register_forward_hook(
                        lambda _, given, made, name=name, record=record: record.update({name: (given[0].detach(), made.detach())})
                    )
    assert_same(fused, unfused, (33, 26))
    assert set(seen) == set(plain)
    for name in seen:
        assert seen[name][0].shape == plain[name][0].shape
        assert distance(seen[name][0], plain[name][0]) < 1e-9, name
        assert distance(seen[name][1], plain[name][1]) < 1e-9, name
    assert without.shape == (2, 3)


@pytest.mark.parametrize(
    "register", ["register_forward_pre_hook", "register_full_backward_hook", "register_full_backward_pre_hook"]
)
def test_other_hooks_fire_in_batched_steps(register: str) -> None:
    fused, _ = pair(around(headed(4, piece=(op("conv", kernel=3),))))
    fired: list[str] = []
    layers = {name: layer for name, layer in fused.scoring_layers() if "sub1" in name}
    for name, layer in layers.items():
        getattr(layer, register)(lambda *_, name=name: fired.append(name))
    x = noise(2, 3, 40, 40, dtype=torch.float64)
    fused(x).sum().backward()
    assert sorted(fired) == sorted(layers)


@pytest.mark.parametrize("case", STEPS)
def test_one_training_step_moves_the_same_statistics(case: str) -> None:
    fused, unfused = pair(around(STEPS[case][0]))
    before = {name: value.clone() for name, value in fused.named_buffers()}
    x = noise(2, 3, 40, 40, dtype=torch.float64)
    for module in (fused, unfused):
        module.train()(x)
    for name, value in fused.named_buffers():
        assert torch.allclose(value.double(), unfused.get_buffer(name).double(), rtol=1e-10), name
        assert not torch.equal(value, before[name]), f"{name} moved"


def test_norms_frozen_one_by_one_keep_their_statistics() -> None:
    """A batched norm follows each layer's own mode."""
    fused, unfused = pair(around(STEPS["wide branches"][0]))
    for module in (fused, unfused):
        module.train()
        norms = [part for name, part in module.named_modules() if isinstance(part, nn.BatchNorm2d) and "sub1" in name]
        assert len(norms) == 4
        norms[1].eval()
    frozen = {name: value.clone() for name, value in fused.named_buffers() if ".batch_norm_1." in name}
    assert frozen
    assert_same(fused, unfused, (40, 40))
    for name, value in frozen.items():
        assert torch.equal(fused.get_buffer(name), value)


class _Doubled(nn.BatchNorm2d):
    """A norm of another make, as synchronised batch norm is."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


@pytest.mark.parametrize("case", ["wide branches", "grouped branches", "heads with convolutions"])
def test_layers_may_be_replaced_after_building(case: str) -> None:
    """Synchronised norms, adapters and quantised layers come in by replacing a child: what runs is the child that is there."""
    modules = pair(around(STEPS[case][0]))
    before = modules[0].eval()(noise(2, 3, 40, 40, dtype=torch.float64))
    for module in modules:
        for part in module.modules():
            for name, child in list(part.named_children()):
                if isinstance(part, GraphModule) and isinstance(child, nn.BatchNorm2d):
                    other = _Doubled(child.num_features).double()
                    other.load_state_dict(child.state_dict())
                    setattr(part, name, other)
        module.eval()
    assert_same(*modules, (40, 40))
    after = modules[0](noise(2, 3, 40, 40, dtype=torch.float64))
    assert distance(after, before) > 1e-3


def test_copies_are_independent() -> None:
    fused, _ = pair(small())
    fused.eval()
    x = noise(1, 3, 40, 40, dtype=torch.float64)
    before = fused(x)
    twin = copy.deepcopy(fused)
    scramble(twin, 5)
    assert torch.equal(fused(x), before)
    assert distance(twin(x), before) > 1e-3
    with torch.no_grad():
        for p in twin.parameters():
            p.zero_()
    assert not bool(twin(x).any())
