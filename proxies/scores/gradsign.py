"""GradSign, and the gradients of each sample by itself that it counts.

In evaluation mode the samples of a batch are independent, so one backward pass carries the gradients of all of them; a layer's
weight gradient is taken apart by sample where the gradient of its output meets its input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from proxies.errors import ProxyFailure
from proxies.measuring.layers import padding_of
from proxies.measuring.state import run, scoring
from proxies.measuring.training_pass import labels
from proxies.scores.saliency import weights_of

__all__ = ["gradsign", "per_sample_gradients"]

Consume = Callable[[str, Tensor], None]


class _Loss(Protocol):
    def __call__(self, logits: Tensor, place: slice) -> Tensor: ...


def gradsign(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None, micro_batch: int = 16) -> float:
    """GradSign (Zhang and Jia, arXiv 2110.08616): the sum over weights of abs(sum over samples of sign(g)).

    g is the gradient of one sample's cross-entropy, in evaluation mode; weights are those of convolution and linear layers, as in
    the authors' code; the paper sums over all parameters.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: decides the labels of noise.
        targets: classes of real samples, int64 of shape ``(batch,)``; None for random ones.
        micro_batch: samples at a time; bounds memory.

    Raises:
        ProxyFailure: ``no_layers``, ``no_weight``, ``label_range``, ``non_finite``, ``constant_gradient``, ``output_shape``.
    """
    signs: dict[str, Tensor] = {}
    finite: list[Tensor] = []

    def consume(name: str, gradients: Tensor) -> None:
        finite.append(torch.isfinite(gradients.sum()))  # the sign of NaN is a number
        total = gradients.sign().sum(0)
        signs[name] = signs[name] + total if name in signs else total

    def loss(logits: Tensor, place: slice) -> Tensor:
        chosen = labels(len(inputs), logits.shape[1], seed) if targets is None else targets
        if int(chosen.max()) >= logits.shape[1]:
            raise ProxyFailure("label_range", f"a label is {int(chosen.max())}, the network has {logits.shape[1]} classes")
        value = functional.cross_entropy(logits, chosen[place].to(logits.device), reduction="sum")
        if not bool(torch.isfinite(value)):
            raise ProxyFailure("non_finite", f"the cross-entropy is {float(value.detach())}")
        return value

    per_sample_gradients(module, inputs, loss, consume, seed=seed, micro_batch=micro_batch)
    if not all(map(bool, finite)):
        raise ProxyFailure("non_finite", "the gradient of some weight is NaN or infinite")
    return float(sum(float(total.abs().sum(dtype=torch.float64)) for total in signs.values()))


def per_sample_gradients(
    module: nn.Module,
    inputs: Tensor,
    loss: _Loss,
    consume: Consume,
    *,
    seed: int,
    micro_batch: int,
) -> None:
    """Pass the gradient of each sample's loss by each layer's weight to ``consume(name, gradients)``, micro-batch by micro-batch.

    Args:
        module: the network; evaluation mode.
        inputs: shape ``(batch, ...)``.
        loss: ``loss(logits, place)`` is the sum of the losses of the samples at ``place`` of the batch; a sample's loss may
            depend on its own logits only.
        consume: gets the layer's name and a tensor ``(samples, weights)`` that it may keep.
        seed: what stochastic modules would draw from.
        micro_batch: samples at a time. One at a time, by a backward pass of its own, where a layer computes something else than
            torch's convolution or linear map, or its first dimension is no multiple of the samples (attention over windows, a
            layer that is called once for all samples).

    Raises:
        ProxyFailure: ``constant_gradient`` where no gradient arrives.
    """
    weights = weights_of(module, inputs)
    names = {id(weight): name for name, weight in weights.items()}
    users = [layer for layer in module.modules() if id(layer._parameters.get("weight")) in names]
    together = all(type(layer).forward in (nn.Conv2d.forward, nn.Linear.forward) for layer in users)
    # The fused attention kernels round what is 0 to something with a sign: the gradient by queries and keys of a single token.
    with scoring(module, train=False, seed=seed), torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        for start in range(0, len(inputs), micro_batch):
            place = slice(start, min(start + micro_batch, len(inputs)))
            together = together and _micro(module, inputs[place], users, names, partial(loss, place=place), consume)
            if not together:
                _one_by_one(module, inputs, range(place.start, place.stop), weights, loss, consume)


def _one_by_one(
    module: nn.Module, inputs: Tensor, places: range, weights: Mapping[str, Tensor], loss: _Loss, consume: Consume
) -> None:
    rows: dict[str, list[Tensor]] = {name: [] for name in weights}
    for weight in weights.values():
        weight.requires_grad_(True)  # `scoring` gives back what was
    for place in places:
        value = loss(run(module, inputs[place : place + 1]), slice(place, place + 1))
        if not value.requires_grad:
            raise ProxyFailure("constant_gradient", "the logits do not depend on any layer")
        found = torch.autograd.grad(value, list(weights.values()), allow_unused=True)
        for (name, weight), gradient in zip(weights.items(), found, strict=True):
            rows[name].append((torch.zeros_like(weight) if gradient is None else gradient).flatten())
    for name, samples in rows.items():
        consume(name, torch.stack(samples))


def _micro(
    module: nn.Module,
    inputs: Tensor,
    users: list[nn.Module],
    names: dict[int, str],
    loss: Callable[[Tensor], Tensor],
    consume: Consume,
) -> bool:
    """Take the samples apart by their place in the first dimension; False, with nothing passed on, where that cannot be."""
    samples = len(inputs)
    calls: list[tuple[Any, Tensor, Tensor]] = []
    handles = []
    folded = False

    def on_call(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        nonlocal folded
        folded = folded or output.shape[0] % samples > 0
        if not output.requires_grad:
            output = output.detach().requires_grad_(True)  # gradients start here
        calls.append((layer, arguments[0].detach(), output))
        return output.clone()  # work in place on a layer's result must not change what is differentiated by

    try:
        for layer in users:
            handles.append(layer.register_forward_hook(on_call))
        logits = run(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    if folded:
        return False
    value = loss(logits)
    if not value.requires_grad or not calls:
        raise ProxyFailure("constant_gradient", "the logits do not depend on any layer")
    found = torch.autograd.grad(value, [output for _, _, output in calls], allow_unused=True)
    waiting: dict[str, int] = {}
    sums: dict[str, Tensor] = {}
    for layer, _, _ in calls:
        name = names[id(layer.weight)]
        waiting[name] = waiting.get(name, 0) + 1
    for (layer, given, _), gradient in zip(calls, found, strict=True):
        name = names[id(layer.weight)]
        rows = _weight_rows(layer, given, gradient, samples)
        sums[name] = sums[name] + rows if name in sums else rows
        waiting[name] -= 1
        if not waiting[name]:
            consume(name, sums.pop(name))
    return True


def _weight_rows(layer: nn.Conv2d | nn.Linear, given: Tensor, gradient: Tensor | None, samples: int) -> Tensor:
    """The weight's gradient for each sample, ``(samples, weights)``; a sample may be several rows, of windows."""
    weight = layer.weight
    if gradient is None:
        return torch.zeros(samples, weight.numel(), dtype=given.dtype, device=given.device)
    if isinstance(layer, nn.Linear):
        outer = gradient.reshape(samples, -1, gradient.shape[-1])
        inner = given.reshape(samples, -1, given.shape[-1])
        return (outer.transpose(1, 2) @ inner).flatten(1)
    return _convolution_rows(layer, given, gradient).reshape(samples, -1, weight.numel()).sum(1)


