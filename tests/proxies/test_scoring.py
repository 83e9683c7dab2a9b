"""The door: names, options, seeds and repeats."""

from __future__ import annotations

import pickle
import statistics
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import proxies
from proxies import (
    PROXIES,
    Images,
    ProxyFailure,
    ProxyUsageError,
    Request,
    input_batch,
    prepared,
    repeat_seeds,
    score,
    score_repeats,
)
from proxies.measuring.seeds import derive_seed, generator, signs
from proxies.measuring.shared import shared, sharing
from proxies.measuring.state import placed
from proxies.vkdnw import fisher
from tests.proxies.networks import SIZE, convolution

SHAPE = (3, SIZE, SIZE)
original = fisher._micro_jacobian
FEW: dict[str, dict[str, dict[str, object]]] = {"jacov": {}, "vkdnw": {"vkdnw": {"weights": 1, "mode": "reverse"}}}


def test_api_is_what_it_says() -> None:
    assert all(hasattr(proxies, name) for name in proxies.__all__)


def test_repeats_average_over_derived_seeds() -> None:
    network = convolution()
    values = score_repeats(network, ["vkdnw", "flops"], input_shape=SHAPE, batch=4, seed=7, repeats=3)
    assert len(set(values["vkdnw"])) == 3
    mean = score(network, ["vkdnw", "flops"], input_shape=SHAPE, batch=4, seed=7, repeats=3)
    assert mean["vkdnw"] == pytest.approx(statistics.fmean(values["vkdnw"]))
    for seed, value in zip(repeat_seeds(7, 3), values["vkdnw"], strict=True):
        assert score(network, ["vkdnw"], input_shape=SHAPE, batch=4, seed=seed)["vkdnw"] == value


def test_score_is_the_function_on_prepared_weights() -> None:
    network = convolution()
    expected = score(network, ["jacov"], input_shape=SHAPE, batch=4, seed=7)["jacov"]
    with prepared(network, input_shape=SHAPE, batch=4, seed=7) as inputs:
        assert PROXIES["jacov"](network, inputs, seed=7) == expected


