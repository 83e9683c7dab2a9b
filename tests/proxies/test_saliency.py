"""GradNorm, SNIP, GraSP, SynFlow, ZiCo, SSNR and T-CET against naive versions, and their failures."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn import functional

from proxies import PROXIES, Images, ProxyFailure, Request, measure, score, scoring_layers
from proxies.measuring.seeds import derive_seed, input_batch
from proxies.measuring.training_pass import labels
from proxies.scores.compressibility import signal_to_noise
from proxies.scores.saliency import weights_of
from tests.proxies.networks import SIZE, batch, convolution, make

KINDS = ["convolution", "attention", "shared", "depthwise", "parallel"]


def layer_weights(network: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    return dict(weights_of(network, inputs))


def naive_gradients(network: nn.Module, inputs: Tensor, targets: Tensor) -> tuple[dict[str, Tensor], list[Tensor]]:
    """Gradients of the layers' weights and of everything, by the plainest loop."""
    network = copy.deepcopy(network).train()
    functional.cross_entropy(network(inputs), targets).backward()
    everything = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
    found = {}
    for name, weight in layer_weights(network, inputs).items():
        found[name] = torch.zeros_like(weight) if weight.grad is None else weight.grad
    return found, everything


@pytest.mark.parametrize("kind", KINDS)
def test_first_order_saliencies_are_the_naive_ones(kind: str) -> None:
    network, inputs = make(kind), batch(6)
    gradients, everything = naive_gradients(network, inputs, labels(6, 5, 3))
    weights = layer_weights(network, inputs)
    norm = math.sqrt(sum(float(g.square().sum()) for g in everything))
    assert PROXIES["grad_norm"](network, inputs, seed=3) == pytest.approx(norm, rel=1e-9)
    saliency = {name: (weights[name] * g).abs().detach().numpy() for name, g in gradients.items()}
    assert PROXIES["snip"](network, inputs, seed=3) == pytest.approx(sum(s.sum() for s in saliency.values()), rel=1e-9)
    ratios = [s.sum() / s.std() if s.std() > 0 else s.sum() for s in saliency.values()]
    assert PROXIES["ssnr_snip"](network, inputs, seed=3) == pytest.approx(sum(ratios), rel=1e-7)
    logs = [math.log(ratio) for ratio in ratios if ratio]
    assert PROXIES["ssnr_snip_log"](network, inputs, seed=3) == pytest.approx(sum(logs), rel=1e-7)


def test_grasp_is_minus_weight_times_hessian_times_gradient() -> None:
    stream = torch.Generator().manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.GELU(), nn.Flatten(), nn.Linear(8, 3)).double()
    inputs = torch.randn(4, 3, 4, 4, generator=stream, dtype=torch.float64)
    names, parameters = zip(*network.named_parameters(), strict=True)
    sizes = [parameter.numel() for parameter in parameters]

    def loss(flat: Tensor) -> Tensor:
        parts = dict(zip(names, (f.view_as(p) for f, p in zip(flat.split(sizes), parameters, strict=True)), strict=True))
        network.train()
        return functional.cross_entropy(functional_call(network, parts, (inputs,)), labels(4, 3, 0))

    flat = torch.cat([parameter.detach().flatten() for parameter in parameters]).requires_grad_(True)
    for norm in network:
        if isinstance(norm, nn.BatchNorm2d):
            norm.track_running_stats, norm.running_mean, norm.running_var, norm.num_batches_tracked = False, None, None, None
    gradient = torch.autograd.grad(loss(flat), flat)[0]
    salient = -(flat * (hessian(loss, flat.detach()) @ gradient)).detach()
    of_layers = {"0.weight", "4.weight"}
    expected = sum(float(part.sum()) for name, part in zip(names, salient.split(sizes), strict=True) if name in of_layers)
    assert PROXIES["grasp"](network, inputs, seed=0) == pytest.approx(expected, rel=1e-7)
    parts = [part.numpy() for name, part in zip(names, salient.split(sizes), strict=True) if name in of_layers]
    assert PROXIES["ssnr_grasp"](network, inputs, seed=0) == pytest.approx(sum(p.sum() / p.std() for p in parts), rel=1e-6)


