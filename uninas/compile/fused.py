"""The fused steps of a plan in torch: several layers' parameters run as one operation.

Parameters stay with the layers they belong to, so fused and unfused builds have the same weights under the same names. Where
layers cannot run as one, each is called by itself: where one has a hook, so that what it reads and makes can be observed; where
one was replaced by another kind of module; where they differ in mode.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn import functional as F

from uninas.compile.attention import RelativePositionBias, biased, scores, shared, tokens, untokens, weighted, windowed_attention
from uninas.compile.layers import EPSILON, NEEDS_SIZE, Layer, LayerNorm2d
from uninas.ops import Op

for _name in ("biased", "shared", "windowed_attention"):
    torch.fx.wrap(_name)  # tracing looks for the names where they are called


def attention(op: Op, biases: Sequence[Layer], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Compute softmax(q^T k / sqrt(head_dim) [+ bias]) v by torch's scaled_dot_product_attention; feature maps in and out."""
    head_dim, window, shift = op.values["head_dim"], op.values["window"], op.values["shift"]
    share, size = q.shape[1] // k.shape[1], (q.shape[2], q.shape[3])
    if not _as_one(biases, RelativePositionBias):
        attended = scores(q, k, head_dim, window, shift)
        for layer in biases:
            attended = layer(attended, size=size)
        return weighted(attended.softmax(-1), v, share, window, shift, size)
    bias: Tensor | None = None
    for layer in biases:
        assert isinstance(layer, RelativePositionBias)
        bias = layer.bias(size) if bias is None else bias + layer.bias(size)
    if window:
        return windowed_attention(q, k, v, bias, head_dim, window, shift)
    heads = q.shape[1] // head_dim
    made = F.scaled_dot_product_attention(
        tokens(q, heads),
        shared(tokens(k, heads // share), heads),
        shared(tokens(v, heads // share), heads),
        attn_mask=None if bias is None else bias[None],
        scale=head_dim**-0.5,
    )
    return untokens(made, size)


def _as_one(layers: Sequence[Layer], kind: type[nn.Module]) -> bool:
    """Whether all layers are of exactly that kind, without a hook on any."""
    return all(
        type(layer) is kind
        and not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)
        for layer in layers
    )


def wide(layers: Sequence[Layer], x: Tensor) -> Tensor:
    """Run convolutions of one input as one convolution: (B, C, H, W) -> (B, sum of their outputs, H, W)."""
    if not _as_one(layers, nn.Conv2d):
        return torch.cat([layer(x) for layer in layers], 1)
    return _convolution([layer for layer in layers if isinstance(layer, nn.Conv2d)], x, 1)


def batch(op: Op, layers: Sequence[Layer], inputs: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Run the layers of isomorphic branches on stacked inputs (branch after branch along the channels or heads)."""
    x = inputs[0]
    extra = {"size": size} if op.name in NEEDS_SIZE else {}
    if not op.spec.instance:
        made: Tensor = layers[0](*inputs, **extra)
        return made
    if op.name == "conv" and _as_one(layers, nn.Conv2d):
        convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        return _convolution(convs, x, len(convs) * convs[0].groups)
    if op.name == "batch_norm" and _as_one(layers, nn.BatchNorm2d):
        norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
        if len({(n.training, n.eps, n.momentum) for n in norms}) == 1 and all(map(_usual, norms)):
            return _batch_norm(norms, x)
    if op.name == "layer_norm" and _as_one(layers, LayerNorm2d):
        return _layer_norm([layer for layer in layers if isinstance(layer, LayerNorm2d)], x)
    if op.name == "relative_position_bias" and _as_one(layers, RelativePositionBias):
        return biased(x, torch.cat([layer.bias(size) for layer in layers if isinstance(layer, RelativePositionBias)]))
    if op.name == "dropout" and _as_one(layers, nn.Dropout):
        dropouts = [layer for layer in layers if isinstance(layer, nn.Dropout)]
        if len({(d.training, d.p) for d in dropouts}) == 1:
            dropped: Tensor = dropouts[0](x)
            return dropped
    return torch.cat([layer(piece, **extra) for layer, piece in zip(layers, pieces(x, len(layers)), strict=True)], 1)


def pieces(x: Tensor, count: int, axis: int = 1) -> list[Tensor]:
    """Cut into `count` equal parts. They are counted out, since symbolic tracing cannot ask a value for its length."""
    parts = x.chunk(count, axis)
    return [parts[number] for number in range(count)]


def _convolution(convs: Sequence[nn.Conv2d], x: Tensor, groups: int) -> Tensor:
    first = convs[0]
    biases = [conv.bias for conv in convs if conv.bias is not None]
    weight, bias = _cat([conv.weight for conv in convs]), _cat(biases) if biases else None
    return F.conv2d(x, weight, bias, first.stride, first.padding, first.dilation, groups)


def _cat(parameters: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parameters))


def _usual(norm: nn.BatchNorm2d) -> bool:
    """Whether a norm has weights, and running statistics with a momentum."""
    return norm.affine and norm.track_running_stats and norm.momentum is not None


def _batch_norm(norms: Sequence[nn.BatchNorm2d], x: Tensor) -> Tensor:
    first = norms[0]
    means = [norm.running_mean for norm in norms if norm.running_mean is not None]
    variances = [norm.running_var for norm in norms if norm.running_var is not None]
    mean, variance = _cat(means), _cat(variances)
    made = F.batch_norm(
        x,
        mean,
        variance,
        _cat([n.weight for n in norms]),
        _cat([n.bias for n in norms]),
        first.training,
        first.momentum or 0.0,
        first.eps,
    )
    if first.training:
        means, variances = (pieces(moved, len(norms), 0) for moved in (mean, variance))
        for norm, new_mean, new_variance in zip(norms, means, variances, strict=True):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            assert norm.num_batches_tracked is not None
            norm.running_mean.copy_(new_mean)
            norm.running_var.copy_(new_variance)
            norm.num_batches_tracked.add_(1)
    return made


def _layer_norm(norms: Sequence[LayerNorm2d], x: Tensor) -> Tensor:
    count = len(norms)
    grouped = x.reshape(x.shape[0], count, -1, x.shape[2], x.shape[3]).movedim(2, -1)  # (B, count, H, W, C)
    made = F.layer_norm(grouped, grouped.shape[-1:], eps=EPSILON).movedim(-1, 2).flatten(1, 2)
    weight, bias = (_cat(parameters)[:, None, None] for parameters in ([n.weight for n in norms], [n.bias for n in norms]))
    return made * weight + bias
