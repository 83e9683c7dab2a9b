"""Both modes of differentiation against the oracle: a Jacobian entry by entry, then the Fisher spectrum."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from proxies import ProxyFailure, ProxyUsageError, fisher_spectrum, scoring_layers
from proxies.measuring.layers import layers_and_norms
from proxies.measuring.state import scoring
from proxies.vkdnw import fisher_jacobian
from proxies.vkdnw.modes import ModePlan, plan_mode
from proxies.vkdnw.survey import Survey, survey
from proxies.vkdnw.weights import choose_weights
from tests.proxies.networks import KINDS, batch, batched_oracle, convolution, make, oracle

MODES = ("reverse", "forward")


def weight_names(network: nn.Module, inputs: Tensor) -> list[str]:
    chosen = choose_weights(scoring_layers(network, inputs), 128)
    return [f"{weight.name}.weight" for weight in chosen]


def centred(jacobian: Tensor) -> Tensor:
    """Rows up to one they have in common: all that the softmax feels."""
    return jacobian - jacobian.mean(1, keepdim=True)


def expected_spectrum(network: nn.Module, inputs: Tensor, smoothing: float) -> Tensor:
    """F from its first formula, with nothing of ours in it; it loses digits itself where p is almost one-hot."""
    jacobian = oracle(network, weight_names(network, inputs), inputs)
    with torch.no_grad():
        p = (1 - smoothing) * network(inputs).softmax(1)
    p = p + smoothing / p.shape[1]
    middle = torch.diag_embed(p) - p.unsqueeze(2) * p.unsqueeze(1)
    return torch.linalg.eigvalsh((jacobian.mT @ middle @ jacobian).mean(0))


@pytest.mark.parametrize("classes", [4, 11], ids=["fewer-classes-than-features", "more-classes-than-features"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_is_the_oracles(kind: str, mode: str, classes: int) -> None:
    network, inputs = make(kind, classes), batch(3)
    expected = centred(oracle(network, weight_names(network, inputs), inputs))
    _, jacobian = fisher_jacobian(network, inputs, mode=mode)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(centred(jacobian), expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("index", [1, 7, 11])
@pytest.mark.parametrize("kind", ["convolution", "grouped", "standardised"])
def test_any_entry_of_a_weight(kind: str, index: int, mode: str) -> None:
    network, inputs = make(kind), batch(2)
    network.stages[0][1].shortcut = nn.Conv2d(4, 6, 3, 2, padding=1).double()  # a 1x1 weight has too few entries
    if kind == "grouped":
        network.stages[0][2].first[0] = nn.Conv2d(6, 6, 3, padding="same", dilation=2, groups=2).double()
    names = weight_names(network, inputs)
    expected = centred(oracle(network, names, inputs, index))
    _, jacobian = fisher_jacobian(network, inputs, choose_weights(scoring_layers(network, inputs), 128, index), mode=mode)
    torch.testing.assert_close(centred(jacobian), expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["convolution", "attention", "shared"])
def test_several_weights_of_a_layer(kind: str, mode: str) -> None:
    network, inputs = make(kind), batch(2)
    chosen = choose_weights(scoring_layers(network, inputs), 6, "random", per_layer=3, seed=4)
    assert len(chosen) == 18
    assert len({(weight.name, weight.index) for weight in chosen}) == 18
    columns = [oracle(network, [f"{weight.name}.weight"], inputs, weight.index) for weight in chosen]
    expected = centred(torch.cat(columns, 2))
    _, jacobian = fisher_jacobian(network, inputs, chosen, mode=mode)
    torch.testing.assert_close(centred(jacobian), expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


@pytest.mark.parametrize("classes", [4, 11], ids=["fewer-classes-than-features", "more-classes-than-features"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["convolution", "attention", "shared", "depthwise"])
def test_entries_of_every_tensor_with_norms_and_biases(kind: str, mode: str, classes: int) -> None:
    network, inputs = make(kind, classes), batch(3)
    network.eval()
    chosen = choose_weights(layers_and_norms(network, inputs), 128, tensors="all")
    names = [f"{weight.name}.{weight.parameter}" for weight in chosen]
    assert {type(weight.modules[0]).__name__ for weight in chosen} & {"BatchNorm2d", "LayerNorm"}
    assert len(chosen) > 2 * len(scoring_layers(network, inputs))
    expected = centred(oracle(network, names, inputs))
    _, jacobian = fisher_jacobian(network, inputs, chosen, mode=mode)
    torch.testing.assert_close(centred(jacobian), expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


def test_all_tensors_are_an_option_of_the_spectrum() -> None:
    network, inputs = make("convolution"), batch(3)
    weights, every = fisher_spectrum(network, inputs), fisher_spectrum(network, inputs, tensors="all", weights=1000)
    assert len(every.eigenvalues) > 2 * len(weights.eigenvalues)
    assert every.aleph == weights.aleph
    first = fisher_spectrum(network, inputs, tensors="all", weights=12)
    assert len(first.eigenvalues) == 12
    with pytest.raises(ProxyUsageError, match="tensors: expected"):
        fisher_spectrum(network, inputs, tensors="some")


def test_places_of_weights_in_their_layers() -> None:
    layers = scoring_layers(convolution(), batch(1, dtype=torch.float32))
    sizes = [layer.weight.numel() for _, layer in layers]
    assert [weight.index for weight in choose_weights(layers, 128, 1.0)] == [size - 1 for size in sizes]
    assert [weight.index for weight in choose_weights(layers, 4, 0.25)] == [round(0.25 * (size - 1)) for size in sizes[:4]]
    drawn = [weight.index for weight in choose_weights(layers, 128, "random", seed=1)]
    assert drawn == [weight.index for weight in choose_weights(layers, 128, "random", seed=1)]
    assert drawn != [weight.index for weight in choose_weights(layers, 128, "random", seed=2)]
    small = choose_weights([("small", nn.Linear(1, 3))], 1, "random", per_layer=8)
    assert [weight.index for weight in small] == [0, 1, 2]


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("micro_batch", [1, 2, 5, 16])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["convolution", "attention", "shared"])
def test_spectrum_is_the_formulas(kind: str, mode: str, micro_batch: int, smoothing: float) -> None:
    network, inputs = make(kind), batch(5)
    expected = expected_spectrum(network, inputs, smoothing)
    result = fisher_spectrum(network, inputs, mode=mode, micro_batch=micro_batch, smoothing=smoothing)
    assert result.mode == mode
    assert torch.tensor(result.eigenvalues, dtype=torch.float64) == pytest.approx(expected, abs=1e-7 * float(expected.max()))


@pytest.mark.parametrize("classes", [3, 30])
@pytest.mark.parametrize("kind", KINDS)
def test_spectrum_of_every_kind_in_the_mode_chosen(kind: str, classes: int) -> None:
    network, inputs = make(kind, classes), batch(4)
    expected = expected_spectrum(network, inputs, 0.05)
    result = fisher_spectrum(network, inputs)
    assert torch.tensor(result.eigenvalues, dtype=torch.float64) == pytest.approx(expected, abs=1e-7 * float(expected.max()))


def test_the_references_vmap_agrees_too() -> None:
    network, inputs = make("attention"), batch(3)
    names = weight_names(network, inputs)
    torch.testing.assert_close(oracle(network, names, inputs), batched_oracle(network, names, inputs))


@pytest.mark.parametrize("memory", [1, 100_000, 2**30])
def test_chunks_of_any_size_give_the_same(memory: int) -> None:
    network, inputs = make("grouped"), batch(3)
    _, expected = fisher_jacobian(network, inputs, mode="forward", memory=10_000)
    _, jacobian = fisher_jacobian(network, inputs, mode="forward", memory=memory)
    torch.testing.assert_close(jacobian, expected, rtol=1e-12, atol=1e-12)


def test_the_first_weights_in_forward_order_are_taken() -> None:
    network, inputs = make("convolution"), batch(2)
    names = weight_names(network, inputs)[:10]
    expected = centred(oracle(network, names, inputs))
    _, jacobian = fisher_jacobian(network, inputs, choose_weights(scoring_layers(network, inputs), 10), mode="reverse")
    torch.testing.assert_close(centred(jacobian), expected, rtol=0, atol=1e-10 * float(expected.abs().max()))


def test_features_are_the_way_where_they_are_fewer() -> None:
    for classes, rows, features in ((5, 4, False), (11, 6, True)):
        plan = plan_of(make("convolution", classes))
        assert (plan.rows, plan.from_features) == (rows, features)
    assert not plan_of(make("parallel", 11)).from_features  # logits that are no layer's own result
    assert plan_of(make("parallel", 11)).rows == 10


def plan_of(network: nn.Module, mode: str = "reverse") -> ModePlan:
    inputs = batch(2)
    chosen = choose_weights(scoring_layers(network, inputs), 128)
    with scoring(network, train=False):
        return plan_mode(survey(network, chosen, inputs), mode, element_bytes=8, samples=2, memory=2**29, probes=None)


def counted(classes: int, features: int, layers: int = 20) -> Survey:
    """A network of equal layers, each worth 100 products."""
    return Survey(
        classes=classes,
        head=nn.Linear(features, classes),
        total_macs=100 * layers,
        first_call=tuple(range(layers)),
        macs_after=tuple(100 * (layers - 1 - place) for place in range(layers)),
        macs_in=(100,) * layers,
        folded=False,
        largest_after=(1000,) * layers,
    )


def test_the_cheaper_mode_is_taken() -> None:
    few = plan_mode(counted(10, 512), "auto", element_bytes=4, samples=1, memory=96_000, probes=None)
    many = plan_mode(counted(1000, 512), "auto", element_bytes=4, samples=1, memory=96_000, probes=None)
    narrow = plan_mode(counted(1000, 8), "auto", element_bytes=4, samples=1, memory=96_000, probes=None)
    assert (few.mode, many.mode, narrow.mode) == ("reverse", "forward", "reverse")
    assert few.reverse_macs == 2000 + 9 * 1900
    assert narrow.reverse_macs == 2000 + 8 * 1900
    assert [len(chunk) for chunk in many.chunks] == [4] * 5  # 96 kB hold four tangents of six copies of 4 kB
    assert many.forward_macs == 5 * 2000 + 2 * 4 * (1900 + 1500 + 1100 + 700 + 300)
    probed = plan_mode(counted(1000, 512), "auto", element_bytes=4, samples=1, memory=96_000, probes=4)
    assert (probed.mode, probed.rows) == ("reverse", 4)


def test_a_layer_past_its_module_is_refused_not_zero() -> None:
    class Bypass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(12, 12) for _ in range(12)])

        def scoring_layers(self) -> list[tuple[str, nn.Module]]:
            return [(f"layers.{place}", layer) for place, layer in enumerate(self.layers)]

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers[:11]:
                x = torch.tanh(layer(x))
            return nn.functional.linear(x, self.layers[11].weight)

    with pytest.raises(ProxyFailure, match=r"layer_bypassed.*layers\.11"):
        fisher_spectrum(Bypass().double(), torch.randn(3, 12, dtype=torch.float64))


def test_a_dead_layer_counts_as_zero() -> None:
    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(12, 12) for _ in range(13)])

        def scoring_layers(self) -> list[tuple[str, nn.Module]]:
            return [(f"layers.{place}", layer) for place, layer in enumerate(self.layers)]

        def forward(self, x: Tensor) -> Tensor:
            for layer in self.layers[:12]:
                x = torch.tanh(layer(x))
            return x

    network, inputs = Dead().double(), torch.randn(3, 12, dtype=torch.float64)
    for mode in MODES:
        _, jacobian = fisher_jacobian(network, inputs, mode=mode)
        assert jacobian.shape[2] == 13
        assert (jacobian[:, :, 12] == 0).all()
        assert (jacobian[:, :, 5] != 0).any()
        assert fisher_spectrum(network, inputs, mode=mode).aleph == 13


def test_float32_error_is_reported() -> None:
    network, inputs = make("convolution"), batch(4)
    exact = fisher_spectrum(network, inputs, rounding=True)
    assert exact.rounding == 0.0
    network.float()
    rounded = fisher_spectrum(network, inputs.float(), rounding=True)
    assert rounded.rounding is not None
    assert 0 < rounded.rounding < 1e-4
    twin = fisher_spectrum(network.double(), inputs.float().double()).eigenvalues
    difference = max(abs(one - other) for one, other in zip(rounded.eigenvalues, twin, strict=True))
    assert rounded.rounding == pytest.approx(difference / max(twin), rel=1e-6)


def test_probes_are_unbiased_and_converge() -> None:
    network, inputs = make("convolution", 4), batch(4)
    exact = torch.tensor(fisher_spectrum(network, inputs).eigenvalues, dtype=torch.float64)

    def trace(probes: int, seed: int) -> float:
        return math.fsum(fisher_spectrum(network, inputs, probes=probes, seed=seed).eigenvalues)

    # Hutchinson: the trace is unbiased; its error over 60 draws stays within 4 standard errors of their spread.
    draws = torch.tensor([trace(1, seed) for seed in range(60)])
    assert abs(float(draws.mean() - exact.sum())) < 4 * float(draws.std()) / 60**0.5
    many, few = (
        torch.tensor(fisher_spectrum(network, inputs, probes=probes).eigenvalues, dtype=torch.float64) for probes in (400, 1)
    )
    assert (many - exact).abs().max() < 0.15 * exact.max()
    assert (many - exact).norm() < (few - exact).norm()


def test_probes_do_not_depend_on_the_micro_batch() -> None:
    network, inputs = make("attention"), batch(5)
    one, all_ = (fisher_spectrum(network, inputs, probes=3, micro_batch=size, seed=4) for size in (1, 5))
    assert one.eigenvalues == pytest.approx(all_.eigenvalues, rel=1e-9, abs=1e-12)
    assert one.eigenvalues != fisher_spectrum(network, inputs, probes=3, seed=5).eigenvalues


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "sideways"}, "mode: expected 'auto', 'reverse' or 'forward', got 'sideways'"),
        ({"mode": "forward", "probes": 2}, "probes are cotangents"),
        ({"smoothing": 1.0}, r"\[0, 1\), got 1.0"),
        ({"micro_batch": 0}, "at least 1"),
        ({"probes": 0}, "at least 1"),
        ({"index": 10_000}, "weight index 10000 outside of layer"),
        ({"index": 1.5}, "expected a whole number, a fraction in"),
        ({"index": "first"}, "expected a whole number, a fraction in"),
        ({"per_layer": 2}, "expected index='random', got 0"),
        ({"per_layer": 0}, "expected counts of at least 1"),
    ],
)
def test_options_out_of_range(options: dict[str, object], message: str) -> None:
    with pytest.raises(ProxyUsageError, match=message):
        fisher_spectrum(make("convolution"), batch(2), **options)


def test_graph_memory_is_given_back() -> None:
    """The tape's graph and hooks form no cycle that outlives a scoring."""
    import gc

    network, inputs = make("convolution"), batch(2)
    fisher_spectrum(network, inputs)
    gc.collect()
    gc.disable()
    try:
        before = sum(issubclass(type(thing), Tensor) for thing in gc.get_objects())
        for _ in range(3):
            fisher_spectrum(network, inputs, mode="reverse")
        assert sum(issubclass(type(thing), Tensor) for thing in gc.get_objects()) - before < 30
    finally:
        gc.enable()


def test_the_former_name_of_the_option_still_works() -> None:
    network, inputs = make("convolution"), batch()
    with pytest.warns(DeprecationWarning, match="the option road of fisher_spectrum is called mode now"):
        before = fisher_spectrum(network, inputs, road="forward")
    now = fisher_spectrum(network, inputs, mode="forward")
    assert before == now
    with pytest.warns(DeprecationWarning, match="is called mode now"):
        assert now.road == "forward"
