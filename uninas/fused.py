"""The fused steps of a plan in torch: several layers' parameters run as one operation.

Parameters stay with the layers they belong to, so fused and unfused builds have the same weights under the same names. Where
somebody listens to a layer by a hook, each layer is called by itself, so that what it sees and makes can be observed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from uninas.layers import EPSILON, Layer, LayerNorm2d, RelativePositionBias, tokens, untokens
from uninas.ops import Op


def attention(op: Op, biases: Sequence[Layer], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q^T k / sqrt(head_dim) [+ bias]) v through torch's scaled_dot_product_attention; feature maps in and out."""
    head_dim: int = op.values["head_dim"]
    heads = q.shape[1] // head_dim
    size = (v.shape[2], v.shape[3])
    mask: Tensor | None = None
    for layer in biases:
        assert isinstance(layer, RelativePositionBias)
        bias = layer.bias(size)
        mask = bias if mask is None else mask + bias
    made = F.scaled_dot_product_attention(
        tokens(q, heads),
        tokens(k, heads),
        tokens(v, heads),
        attn_mask=None if mask is None else mask[None],
        scale=head_dim**-0.5,
    )
    return untokens(made, size)


def observed(layers: Sequence[Layer]) -> bool:
    """Whether anybody has a hook on one of the layers."""
    return any(
        isinstance(layer, nn.Module) and (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks)
        for layer in layers
    )


def wide(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """Convolutions of one input as one convolution: (B, C, H, W) -> (B, sum of their outputs, H, W)."""
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    if observed(convs):
        return torch.cat([conv(x) for conv in convs], 1)
    first = convs[0]
    return F.conv2d(x, _cat([c.weight for c in convs]), _biases(convs), first.stride, first.padding, first.dilation)


def batch(op: Op, layers: Sequence[Layer], inputs: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """The layers of isomorphic branches on stacked inputs (branch after branch along the channels or heads)."""
    count = len(layers)
    if observed(layers):
        pieces = [x.chunk(count, 1) for x in inputs]
        return torch.cat([layer(*[piece[i] for piece in pieces]) for i, layer in enumerate(layers)], 1)
    first, x = layers[0], inputs[0]
    if isinstance(first, nn.Conv2d):
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        return F.conv2d(
            x,
            _cat([c.weight for c in convs]),
            _biases(convs),
            first.stride,
            first.padding,
            first.dilation,
            count * first.groups,
        )
    if isinstance(first, nn.BatchNorm2d):
        return _batch_norm([layer for layer in layers if isinstance(layer, nn.BatchNorm2d)], x)
    if isinstance(first, LayerNorm2d):
        return _layer_norm([layer for layer in layers if isinstance(layer, LayerNorm2d)], x)
    if isinstance(first, RelativePositionBias):
        return x + torch.cat([layer.bias(size) for layer in layers if isinstance(layer, RelativePositionBias)])
    if op.name == "matmul_qk":
        head_dim: int = op.values["head_dim"]
        heads = x.shape[1] // head_dim
        scores: Tensor = (tokens(x, heads) * head_dim**-0.5) @ tokens(inputs[1], heads).transpose(-1, -2)
        return scores
    return first(*inputs)


def _cat(parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parameters))


def _biases(convs: Sequence[nn.Conv2d]) -> Tensor | None:
    biases = [conv.bias for conv in convs if conv.bias is not None]
    return _cat(biases) if biases else None


def _batch_norm(norms: Sequence[nn.BatchNorm2d], x: Tensor) -> Tensor:
    first = norms[0]
    means = [norm.running_mean for norm in norms if norm.running_mean is not None]
    variances = [norm.running_var for norm in norms if norm.running_var is not None]
    mean, variance = _cat(means), _cat(variances)
    made = F.batch_norm(
        x, mean, variance, _cat([n.weight for n in norms]), _cat([n.bias for n in norms]), first.training,
        first.momentum or 0.0, first.eps,
    )  # fmt: skip
    if first.training:
        for norm, new_mean, new_variance in zip(norms, mean.chunk(len(norms)), variance.chunk(len(norms)), strict=True):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert norm.num_batches_tracked is not None
            norm.running_mean.copy_(new_mean)
            norm.running_var.copy_(new_variance)
            norm.num_batches_tracked.add_(1)
    return made


def _layer_norm(norms: Sequence[LayerNorm2d], x: Tensor) -> Tensor:
    count = len(norms)
    grouped = x.reshape(x.shape[0], count, -1, *x.shape[2:]).movedim(2, -1)  # (B, count, H, W, C)
    made = F.layer_norm(grouped, grouped.shape[-1:], eps=EPSILON).movedim(-1, 2).flatten(1, 2)
    weight, bias = (_cat(parameters)[:, None, None] for parameters in ([n.weight for n in norms], [n.bias for n in norms]))
    return made * weight + bias
