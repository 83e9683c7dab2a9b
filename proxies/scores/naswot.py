"""Proxies of activation codes over a whole network: NASWOT and the number of linear regions."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from proxies.errors import ProxyFailure
from proxies.measuring.codes import CodeKernel, log_determinant, switches
from proxies.measuring.state import run, scoring
from proxies.measuring.training_pass import part

__all__ = ["linear_regions", "naswot"]


def naswot(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """NASWOT (Mellor et al., ICML 2021): ln det K, K = N_A - Hamming distances between the samples' activation codes.

    Training mode, so batch norms centre what the rectifiers see. See :class:`proxies.measuring.codes.CodeKernel` for codes and
    units, and for a rectifier that several layers read.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``, at least two samples.
        seed: what stochastic modules would draw from.

    Raises:
        ProxyFailure: ``no_activations``; ``singular_kernel`` where samples have equal codes; ``too_few_samples``,
            ``batch_norm_one_value``, ``output_shape``.
    """
    if len(inputs) < 2:
        raise ProxyFailure("too_few_samples", f"codes are compared between at least 2 samples, got {len(inputs)}")
    kernel: CodeKernel = part("codes", module, inputs, seed=seed)
    value = log_determinant(kernel.required())
    if value is None:
        raise ProxyFailure("singular_kernel", f"some of the {len(inputs)} samples have the same activation code")
    return value


def linear_regions(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """The number of linear regions that a batch visits (TE-NAS; Chen et al., ICLR 2021): distinct activation codes among it.

    Evaluation mode. The number tells networks apart only while it is below the batch: TE-NAS counts on a thin copy of the network
    (one cell a stage, one channel) with a thousand inputs of 1 x 3 x 3.

    Args:
        module: any network. Left as it was found.
        inputs: shape ``(batch, ...)``.
        seed: what stochastic modules would draw from.

    Raises:
        ProxyFailure: ``no_activations``, ``output_shape``.
    """
    rows = _Rows(len(inputs))
    with scoring(module, train=False, seed=seed), torch.no_grad(), rows:
        run(module, inputs)
    if not rows.seen:
        raise ProxyFailure("no_activations", "the network calls no activation function that switches (ReLU, GELU, SiLU, ...)")
    return float(len({digest.digest() for digest in rows.digests}))


class _Rows(TorchFunctionMode):
    """A digest of each sample's code, activation after activation."""

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.digests = [hashlib.blake2b(digest_size=16) for _ in range(samples)]
        self.seen = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        samples = len(self.digests)
        if switches(func) and args and isinstance(args[0], Tensor) and args[0].dim() > 1 and args[0].shape[0] % samples == 0:
            self.seen = True
            codes = (args[0].detach().reshape(samples, -1) > 0).to("cpu").numpy()
            for digest, code in zip(self.digests, codes, strict=True):
                digest.update(code.tobytes())
        return func(*args, **(kwargs or {}))
