"""Fresh initial values that depend on the seed and on a parameter's name alone.

A neighbour in a search shares most parameter names with its parent, so it shares their values too: two scores differ by
the edit and not by a reshuffled random stream.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from proxies.measuring.plain import check_plain
from proxies.measuring.seeds import generator

__all__ = ["initialise"]

_NORMS: tuple[type[nn.Module], ...] = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
_MULTIPLIERS = ("weight", "gamma", "gain", "scale", "temperature")


@torch.no_grad()
def initialise(module: nn.Module, seed: int, *, variance: float | None = 2.0) -> None:
    """Give every parameter and every normalisation statistic of ``module`` its initial value, in place.

    The rule, by the type of the module that owns the parameter:

    1. Convolution or linear layer: weight from N(0, variance / fan_in), by default Kaiming normal's N(0, 2 / fan_in), fan_in the
       number of inputs of one output: the weight's second size times the size of the kernel; bias 0.
    2. Normalisation (batch, instance, layer, group, RMS, subclasses too): weight 1, bias 0, running mean 0, running variance 1,
       batch counter 0.
    3. Any other parameter, decided by the parameter's own name and shape: a name that ends in ``weight`` with two or more
       dimensions is a weight matrix (an attention's joint projection) and follows rule 1; a vector or scalar (one
       dimension longer than 1 at most) whose name contains weight, gamma, gain, scale or temperature multiplies, and is 1; all
       else is added (position tables, tokens, biases), and is 0.

    Other buffers (masks, index tables) stay. Values are drawn in float32 on the CPU and copied to the parameter's device
    and type, so they agree between devices. A parameter that several modules share is drawn once, under its first name.

    Args:
        module: any network with materialised parameters.
        seed: the scoring's seed.
        variance: of a weight, times fan_in; None for N(0, 1) whatever fan_in.

    Raises:
        ProxyUsageError: no plain module, see :func:`proxies.measuring.plain.check_plain`.
    """
    check_plain(module)
    for name, parameter in module.named_parameters():
        owner_name, _, leaf = name.rpartition(".")
        _fill(parameter, leaf, module.get_submodule(owner_name), seed, name, variance)
    for submodule in module.modules():
        if isinstance(submodule, _NormBase):
            submodule.reset_running_stats()


def _fill(parameter: Tensor, leaf: str, owner: nn.Module, seed: int, name: str, variance: float | None) -> None:
    if isinstance(owner, (_ConvNd, nn.Linear)) and leaf in ("weight", "bias"):
        kaiming, constant = leaf == "weight", 0.0
    elif isinstance(owner, _NORMS) and leaf in ("weight", "bias"):
        kaiming, constant = False, float(leaf == "weight")
    else:
        kaiming = leaf.endswith("weight") and parameter.dim() >= 2
        vector = sum(size > 1 for size in parameter.shape) <= 1
        constant = float(vector and any(word in leaf.lower() for word in _MULTIPLIERS))
    if kaiming and parameter.dim() >= 2:
        fan_in = parameter.numel() // parameter.shape[0]
        noise = torch.empty(parameter.shape, dtype=torch.float32)
        spread = 1.0 if variance is None else math.sqrt(variance / fan_in)
        noise.normal_(0.0, spread, generator=generator(seed, "parameter", name))
        parameter.copy_(noise)
    else:
        parameter.fill_(constant)
