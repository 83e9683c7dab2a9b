"""What every proxy promises, as checks that anybody runs on their own: `check_proxy` runs them all.

    from proxies.testing import check_proxy

    def test_mine_keeps_the_contract():
        check_proxy(mine)                   # a function of a network and a batch; or the name of a registered proxy

A check raises AssertionError in one line; under `python -O`, which leaves assertions out, the import is refused.
Nothing here needs a test runner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from proxies.errors import ProxyFailure
from proxies.measuring.initialise import initialise
from proxies.registry import spec, spec_of
from proxies.scoring import call, score
from proxies.table import Proxy, ProxySpec

if not __debug__:  # every check would pass
    raise ImportError("proxies.testing: expected Python without -O and PYTHONOPTIMIZE, which leave out what the checks assert")

__all__ = [
    "NETWORKS",
    "SIZE",
    "check_independence",
    "check_network",
    "check_no_trace_after_an_error",
    "check_proxy",
    "disturb",
    "noise",
    "state",
]

SIZE = 9
"""Pixels each way of the images that the networks here take; odd, so that strides round up."""


def check_proxy(proxy: str | Callable[..., Any]) -> dict[str, float]:
    """Run every check of this module on a proxy, on each of `NETWORKS`.

    Args:
        proxy: the name of a proxy, or a function as `proxies.register` takes it.

    Returns:
        its score of each network that it can score.

    Raises:
        AssertionError: it breaks the contract, or it scores none of the networks.
    """
    known = _spec(proxy)
    found, failures = {}, {}
    for kind, make in NETWORKS.items():
        try:
            found[kind] = check_network(known, make())
        except ProxyFailure as failure:
            failures[kind] = f"{kind}: {failure}"
        except AssertionError as error:
            raise AssertionError(f"{error} (network '{kind}')") from None
    assert found, f"{known.name}: expected a score of at least one network, got failures: {'; '.join(failures.values())}"
    check_no_trace_after_an_error(known)
    if isinstance(proxy, str):
        check_independence(proxy, NETWORKS[next(iter(found))]())
    return found


def check_network(proxy: str | Proxy | ProxySpec, network: nn.Module, *, size: int = SIZE, batch: int = 6) -> float:
    """Check that a score is a finite float which the seed decides, and that computing it leaves no trace.

    Neither torch's global random stream nor the modes in which the network is found may matter. Network, batch and torch's global
    settings are to be left as they were found, however peculiar.

    Args:
        proxy: a name, a function, or its description.
        network: that it scores; its weights are drawn anew.
        size: of the noise that it is given, (batch, 3, size, size).
        batch: samples; some scores of deep networks need more of them.

    Returns:
        the score.

    Raises:
        AssertionError: one of it does not hold.
        ProxyFailure: the proxy cannot score this network; it left no trace.
    """
    known = _spec(proxy)
    initialise(network, 3)
    disturb(network)
    inputs = noise(batch, size=size)
    kept, before = inputs.clone(), state(network)
    try:
        first = _value(known, network, inputs)
    finally:
        _same(known, before, network)
        assert torch.equal(inputs, kept), f"{known.name}: expected the batch to be left as it was, got other values in it"
        assert not inputs.requires_grad, f"{known.name}: expected the batch to be left as it was, got one that asks for gradients"
    assert math.isfinite(first), f"{known.name}: expected a finite number, or ProxyFailure with its reason, got {first}"
    torch.manual_seed(99)
    for module in network.modules():
        module.training = not module.training
    again = _value(known, network, inputs)
    assert again == first, f"{known.name}: expected {first!r} again of the same network, batch and seed, got {again!r}"
    return first


def check_no_trace_after_an_error(proxy: str | Proxy | ProxySpec) -> None:
    """Check that a network is left as it was found where its forward pass raises; what it raises is to pass, or be a failure."""
    known = _spec(proxy)
    network = _Explosive()
    disturb(network)
    before = state(network)
    try:
        _value(known, network, noise(4))
    except Exception as error:
        raised: Exception | None = error
    else:
        raised = None
    _same(known, before, network)
    if network.calls.count:
        said = f"{known.name}: expected the network's exception to pass, got {raised or 'a score'}"
        assert "out of everything" in str(raised), said


def check_independence(name: str, network: nn.Module, *, size: int = SIZE) -> None:
    """Check that a registered proxy's score does not depend on which others are asked, nor theirs on it."""
    others = [other for other in ("vkdnw", "jacov", "snip", "synflow", "trainability") if other != name]
    alone: dict[str, Any] = {}
    for names in ([name], others):
        alone |= score(network, names, input_shape=(3, size, size), batch=6, seed=2)
    together = score(network, [others[0], name, *others[1:]], input_shape=(3, size, size), batch=6, seed=2)
    for other, value in together.items():
        assert str(value) == str(alone[other]), f"{other}: expected {alone[other]} also beside {name}, got {value}"