def test_options_reach_their_proxy() -> None:
    network = convolution()
    plain = score(network, ["vkdnw"], input_shape=SHAPE, batch=4)
    sharp = score(network, ["vkdnw", "flops"], input_shape=SHAPE, batch=4, options={"vkdnw": {"smoothing": 0.0}})
    assert plain["vkdnw"] != sharp["vkdnw"]


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["vkdnv"], {}, "unknown proxies vkdnv: expected some of params"),
        (["vkdnw"], {"flop": {}}, "unknown proxies flop"),
        (["vkdnw"], {"vkdnw": {"smoothng": 0}}, "proxy vkdnw has no option smoothng: it has smoothing, weights"),
        (["flops"], {"flops": {"memory": 1}}, "proxy flops has no option memory: it has none"),
        (["flops"], {"flops": {"seed": 1}}, "no option seed"),
    ],
)
def test_typos_are_errors(names: list[str], options: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(ProxyUsageError, match=message):
        score(convolution(), names, input_shape=SHAPE, batch=2, options=options)


def test_arguments_out_of_range() -> None:
    for wrong in ({"batch": 0}, {"repeats": 0}, {"input_shape": (3, 0, 4)}, {"input_shape": ()}):
        with pytest.raises(ProxyUsageError):
            score(convolution(), ["params"], **{"input_shape": SHAPE, "batch": 2, **wrong})
    with pytest.raises(ProxyUsageError, match="meta device"):
        score(convolution().to("meta"), ["params"], input_shape=SHAPE)


def test_a_failure_is_a_result_and_one_repeat_is_enough() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    result = score(network, ["vkdnw", "vkdnw_single", "params"], input_shape=(3, 2, 2), batch=4, repeats=2)
    assert isinstance(result["vkdnw"], ProxyFailure)
    assert isinstance(result["vkdnw_single"], ProxyFailure)
    assert result["vkdnw"].reason == "too_few_weights"
    assert "has 1" in result["vkdnw"].detail
    assert result["vkdnw"].__traceback__ is None
    assert result["params"] == 52.0
    copy = pickle.loads(pickle.dumps(result["vkdnw"]))
    assert (copy.reason, copy.detail) == (result["vkdnw"].reason, result["vkdnw"].detail)


def test_input_batch_is_white_noise_from_the_seed() -> None:
    noise = input_batch((3, 32, 32), 16, 0)
    assert noise.shape == (16, 3, 32, 32)
    assert abs(float(noise.mean())) < 0.02
    assert abs(float(noise.std()) - 1) < 0.02
    assert torch.equal(noise, input_batch((3, 32, 32), 16, 0))
    assert not torch.equal(noise, input_batch((3, 32, 32), 16, 1))
    assert torch.equal(noise.double(), input_batch((3, 32, 32), 16, 0, dtype=torch.float64))


def test_streams_are_kept_apart_by_place() -> None:
    assert derive_seed(0, "a", "b") != derive_seed(0, "ab")
    assert derive_seed(0, "a") != derive_seed(1, "a")
    assert derive_seed(0, "input") == 9135013054165035975  # the same in every process, on every machine
    assert set(signs((4, 100), generator(0, "s")).unique().tolist()) == {-1.0, 1.0}
    assert repeat_seeds(5, 1) == (5,)
    assert len(set(repeat_seeds(5, 50))) == 50


def test_placed_brings_back_the_very_tensors() -> None:
    network = convolution()
    network.stem[0].weight.grad = torch.ones_like(network.stem[0].weight)
    pointers = [tensor.data_ptr() for tensor in network.state_dict().values()]
    with placed(network, dtype=torch.float64, copy=True):
        assert network.stem[0].weight.dtype == torch.float64
        assert network.stem[1].running_mean.dtype == torch.float64
        assert network.stem[1].num_batches_tracked.dtype == torch.int64
        assert network.stem[0].weight.grad is None
        network.stem[0].weight.data.zero_()
    assert [tensor.data_ptr() for tensor in network.state_dict().values()] == pointers
    assert network.stem[0].weight.grad.dtype == torch.float32
    assert (network.stem[0].weight != 0).any()


def test_shared_work_is_done_once_and_only_while_sharing() -> None:
    calls: list[int] = []

    @shared
    def work(value: object, *, option: int = 0) -> int:
        calls.append(option)
        if option == 9:
            raise ProxyFailure("nine")
        return option

    thing = torch.zeros(1)
    with sharing():
        assert [work(thing, option=option) for option in (1, 1, 2, 1)] == [1, 1, 2, 1]
        assert work(torch.zeros(1), option=1) == 1  # equal, but another tensor
        assert calls == [1, 2, 1]
        for _ in range(2):
            with pytest.raises(ProxyFailure, match="nine"):
                work(thing, option=9)
        assert calls == [1, 2, 1, 9]
    work(thing, option=1)
    work(thing, option=1)
    assert calls[4:] == [1, 1]


def test_one_spectrum_serves_both_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    monkeypatch.setattr(fisher, "_micro_jacobian", lambda *args: passes.append(1) or original(*args))
    score(convolution(), ["vkdnw", "vkdnw_single"], input_shape=SHAPE, batch=4, repeats=2)
    assert len(passes) == 2  # one for each repeat


@pytest.mark.parametrize("pictures", [False, True])
def test_one_pass_serves_all_that_is_asked_of_a_batch(pictures: bool) -> None:
    network = convolution()
    stream = torch.Generator().manual_seed(1)
    images = Images(torch.randn(8, *SHAPE, generator=stream), torch.randint(0, 5, (8,), generator=stream)) if pictures else None
    names = ["grad_norm", "snip", "jacov", "naswot"]  # two that see labels, two that do not
    alone = {name: score(network, [name], input_shape=SHAPE, batch=4, images=images)[name] for name in names}
    passes: list[int] = []
    network.register_forward_pre_hook(lambda *given: passes.append(torch.is_grad_enabled()))
    together = score(network, names, input_shape=SHAPE, batch=4, images=images)
    assert together == alone
    assert sum(passes) == 1  # that of snip's list of layers needs no gradients


class _OnceDifferentiable(torch.autograd.Function):
    """Twice the input; knows neither second derivatives nor forward mode."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            raise RuntimeError("once only")
        return 2 * gradient


class _Foreign(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _OnceDifferentiable.apply(x)


def test_what_one_proxy_raises_leaves_the_others_their_scores() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), _Foreign(), nn.Conv2d(4, 12, 3), nn.Flatten(), nn.Linear(12 * (SIZE - 2) ** 2, 5))
    found = score(network, ["grad_norm", "grasp", "flops", "snip"], input_shape=SHAPE, batch=4)
    assert isinstance(found["grasp"], ProxyFailure)
    assert found["grasp"].reason == "raised"
    assert "RuntimeError" in found["grasp"].detail
    assert all(isinstance(found[name], float) for name in ("grad_norm", "flops", "snip"))


@pytest.mark.parametrize("name", ["jacov", "vkdnw"])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:119] . DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_no_score(error: Exception, name: str) -> None:
    """It ends the network, whatever kind of exception torch has for it: who calls may have a smaller batch."""

    class Hungry(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    with pytest.raises(type(error)):
        score(nn.Sequential(nn.Flatten(), Hungry(3 * SIZE**2, 5)), [name], input_shape=SHAPE, batch=4, options=FEW[name])


def test_vkdnw_goes_back_where_it_cannot_go_forward() -> None:
    layers = [layer for _ in range(12) for layer in (nn.Conv2d(4, 4, 3, padding=1), _Foreign())]
    network = nn.Sequential(nn.Conv2d(3, 4, 1), *layers, nn.Flatten(), nn.Linear(4 * SIZE**2, 100))
    with prepared(network, input_shape=SHAPE, batch=4, seed=0) as inputs:
        found = proxies.fisher_spectrum(network, inputs)
        backward = proxies.fisher_spectrum(network, inputs, mode="reverse")
        with pytest.raises(RuntimeError):
            proxies.fisher_spectrum(network, inputs, mode="forward")
    assert found.mode == "reverse"
    assert found.deciles == backward.deciles


def test_memory_that_runs_out_forward_is_not_asked_for_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[str] = []

    def hungry(*arguments: object) -> None:
        modes.append(str(arguments[6]))
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(fisher, "_eigenvalues", hungry)
    network = convolution()
    with prepared(network, input_shape=SHAPE, batch=4, seed=0) as inputs, pytest.raises(RuntimeError, match="allocate"):
        fisher.fisher_spectrum(network, inputs, weights=2)
    assert modes == ["auto"]


@pytest.mark.parametrize("shape", [(8, 3, SIZE + 1, SIZE + 1), (8, 1, 1, 1)])
def test_pictures_of_another_shape_are_an_error(shape: tuple[int, ...]) -> None:
    images = Images(torch.zeros(shape), torch.zeros(8, dtype=torch.int64))
    with pytest.raises(ProxyUsageError, match="expected images of"):
        proxies.measure(convolution(), {"snip": Request("snip")}, input_shape=SHAPE, batch=4, images=images)
