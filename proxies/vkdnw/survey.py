"""One cheap pass over one sample: what the Jacobian would cost in either mode of differentiation, and whether it can be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from proxies.errors import ProxyFailure
from proxies.measuring.meter import Meter
from proxies.measuring.state import run
from proxies.vkdnw.weights import ChosenWeight

__all__ = ["Survey", "survey"]


@dataclass(frozen=True)
class Survey:
    """A network's forward pass as both modes see it. All counts are for one sample.

    Attributes:
        classes: number of logits C.
        head: the last linear layer, where its result is the logits and its input a vector of features; else None.
        total_macs: multiply-accumulates of the whole pass.
        first_call: for each chosen weight the position of its layer's first call among all; None if never called.
        macs_after: for each chosen weight the multiply-accumulates executed after that first call.
        macs_in: for each chosen weight the multiply-accumulates of that first call itself.
        folded: some chosen layer's output has more in its first dimension than the sample.
        largest_after: for each chosen weight the number of elements of the largest result from that call on.
    """

    classes: int
    head: nn.Linear | None
    total_macs: int
    first_call: tuple[int | None, ...]
    macs_after: tuple[int, ...]
    macs_in: tuple[int, ...]
    folded: bool
    largest_after: tuple[int, ...]

    @property
    def features(self) -> int | None:
        """Width D before the last linear layer, where there is one to go back to."""
        return None if self.head is None else self.head.in_features


def survey(module: nn.Module, weights: Sequence[ChosenWeight], example: Tensor) -> Survey:
    """Run one sample and note when each chosen layer is called and what comes after.

    Args:
        module: the network, already held in evaluation mode.
        weights: the chosen weights.
        example: a batch; one sample of it is used.

    Raises:
        ProxyFailure: ``output_shape``; or ``layer_bypassed`` where a chosen layer's weight takes part in the logits without its
            module being called, so that no hook could see it.
    """
    meter = Meter()
    folded = False
    starts: dict[int, tuple[int, int, int, int]] = {}  # weight -> order, macs before, macs of the call, results before
    calls: dict[int, int] = {}
    last: list[tuple[nn.Module, Tensor, object]] = []
    handles = []
    owners: dict[int, list[int]] = {}
    for place, weight in enumerate(weights):
        for layer in weight.modules:
            owners.setdefault(id(layer), []).append(place)

    def before(layer: nn.Module, _: object) -> None:
        for place in owners[id(layer)]:
            starts.setdefault(place, (len(starts), meter.macs, -1, len(meter.results)))

    def after(layer: nn.Module, arguments: tuple[object, ...], output: Tensor) -> None:
        nonlocal folded
        folded = folded or output.shape[0] != 1
        for place in owners[id(layer)]:
            order, macs, own, results = starts[place]
            if own < 0:
                starts[place] = (order, macs, meter.macs - macs, results)

    def any_linear(layer: nn.Module, arguments: tuple[Tensor, ...], output: object) -> None:
        calls[id(layer)] = calls.get(id(layer), 0) + 1
        last[:] = [(layer, arguments[0], output)]

    try:
        for layer in {id(layer): layer for weight in weights for layer in weight.modules}.values():
            handles.append(layer.register_forward_pre_hook(before))
            handles.append(layer.register_forward_hook(after))
        for submodule in module.modules():
            if type(submodule).forward is nn.Linear.forward:
                handles.append(submodule.register_forward_hook(any_linear))
        # Attention by plain products: what forward mode will run, and every product is counted.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), meter:
            logits = run(module, example[:1])
    finally:
        for handle in handles:
            handle.remove()
    _check_bypassed(module, [weight for place, weight in enumerate(weights) if place not in starts], example)
    places = range(len(weights))
    sizes = [max(meter.results[starts[place][3] :], default=1) if place in starts else 1 for place in places]
    return Survey(
        classes=logits.shape[1],
        head=_head(module, last, logits, calls),
        total_macs=meter.macs,
        first_call=tuple(starts[place][0] if place in starts else None for place in places),
        macs_after=tuple(meter.macs - sum(starts[place][1:3]) if place in starts else 0 for place in places),
        macs_in=tuple(starts[place][2] if place in starts else 0 for place in places),
        folded=folded,
        largest_after=tuple(sizes),
    )


def _head(
    module: nn.Module, last: list[tuple[nn.Module, Tensor, object]], logits: Tensor, calls: dict[int, int]
) -> nn.Linear | None:
    if not last:
        return None
    layer, features, output = last[0]
    if not isinstance(layer, nn.Linear) or output is not logits or features.dim() != 2 or calls[id(layer)] != 1:
        return None
    users = sum(parameter is layer.weight for m in module.modules() for parameter in m._parameters.values())
    return layer if users == 1 else None  # a tied weight acts earlier too


def _check_bypassed(module: nn.Module, unseen: list[ChosenWeight], example: Tensor) -> None:
    """A layer that was never called must not reach the logits some other way: its zero would be invented."""
    if not unseen:
        return
    parameters = [weight.modules[0]._parameters[weight.parameter] for weight in unseen]
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)  # type: ignore[union-attr]
        with torch.enable_grad():
            logits = run(module, example[:1])
            if not logits.requires_grad:
                return
            gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)  # type: ignore[arg-type]
    finally:
        for parameter in parameters:
            parameter.requires_grad_(False)  # type: ignore[union-attr]
    used = [weight.name for weight, gradient in zip(unseen, gradients, strict=True) if gradient is not None]
    if used:
        raise ProxyFailure(
            "layer_bypassed",
            f"the weights of {len(used)} layers reach the logits although their modules are never called, the first is "
            f"{used[0]!r}: score a build that calls its layers",
        )