class Bare(nn.Module):
    """The convolution network without its batch norms."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        for parent in list(self.network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x)


@pytest.mark.parametrize("kind", ["convolution", "depthwise", "shared"])
def test_synflow_is_the_naive_one_on_a_network_without_norms(kind: str) -> None:
    network, inputs = make(kind), batch(2, dtype=torch.float32)
    network.float()
    bare = Bare(network).double()
    with torch.no_grad():
        for parameter in bare.parameters():
            parameter.abs_()
    bare(torch.ones(1, 3, SIZE, SIZE, dtype=torch.float64)).sum().backward()
    flows = [(w * w.grad).detach().abs().numpy() for w in layer_weights(bare.network, inputs.double()).values()]
    expected = sum(float(flow.sum()) for flow in flows)
    assert expected > 0
    assert PROXIES["synflow"](network, inputs, seed=0) == pytest.approx(expected, rel=1e-9)
    assert PROXIES["synflow_log"](network, inputs, seed=0) == pytest.approx(math.log(expected), rel=1e-9)
    ratios = [flow.sum() / flow.std() if flow.std() else flow.sum() for flow in flows]
    assert PROXIES["ssnr_synflow"](network, inputs, seed=0) == pytest.approx(sum(ratios), rel=1e-9)


def test_synflow_outlives_float32() -> None:
    deep = nn.Sequential(*(nn.Linear(64, 64) for _ in range(60)), nn.Linear(64, 3))
    value = score(deep, ["synflow", "synflow_log"], input_shape=(64,), batch=2)
    assert value["synflow"] > 1e40
    assert value["synflow_log"] == pytest.approx(math.log(value["synflow"]))


@pytest.mark.parametrize("kind", ["convolution", "attention", "shared"])
def test_zico_is_the_naive_one(kind: str) -> None:
    network, inputs = make(kind), batch(4)
    other_seed = derive_seed(7, "second batch")
    other = input_batch(inputs.shape[1:], 4, other_seed, dtype=torch.float64)
    first, _ = naive_gradients(network, inputs, labels(4, 5, 7))
    second, _ = naive_gradients(network, other, labels(4, 5, other_seed))
    expected = 0.0
    for name, one in first.items():
        pair = np.stack([one.numpy().ravel(), second[name].numpy().ravel()])
        spread = pair.std(0)
        ratio = (np.abs(pair).mean(0)[spread > 0] / spread[spread > 0]).sum()
        expected += math.log(ratio) if ratio > 0 else 0.0
    assert PROXIES["zico"](network, inputs, seed=7) == pytest.approx(expected, rel=1e-6)


def test_signal_to_noise_of_hand_made_saliencies() -> None:
    ratios = signal_to_noise({"even": torch.full((4,), 2.0), "spread": torch.tensor([0.0, 2.0]), "dead": torch.zeros(3)})
    assert ratios == {"even": 8.0, "spread": 2.0, "dead": 0.0}
    assert signal_to_noise({"signed": torch.tensor([-3.0, 1.0])}) == {"signed": -1.0}
    even = torch.full((1000,), 0.1, dtype=torch.float64)  # whose mean is not 0.1 to the last bit
    assert signal_to_noise({"even": even})["even"] == pytest.approx(100.0)
    with pytest.raises(ProxyFailure, match="non_finite"):
        signal_to_noise({"broken": torch.tensor([1.0, math.inf])})


def naive_determinants(network: nn.Module, inputs: Tensor) -> dict[str, float]:
    network = copy.deepcopy(network).eval()
    codes: dict[str, list[np.ndarray]] = {}
    for name, layer in scoring_layers(network, inputs):
        hook = lambda _, given, name=name: codes.setdefault(name, []).append((given[0].detach() > 0).flatten(1).numpy())  # noqa: E731
        layer.register_forward_pre_hook(hook)
    network(inputs)
    found = {}
    for name, parts in codes.items():
        code = np.concatenate(parts, 1).astype(float)
        sign, value = np.linalg.slogdet(code @ code.T + (1 - code) @ (1 - code).T)
        found[name] = value if sign > 0 and np.linalg.matrix_rank(code @ code.T + (1 - code) @ (1 - code).T) == len(code) else 0.0
    return found


@pytest.mark.parametrize("kind", ["convolution", "attention", "shared"])
def test_layerwise_naswot_and_t_cet_are_the_naive_ones(kind: str) -> None:
    network, inputs = make(kind), batch(5)
    determinants = naive_determinants(network, inputs)
    assert any(determinants.values())
    assert PROXIES["lnwot"](network, inputs, seed=0) == pytest.approx(sum(determinants.values()), rel=1e-7)
    gradients, _ = naive_gradients(network, inputs, labels(5, 5, 0))
    weights = layer_weights(network, inputs)
    ratios = {}
    for name, gradient in gradients.items():
        salient = (weights[name] * gradient).abs().detach().numpy()
        ratios[name] = salient.sum() / salient.std() if salient.std() else salient.sum()
    expected = sum(ratio * determinants[name] for name, ratio in ratios.items())
    assert PROXIES["t_cet_snip"](network, inputs, seed=0) == pytest.approx(expected, rel=1e-6)
    expected = sum(math.log(ratio) * determinants[name] for name, ratio in ratios.items() if ratio)
    assert PROXIES["t_cet_snip_log"](network, inputs, seed=0) == pytest.approx(expected, rel=1e-6)


def test_pictures_go_to_the_proxies_that_want_data() -> None:
    network = convolution()
    stream = torch.Generator().manual_seed(5)
    images = Images(torch.randn(8, 3, SIZE, SIZE, generator=stream), torch.randint(0, 5, (8,), generator=stream))
    names = ["snip", "zico", "jacov", "gradsign", "expressivity", "vkdnw"]
    shape = {"input_shape": (3, SIZE, SIZE), "batch": 4}
    noise, real = score(network, names, **shape), score(network, names, images=images, **shape)
    assert all(noise[name] == real[name] for name in ("expressivity", "vkdnw"))
    assert all(noise[name] != real[name] for name in ("snip", "zico", "jacov", "gradsign"))
    other = Images(images.inputs, (images.targets + 1) % 5)
    assert all(score(network, [name], images=other, **shape)[name] != real[name] for name in ("snip", "zico", "gradsign"))
    assert score(network, ["jacov"], images=other, **shape)["jacov"] == real["jacov"]
    found = measure(network, {"a": Request("vkdnw", real=True), "b": Request("snip", real=False)}, images=images, **shape)
    assert found.values["a"] != [real["vkdnw"]]
    assert found.values["b"] == [noise["snip"]]
    alone = score(network, ["zico"], images=Images(images.inputs[:4], images.targets[:4]), **shape)["zico"]
    assert isinstance(alone, ProxyFailure)
    assert alone.reason == "too_few_samples"
    foreign = score(network, ["snip"], images=Images(images.inputs, images.targets + 9), **shape)["snip"]
    assert isinstance(foreign, ProxyFailure)
    assert foreign.reason == "label_range"


def test_failures() -> None:
    def reason(name: str, network: nn.Module, inputs: Tensor) -> str:
        with pytest.raises(ProxyFailure) as caught:
            PROXIES[name](network, inputs, seed=0)
        return caught.value.reason

    inputs = torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
    broken = nn.Linear(6, 3)
    nn.init.constant_(broken.weight, math.nan)
    for name in ("grad_norm", "snip", "grasp", "zico", "synflow", "ssnr_snip", "gradsign"):
        assert reason(name, broken, inputs) == "non_finite"
    for name in ("snip", "synflow", "zico", "gradsign", "ntk_condition"):
        assert reason(name, nn.PReLU(6), inputs) == "no_layers"
    still = nn.Linear(6, 3)
    nn.init.zeros_(still.weight)
    assert reason("synflow_log", still, inputs) == "zero_flow"


@pytest.mark.parametrize("name", ["grad_norm", "snip", "grasp", "zico", "gradsign"])
def test_a_gradient_that_is_no_number_is_a_failure(name: str) -> None:
    class Broken(nn.Module):
        """Finite forward, NaN backward: the gradient of the square root at 0, times 0."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.first(x)
            return self.last(y + 0 * (0 * y.sum(1, keepdim=True)).sqrt())

    with pytest.raises(ProxyFailure, match="non_finite"):
        PROXIES[name](Broken(), torch.randn(4, 6), seed=0)


def test_gradsign_reads_the_padding_that_the_layer_has_now() -> None:
    changed, plain = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3)
    changed.padding = (0, 0)
    plain.load_state_dict(changed.state_dict())
    inputs = torch.randn(4, 3, 5, 5)
    values = [PROXIES["gradsign"](nn.Sequential(layer, nn.Flatten()), inputs, seed=0) for layer in (changed, plain)]
    assert values[0] == values[1]
