"""Zen-score (Lin et al., ICCV 2021): how far a small change of the input moves the features."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils._python_dispatch import TorchDispatchMode

from proxies.errors import ProxyFailure
from proxies.measuring.initialise import initialise
from proxies.measuring.seeds import another_batch, derive_seed
from proxies.measuring.state import placed, run, scoring

__all__ = ["zen"]

STEP = 0.01


def zen(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """ln of the mean over samples of sum abs(f(x) - f(x + 0.01 x')) + the sum over batch norms of ln sqrt(mean running variance).

    x and x' are noise; f are the last features that still have positions (what global pooling sees); weights are drawn from
    N(0, 1), whatever the network has; training mode, so batch norms normalise by the batch, and in the two passes their running
    variances move from 1 towards what they divided by. Only the shape of ``inputs`` is used.

    Four corners differ from the definition (ZenNAS, algorithm 1), the first two as in the paper's published code: the features'
    change is a sum of absolute values and no Frobenius norm; the running variance after two passes stands for the variance of the
    batch; residual connections stay, where the definition removes them; and norms of other kinds, which the networks of the paper
    do not have, are left as they are and add nothing.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: decides weights and noise.

    Raises:
        ProxyFailure: ``non_finite``, ``constant_features``, ``no_positions``, ``batch_norm_one_value``, ``output_shape``.
    """
    noise_seed = derive_seed(seed, "zen")
    first, other = (another_batch(inputs, derive_seed(noise_seed, place)) for place in ("first", "other"))
    with placed(module, copy=True):
        initialise(module, noise_seed, variance=None)
        with scoring(module, train=True, seed=seed), torch.no_grad():
            moved = _features(module, first) - _features(module, first + STEP * other)
            change = float(moved.abs().flatten(1).sum(1, dtype=torch.float64).mean())
            scales = [float(variance.mean(dtype=torch.float64)) for variance in _running_variances(module)]
    if not math.isfinite(change):
        raise ProxyFailure("non_finite", "the features hold NaN or infinity under weights from N(0, 1)")
    if change == 0.0 or not all(scale > 0 for scale in scales):
        raise ProxyFailure("constant_features", "the features do not move with the input")
    return math.log(change) + sum(0.5 * math.log(scale) for scale in scales)


def _running_variances(module: nn.Module) -> list[Tensor]:
    """Of the batch norms that have run."""
    norms = [norm for norm in module.modules() if isinstance(norm, _NormBase) and int(norm.num_batches_tracked or 0) > 0]
    return [norm.running_var for norm in norms if norm.running_var is not None]


def _features(module: nn.Module, inputs: Tensor) -> Tensor:
    watch = _LastPositions(len(inputs))
    with watch:
        run(module, inputs)
    if watch.last is None:
        raise ProxyFailure("no_positions", "no result of the network has positions to pool: expected maps or tokens")
    return watch.last


class _LastPositions(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the last result of the shape (samples, ...) with three or more dimensions and more than one position."""

    def __init__(self, samples: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._samples = samples
        self.last: Tensor | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        first = result[0] if isinstance(result, (tuple, list)) and result else result
        if isinstance(first, Tensor) and first.dim() >= 3 and first.shape[0] == self._samples and first.is_floating_point():
            positions = first.shape[1] if first.dim() == 3 else first.shape[2:].numel()
            if positions > 1:
                self.last = first
        return result