def _spec(proxy: str | Proxy | ProxySpec) -> ProxySpec:
    if isinstance(proxy, ProxySpec):
        return proxy
    return spec(proxy) if isinstance(proxy, str) else spec_of(getattr(proxy, "__name__", "proxy"), proxy)


def _value(known: ProxySpec, network: nn.Module, inputs: Tensor) -> float:
    value = call(known, network, inputs, {"seed": 5})
    assert isinstance(value, float), f"{known.name}: expected a float, got {type(value).__name__}"
    return value


# --- what is looked at ------------------------------------------------------------------------------------------------------

_ELSEWHERE = ("_parameters", "_buffers", "_modules", "training")
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def state(network: nn.Module) -> dict[str, Any]:
    """Everything that a proxy must leave as it was, by name."""
    modules = list(network.modules())
    return {
        "training modes": [module.training for module in modules],
        "dropout rates": [module.p for module in modules if isinstance(module, nn.modules.dropout._DropoutNd)],
        "attention's dropout": [module.dropout for module in modules if isinstance(module, nn.MultiheadAttention)],
        "hooks": [[list(getattr(module, name)) for name in _HOOKS] for module in modules],
        "requires_grad": [parameter.requires_grad for parameter in network.parameters()],
        "weights": [parameter.detach().clone() for parameter in network.parameters()],
        "memory of the weights": [parameter.data_ptr() for parameter in network.parameters()],
        "gradients": [None if parameter.grad is None else parameter.grad.clone() for parameter in network.parameters()],
        "buffers": [buffer.clone() for buffer in network.buffers()],
        "identity of the buffers": [id(buffer) for module in modules for buffer in module._buffers.values()],
        "torch's random stream": torch.get_rng_state(),
        "TF32": torch.get_float32_matmul_precision(),
        "attention's fast path": torch.backends.mha.get_fastpath_enabled(),
        "names of attributes": [sorted(vars(module)) for module in modules],
        "attributes": [_copy(vars(module)) for module in modules],
    }


def _copy(value: Any) -> Any:
    """The tensors, numbers and names that a module's attributes hold; of all else its identity."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        kept = {key: entry for key, entry in value.items() if "_hook" not in str(key) and key not in _ELSEWHERE}
        return [[str(key), _copy(entry)] for key, entry in kept.items()]
    if isinstance(value, (list, tuple)):
        return [_copy(entry) for entry in value]
    return value if isinstance(value, (int, float, str, bool, type(None))) else id(value)


def _same(known: ProxySpec, before: Mapping[str, Any], network: nn.Module) -> None:
    after = state(network)
    changed = [name for name in before if not _equal(before[name], after[name])]
    assert not changed, f"{known.name}: expected the network to be left as it was, got other {', '.join(changed)}"


def _equal(before: object, after: object) -> bool:
    if isinstance(before, Tensor):
        return isinstance(after, Tensor) and torch.equal(before, after)
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(_equal, before, after))
    return before == after


def disturb(network: nn.Module) -> None:
    """Make a network's state as peculiar as a user's may be: mixed modes, frozen parameters, old gradients, a hook."""
    stream = torch.Generator().manual_seed(1)
    for place, module in enumerate(network.modules()):
        module.training = place % 3 != 0
    for place, parameter in enumerate(network.parameters()):
        parameter.requires_grad_(place % 4 != 0)
        if place % 2:
            parameter.grad = torch.randn(parameter.shape, generator=stream)
    network.register_forward_hook(lambda *_: None)


def noise(samples: int, *, size: int = SIZE, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """A batch of white noise, shape ``(samples, 3, size, size)``."""
    return torch.randn(samples, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# --- on which networks ------------------------------------------------------------------------------------------------------


def layer(inner: int, outer: int, stride: int = 1, **options: Any) -> nn.Sequential:
    """A convolution, a batch norm and a rectifier that works in place."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, padding=options.pop("padding", 1), **options),
        nn.BatchNorm2d(outer),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """A residual block with work in place: the shortcut is added into the branch's own memory."""

    def __init__(self, inner: int, outer: int, stride: int = 1, **options: Any) -> None:
        super().__init__()
        self.first = layer(inner, outer, stride, **options)
        self.second = layer(outer, outer)[:2]
        self.shortcut = nn.Conv2d(inner, outer, 1, stride, bias=False) if stride > 1 or inner != outer else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Give the block's output."""
        branch: Tensor = self.second(self.first(x))
        branch += self.shortcut(x)
        return functional.relu_(branch)


