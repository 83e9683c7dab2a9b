"""One block's gradient flow by itself (AZ-NAS): whether it passes gradients on at their size."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.blocks import channels_last

__all__ = ["isolation", "spread_strides", "top_singular_value"]

EPSILON = 1e-6


def isolation(name: str, gradient_in: Tensor | None, gradient_out: Tensor, output_format: str) -> float:
    """2 - s - 1 / (s + 1e-6), s the top singular value of a block's estimated Jacobian; about 0 at its best, where s = 1.

    M = g_in^T g_out / (B H W), summed over the B H W positions of the output; where the block strides, g_in is pixel-unshuffled
    first, see :func:`spread_strides`.

    Args:
        name: the block, for failures.
        gradient_in: what ``gradient_out`` at the block's output becomes at its input; None where nothing arrives.
        gradient_out: random signs.
        output_format: ``NCHW`` or ``NHWC``.

    Raises:
        ProxyFailure: ``identity_block`` where the gradient passes unchanged (such a network ranks lowest);
            ``detached_block``, ``enlarging_block``, ``block_shape``, ``non_finite``.
    """
    if gradient_in is None:
        raise ProxyFailure("detached_block", f"no gradient passes through block {name!r}")
    if gradient_in.shape == gradient_out.shape and torch.equal(gradient_in, gradient_out):
        raise ProxyFailure("identity_block", f"block {name!r} passes its gradient on unchanged")
    inner, outer = channels_last(name, gradient_in, output_format), channels_last(name, gradient_out, output_format)
    size = top_singular_value(name, spread_strides(name, inner, outer), outer.flatten(0, -2))
    return 2.0 - size - 1.0 / (size + EPSILON)


def spread_strides(name: str, inner: Tensor, outer: Tensor) -> Tensor:
    """Bring the gradient at a block's input to the positions of its output, the pixels of one stride becoming channels.

    For each spatial dimension the stride is the ratio of the sizes, rounded to the nearest whole number, halves up (7 to 4 is a
    stride of 2, as 8 to 4). A gradient shorter than stride x output is filled with zeros at the far end, since no input
    was there; a longer one is cropped there.

    Args:
        name: the block, for failures.
        inner: gradient at the input, ``(batch, *positions, channels)``.
        outer: gradient at the output, with as many dimensions.

    Returns:
        Rows of shape ``(batch x output positions, channels x strides)``.

    Raises:
        ProxyFailure: ``block_shape`` where the numbers of dimensions differ, ``enlarging_block``.
    """
    if inner.dim() != outer.dim():
        raise ProxyFailure("block_shape", f"block {name!r} turns {inner.dim()} dimensions into {outer.dim()}")
    spatial = range(1, inner.dim() - 1)
    if any(inner.shape[axis] < outer.shape[axis] for axis in spatial):
        raise ProxyFailure("enlarging_block", f"block {name!r} turns {tuple(inner.shape)} into {tuple(outer.shape)}")
    for axis in spatial:
        wanted, size = outer.shape[axis], inner.shape[axis]
        stride = (2 * size + wanted) // (2 * wanted)
        if stride * wanted > size:
            fill = [0, 0] * (inner.dim() - 1 - axis) + [0, stride * wanted - size]
            inner = nn.functional.pad(inner, fill)
        inner = inner.narrow(axis, 0, stride * wanted)
        inner = inner.reshape(*inner.shape[:axis], wanted, stride, *inner.shape[axis + 1 :])
        inner = inner.movedim(axis + 1, -1).flatten(-2)  # channels outermost, then rows, then columns: torch's order
    return inner.flatten(0, -2)


def top_singular_value(name: str, inner: Tensor, outer: Tensor) -> float:
    """Largest singular value of inner^T outer / rows, from the smaller Gram matrix, in float64.

    Raises:
        ProxyFailure: ``non_finite``.
    """
    matrix = (inner.T @ outer).to(torch.float64) / len(outer)
    if not bool(torch.isfinite(matrix).all()):
        raise ProxyFailure("non_finite", f"the gradient through block {name!r} holds NaN or infinity")
    scale = float(matrix.abs().max())
    if scale == 0.0:
        return 0.0
    matrix = matrix / scale  # squares neither overflow nor vanish
    gram = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    return scale * math.sqrt(max(0.0, float(torch.linalg.eigvalsh(gram)[-1])))
