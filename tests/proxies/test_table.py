"""The table of proxies: complete, read without torch; and proxies from outside of the package."""

from __future__ import annotations

import contextlib
import importlib.metadata
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

import proxies
from proxies import registry
from proxies.measuring import shared as shared_work
from proxies.measuring.shared import sharing
from proxies.measuring.training_pass import PARTS
from proxies.table import TABLE
from tests.proxies.networks import KINDS, SIZE

SHAPE = (3, SIZE, SIZE)


def network(kind: str = "convolution") -> nn.Module:
    return KINDS[kind]()


def scored(name: str, module: nn.Module | None = None, **more: object) -> float | proxies.ProxyFailure:
    return proxies.score(module or network(), [name], input_shape=SHAPE, batch=4, seed=3, **more)[name]


# --- the table --------------------------------------------------------------------------------------------------------------


def test_an_entry_says_all_that_is_true_of_its_function() -> None:
    for name, spec in TABLE.items():
        assert callable(spec.proxy), name
        assert spec.meaning != "its score", name
        assert spec.direction == "higher", name
        assert spec.parts <= set(PARTS), name
        assert spec.source or spec.family == "counts", name
        assert spec.real_input >= ("targets" in spec.keywords), name
        assert (spec.family == "vkdnw") == (spec.spectrum is not None), name
        assert set(spec.spectrum or ()) <= set(spec.options or ()), name
        assert spec.proxy.__module__.split(".")[-1] == spec.family, name
        assert spec.left_out <= {"bench", "timm", "choose"}, name


PASSES = {
    "circle_pass": "circle",
    "fisher_spectrum": "spectrum",
    "layer_log_determinants": "determinants",
    "synflow_saliency": "synflow",
    "weight_matrices": "matrices",
    "_second_batch": "second_batch",
    "_measure_hessian": "hessian",
}
"""What remembers its results, and the name of that work; what else does is of a part, or of next to no time."""


def test_what_a_proxy_shares_is_what_it_remembers() -> None:
    module = network()
    inputs = torch.randn(4, *SHAPE)
    seen: dict[str, set[str]] = {}
    for name, spec in TABLE.items():
        with sharing():
            with contextlib.suppress(proxies.ProxyFailure):
                spec.proxy(module, inputs, seed=3)
            memory = shared_work._memory.get()
            assert memory is not None
            seen[name] = {PASSES[key[0].__name__] for key in memory.results if key[0].__name__ in PASSES}  # type: ignore[index]
    options = {"vkdnw_norms": {"spectrum"}}  # with other options than the others of the family: it shares with nobody
    assert seen == {name: set(spec.shares) | options.get(name, set()) for name, spec in TABLE.items()}


def test_the_public_tables_follow_from_it() -> None:
    assert tuple(proxies.PROXIES) == tuple(TABLE)
    assert {"jacov", "snip"} <= set(proxies.REAL_INPUT)
    assert "synflow" not in proxies.REAL_INPUT
    assert proxies.REVISIONS.get("zico", 0) == TABLE["zico"].revision
    with pytest.raises(KeyError):
        proxies.PROXIES["nobodys"]