class Stack(nn.Module):
    """A stem, a stage of blocks, pooling and a linear head."""

    def __init__(self, blocks: list[nn.Module], width: int, classes: int, stem: int = 4) -> None:
        super().__init__()
        self.stem = layer(3, stem)
        self.stages = nn.Sequential(nn.Sequential(*blocks))
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits."""
        x = self.stages(self.stem(x))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


def convolution(classes: int = 5) -> nn.Module:
    """A small residual network."""
    return Stack([Residual(4, 4), Residual(4, 6, 2), Residual(6, 6), Residual(6, 6)], 6, classes)


class Attention(nn.Module):
    """A transformer's block with a relative position bias."""

    def __init__(self, width: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.grow, self.shrink = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(heads, tokens, tokens))

    def forward(self, x: Tensor) -> Tensor:
        """Give the block's output."""
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm(x)).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)
        bias = self.relative_position_bias_table.unsqueeze(0)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        x = x + self.project(attended.transpose(1, 2).reshape(batch, tokens, width))
        result: Tensor = x + self.shrink(functional.gelu(self.grow(self.norm2(x))))
        return result


class Transformer(nn.Module):
    """Patches, a class token, attention by scaled_dot_product_attention, no batch normalisation."""

    def __init__(self, classes: int = 5, width: int = 8) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 3, 3)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList([Attention(width, 2, 10) for _ in range(3)])
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x[:, 0])
        return logits


class Shared(nn.Module):
    """One block called three times, and two layers that hold the same weight."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = layer(3, 4)
        self.again = Residual(4, 4)
        self.tied = nn.ModuleList([nn.Conv2d(4, 4, 3, padding=1) for _ in range(2)])
        self.tied[1].weight = self.tied[0].weight
        self.tail = nn.ModuleList([Residual(4, 4) for _ in range(4)])
        self.head = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits."""
        x = self.stem(x)
        for _ in range(3):
            x = self.again(x)
        x = self.tied[1](torch.tanh(self.tied[0](x)))
        for block in self.tail:
            x = block(x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class Noisy(nn.Module):
    """Dropout of all sorts, batch statistics, a buffer that two modules share: plenty to disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.GELU(), nn.Dropout2d(0.3)) for _ in range(9)
        )
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.4, batch_first=True)
        self.head = nn.Linear(8, 6)
        self.register_buffer("same", self.stem[1].get_buffer("running_mean"))

    def forward(self, x: Tensor) -> Tensor:
        """Give the logits."""
        x = self.stem(x)
        for block in self.blocks:
            x = x + block(x)
        tokens = x.flatten(2).transpose(1, 2)
        logits: Tensor = self.head(self.attention(tokens, tokens, tokens)[0].mean(1))
        return logits


class _Calls:
    """A count that outlives a scoring, which an attribute of the module does not."""

    count = 0


class _Explosive(nn.Module):
    """Fails in the middle of its forward pass, once training state has been touched."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)) for _ in range(12)])
        self.calls = _Calls()

    def forward(self, x: Tensor) -> Tensor:
        self.calls.count += 1
        for part in self.layers:
            x = part(x)
        raise RuntimeError("out of everything")


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "convolution": convolution,
    "attention": Transformer,
    "shared": Shared,
    "noisy": Noisy,
}
"""Small networks on which a proxy may go wrong, by name; each takes images of `SIZE` pixels."""