def _convolution_rows(layer: nn.Conv2d, given: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of each sample by itself, ``(B, weights)``: what each position sees times the gradient that arrives there.

    With channels last a position sees a few rows of memory, so that one copy of a strided view lays all of it out; torch's
    unfold takes several times as long.
    """
    groups, (rows, columns) = layer.groups, layer.kernel_size
    padding, mode = padding_of(layer), "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = functional.pad(given, padding, mode) if any(padding) else given
    padded = padded.permute(0, 2, 3, 1).contiguous()
    batch, image, row, column, channel = len(given), *padded.stride()
    (down, across), (height, width) = layer.stride, gradient.shape[2:]
    seen = padded.as_strided(
        (batch, height, width, rows, columns, groups, given.shape[1] // groups),
        (
            image,
            down * row,
            across * column,
            layer.dilation[0] * row,
            layer.dilation[1] * column,
            given.shape[1] // groups * channel,
            channel,
        ),
    ).permute(0, 5, 1, 2, 3, 4, 6)
    outer = gradient.permute(0, 2, 3, 1).reshape(batch, height * width, groups, -1).permute(0, 2, 3, 1)
    found: Tensor = outer @ seen.reshape(batch, groups, height * width, -1)
    return found.reshape(batch, groups, -1, rows, columns, given.shape[1] // groups).movedim(5, 3).reshape(batch, -1)