def test_names_and_mistakes_need_no_torch() -> None:
    program = (
        "import sys, proxies\n"
        "assert 'vkdnw' in proxies.PROXIES and 'jacov' in proxies.REAL_INPUT and dict(proxies.REVISIONS) == {'gradsign': 1}\n"
        "assert {'score', 'register', 'TABLE'} <= set(dir(proxies)) and set(proxies.__all__) == set(proxies._HOMES)\n"
        "try: proxies.registry.spec('nobodys')\n"
        "except proxies.ProxyUsageError: pass\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "assert proxies.score and 'torch' in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-P", "-c", program], check=False).returncode == 0


# --- one's own --------------------------------------------------------------------------------------------------------------


def test_a_function_of_a_network_and_a_batch_is_a_proxy() -> None:
    @proxies.register("mine")
    def mine(network: nn.Module, batch: Tensor) -> Tensor:
        return network(batch).std()

    value = scored("mine")
    assert isinstance(value, float)
    assert value > 0
    assert scored("mine") == value
    assert "mine" in proxies.PROXIES
    assert proxies.PROXIES["mine"] is mine
    assert "mine" not in proxies.REAL_INPUT


def test_a_lower_one_is_better_with_its_sign_turned() -> None:
    proxies.register("up")(lambda network, batch: 2.0)
    proxies.register("down", direction="lower")(lambda network, batch: 2.0)
    assert (scored("up"), scored("down")) == (2.0, -2.0)


def test_it_gets_seed_targets_and_options_that_it_takes_and_no_others() -> None:
    seen: list[dict[str, object]] = []

    @proxies.register("mine", revision=2)
    def mine(network: nn.Module, batch: Tensor, *, seed: int, targets: Tensor | None = None, scale: float = 1.0) -> float:
        seen.append({"seed": seed, "targets": targets, "scale": scale})
        return scale

    pictures = proxies.Images(torch.zeros(4, *SHAPE), torch.arange(4))
    assert scored("mine", options={"mine": {"scale": 3.0}}, images=pictures) == 3.0
    assert seen[0]["seed"] == 3
    assert torch.equal(seen[0]["targets"], torch.arange(4))
    assert "mine" in proxies.REAL_INPUT
    assert proxies.REVISIONS["mine"] == 2
    with pytest.raises(proxies.ProxyUsageError, match="mine has no option sacle: it has scale"):
        scored("mine", options={"mine": {"sacle": 3.0}})
    with pytest.raises(proxies.ProxyUsageError, match="has no option seed"):
        scored("mine", options={"mine": {"seed": 3}})


def test_whatever_it_does_to_the_network_changes_no_other_score() -> None:
    @proxies.register("rough")
    def rough(network: nn.Module, batch: Tensor) -> float:
        assert all(module.training for module in network.modules())
        batch.mul_(2)
        network(batch).sum().backward()
        gradient = next(parameter.grad for parameter in network.parameters() if parameter.grad is not None)
        found = float(gradient.abs().sum())
        for parameter in network.parameters():
            parameter.data.zero_()
            parameter.requires_grad_(False)
        network.eval()
        torch.manual_seed(0)
        return found

    module, names = network(), ["vkdnw", "rough", "jacov", "snip"]
    state = torch.get_rng_state()
    weights = [parameter.detach().clone() for parameter in module.parameters()]
    together = proxies.score(module, names, input_shape=SHAPE, batch=4, seed=3)
    assert not any(isinstance(value, proxies.ProxyFailure) for value in together.values()), together
    for name in ("vkdnw", "jacov", "snip", "rough"):
        assert scored(name, module) == together[name]
    assert all(map(torch.equal, weights, module.parameters()))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in module.parameters())
    assert all(submodule.training for submodule in module.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_shared_work_of_a_changed_network_is_not_remembered() -> None:
    @proxies.register("halved")
    def halved(network: nn.Module, batch: Tensor) -> float:
        before = proxies.PROXIES["synflow"](network, batch)
        for parameter in network.parameters():
            parameter.data.mul_(0.5)
        return before - proxies.PROXIES["synflow"](network, batch)

    value = scored("halved")
    assert isinstance(value, float)
    assert value > 0


def test_what_it_raises_is_a_failed_score_with_its_reason() -> None:
    @proxies.register("broken")
    def broken(network: nn.Module, batch: Tensor) -> float:
        raise ZeroDivisionError("by nothing")

    proxies.register("nan")(lambda network, batch: float("nan"))
    found = scored("broken")
    assert isinstance(found, proxies.ProxyFailure)
    assert str(found) == "raised: ZeroDivisionError: by nothing"
    assert scored("nan").reason == "non_finite"


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("vkdnw", {}, "expected a new name, got 'vkdnw'"),
        ("a,b", {}, "expected a name of letters, digits and underscores, got 'a,b'"),
        ("mine", {"direction": "up"}, "expected direction 'higher' or 'lower', got 'up'"),
    ],
)
def test_what_cannot_be_registered(name: str, more: dict[str, str], said: str) -> None:
    with pytest.raises(proxies.ProxyUsageError, match=said):
        proxies.register(name, **more)


# --- installed packages -----------------------------------------------------------------------------------------------------


def offer(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    offered = [importlib.metadata.EntryPoint(name, value, registry.GROUP) for name, value in points.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: offered if group == registry.GROUP else [])
    registry._installed.cache_clear()


@pytest.fixture(autouse=True)
def offers() -> object:
    yield
    registry._installed.cache_clear()


def test_an_installed_package_offers_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, theirs="tests.proxies.offered:theirs", registered="tests.proxies.offered:registered", jacov="nowhere:none")
    sys.modules.pop("tests.proxies.offered", None)
    assert {"theirs", "registered"} <= set(proxies.PROXIES)
    assert "tests.proxies.offered" not in sys.modules  # names alone import nothing
    assert scored("theirs") == 7.0
    assert scored("registered") == -8.0
    assert proxies.REVISIONS["registered"] == 3
    assert isinstance(scored("jacov"), float)  # nobody takes a name of ours


def test_a_broken_entry_point_is_one_line_and_concerns_its_own_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, lost="tests.nowhere:none", number="tests.proxies.offered:NUMBER")
    assert isinstance(scored("flops"), float)
    for name, said in (("lost", "got ModuleNotFoundError"), ("number", "to name a function, got int")):
        with pytest.raises(proxies.ProxyUsageError, match=said) as caught:
            scored(name)
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)
