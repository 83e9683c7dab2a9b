"""One forward pass along a circle of inputs: the feature maps of one random sample, and how the output moves.

MeCo and Dextr read the maps of one random sample. Here that sample is the first point of a circle of inputs with the length of
white noise, whose other points give the batch statistics of training mode, and Dextr the curve of outputs that it asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from proxies.errors import ProxyFailure
from proxies.measuring.seeds import generator
from proxies.measuring.shared import shared
from proxies.measuring.state import run, scoring

__all__ = ["POINTS", "CirclePass", "channel_axis", "circle_inputs", "circle_pass"]

POINTS = 16
"""Inputs on the circle."""


@dataclass(frozen=True)
class CirclePass:
    """What a pass along the circle showed.

    Attributes:
        maps: for each call of a convolution, linear or norm layer, in the order of execution, its name and its result for the
            first sample, shape ``(channels, positions)``.
        outputs: the logits, in the order of the circle, shape ``(POINTS, classes)``.
    """

    maps: tuple[tuple[str, Tensor], ...]
    outputs: Tensor


def circle_inputs(inputs: Tensor, seed: int) -> Tensor:
    """x_i = sqrt(n) (u cos t_i + v sin t_i), u and v random and orthonormal, t_i evenly spaced on the whole circle.

    Returns:
        Shape ``(POINTS, *inputs.shape[1:])``; each point has the norm sqrt(n), n the numbers of a sample, as noise has about.
    """
    size = inputs[0].numel()
    stream = generator(seed, "circle")
    u, v = torch.randn(2, max(size, 2), generator=stream, dtype=torch.float64)[:, :size]
    u = u / u.norm()
    v = v - (u @ v) * u
    v = v / v.norm().clamp_min(torch.finfo(torch.float64).tiny)
    angles = torch.arange(POINTS, dtype=torch.float64) * (2.0 * math.pi / POINTS)
    points = math.sqrt(size) * (angles.cos()[:, None] * u + angles.sin()[:, None] * v)
    made: Tensor = points.reshape(POINTS, *inputs.shape[1:]).to(device=inputs.device, dtype=inputs.dtype)
    last = made.dim() == 4 and inputs.is_contiguous(memory_format=torch.channels_last)
    return made.contiguous(memory_format=torch.channels_last) if last else made


@shared
def circle_pass(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> CirclePass:
    """Run a network along the circle, in training mode: the points' own statistics normalise. Only the shape of inputs is used.

    Raises:
        ProxyFailure: ``non_finite``, ``batch_norm_one_value``, ``output_shape``.
    """
    names = {id(layer): name for name, layer in module.named_modules() if _is_mapped(layer)}
    maps: list[tuple[str, Tensor]] = []

    def after(layer: nn.Module, arguments: tuple[object, ...], result: object) -> None:
        if isinstance(result, Tensor) and result.dim() > 2 and result.shape[0] and result.shape[0] % POINTS == 0:
            first = result.detach()[: result.shape[0] // POINTS]
            axis = channel_axis(layer, first)
            # A copy: work in place behind the layer would show.
            maps.append((names[id(layer)], first.movedim(axis, 0).reshape(first.shape[axis], -1).clone()))

    handles = []
    try:
        for layer in module.modules():
            if id(layer) in names:
                handles.append(layer.register_forward_hook(after))
        with scoring(module, train=True, seed=seed), torch.no_grad():
            outputs = run(module, circle_inputs(inputs, seed)).to(torch.float64)
    finally:
        for handle in handles:
            handle.remove()
    if not all(bool(torch.isfinite(values).all()) for _, values in (*maps, ("logits", outputs))):
        raise ProxyFailure("non_finite", "some feature map of a random input holds NaN or infinity")
    return CirclePass(tuple(maps), outputs)


def _is_mapped(layer: nn.Module) -> bool:
    known = isinstance(layer, (nn.Conv2d, nn.Linear, _NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm))
    return known or type(layer).__name__.startswith(("LayerNorm", "RmsNorm"))  # those that timm and others write themselves


def channel_axis(layer: nn.Module, result: Tensor) -> int:
    """Which dimension of a layer's result holds its channels.

    The last of linear layers; the first that is normalised of layer norms, but for those of classes called 2d, which work on
    maps; the second of all others, and of a class of somebody's own the last where there are three.
    """
    if isinstance(layer, nn.Linear):
        return result.dim() - 1
    if isinstance(layer, (nn.LayerNorm, nn.RMSNorm)) and not type(layer).__name__.lower().endswith("2d"):
        return result.dim() - len(layer.normalized_shape)
    if isinstance(layer, (nn.Conv2d, _NormBase, nn.GroupNorm)) or result.dim() != 3:
        return 1
    return 2
