"""The feature proxies of AZ-NAS (Lee and Ham, CVPR 2024): expressivity, progressivity, trainability.

Training mode, so batch statistics normalise. :func:`proxies.block_outputs` says what a block is.
"""

from __future__ import annotations

from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.training_pass import BlockEntropy, part

__all__ = ["block_entropies", "expressivity", "progressivity", "trainability"]


def block_entropies(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> tuple[float, ...]:
    """Feature entropy of each block's output, in nats, in the order of execution.

    See :func:`proxies.formulas.entropy.feature_entropy`.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: what stochastic modules would draw from.

    Raises:
        ProxyFailure: ``no_blocks``, ``block_signature``, ``block_shape``, ``constant_features``, ``non_finite``,
            ``batch_norm_one_value`` or ``output_shape``.
    """
    found: tuple[BlockEntropy, ...] = part("entropies", module, inputs, seed=seed)
    return tuple(entropy.after for entropy in found)


def expressivity(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Sum of the blocks' feature entropies, in nats. Failures are those of :func:`block_entropies`."""
    return float(sum(block_entropies(module, inputs, seed=seed)))


def progressivity(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """The least that a block adds to the feature entropy: the minimum of (entropy of its output - entropy of its input), in nats.

    Three corners differ from the definition of AZ-NAS, the minimum over blocks 2 .. L of the difference between a block's entropy
    and that of the block before it. A block is compared with its own input, which is the output of the block before it only in a
    chain. The first block counts too, compared with the output of the stem. A block whose input has no covariance, or is a list
    of maps, is left out.

    Raises:
        ProxyFailure: ``too_few_blocks`` where no block is given a map with a covariance; and the failures of
            :func:`block_entropies`.
    """
    found: tuple[BlockEntropy, ...] = part("entropies", module, inputs, seed=seed)
    steps = [entropy.after - entropy.before for entropy in found if entropy.before is not None]
    if not steps:
        raise ProxyFailure("too_few_blocks", f"none of {len(found)} blocks is given a map with a covariance")
    return min(steps)


def trainability(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Mean over blocks of 2 - s - 1 / (s + 1e-6), s the top singular value of the block's estimated Jacobian.

    Each call of a block is differentiated alone: a random output gradient of signs is sent back to the block's input, see
    :func:`proxies.measuring.isolation.isolation`. The signs depend on the seed, the block's name and the number of the call.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: decides the signs.

    Raises:
        ProxyFailure: ``identity_block`` where a block returns the gradient unchanged (such a network ranks lowest);
            ``detached_block`` where no gradient reaches the input; ``enlarging_block`` where the output has more rows or columns
            than the input; ``no_blocks``, ``block_signature``, ``block_shape``, ``non_finite``, ``batch_norm_one_value``,
            ``output_shape``.
    """
    scores: tuple[float, ...] = part("isolations", module, inputs, seed=seed)
    return sum(scores) / len(scores)
