"""Compressibility (T-CET; Xiang et al., AutoML 2023): saliency signal-to-noise ratio, layer-wise NASWOT, and their product."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.codes import agreement, codes_of, log_determinant
from proxies.measuring.layers import scoring_layers
from proxies.measuring.shared import shared
from proxies.measuring.state import run, scoring
from proxies.scores.saliency import Saliency, grasp_saliency, snip_saliency
from proxies.scores.synflow import synflow_saliency

__all__ = [
    "layer_log_determinants",
    "lnwot",
    "signal_to_noise",
    "ssnr_grasp",
    "ssnr_grasp_log",
    "ssnr_snip",
    "ssnr_snip_log",
    "ssnr_synflow",
    "ssnr_synflow_log",
    "t_cet_snip",
    "t_cet_snip_log",
    "t_cet_synflow",
    "t_cet_synflow_log",
]


def signal_to_noise(saliency: Saliency) -> dict[str, float]:
    """For each layer (sum S) / std(S) over its weights, the standard deviation with 1 / n (T-CET, eq. 3 and 4); float64.

    Where all weights of a layer are equally salient the standard deviation is 0 and the plain sum stands for the ratio.

    Raises:
        ProxyFailure: ``non_finite``.
    """
    ratios = {}
    for name, tensor in saliency.items():
        values = tensor.to(torch.float64)
        signal, spread = float(values.sum()), float(values.max() - values.min())
        noise = float(values.std(correction=0)) if spread > 0 else 0.0  # rounding of the mean would leave some
        if not (math.isfinite(signal) and math.isfinite(noise)):
            raise ProxyFailure("non_finite", f"the saliency of layer {name!r} is NaN or infinite")
        ratios[name] = signal / noise if noise > 0 else signal
    return ratios


@shared
def layer_log_determinants(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> dict[str, float]:
    """For each convolution and linear layer ln det of the code kernel of its input, 0 where that is singular; evaluation mode.

    A unit is an entry of the layer's input, on where positive: behind a rectifier this is its code. The kernel is that of
    :class:`proxies.measuring.codes.CodeKernel`, of one layer; the kernels of several calls of a layer add up.

    Raises:
        ProxyFailure: ``output_shape``, ``non_finite``.
    """
    samples = len(inputs)
    kernels: dict[str, Tensor] = {}
    finite: list[Tensor] = []

    def on_layer(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(layer: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            given = arguments[0].detach()
            finite.append(torch.isfinite(given.sum()))
            if given.shape[0] % samples == 0 and given.numel():
                kernel = agreement(codes_of(given, samples))
                kernels[name] = kernels[name] + kernel if name in kernels else kernel

        return hook

    handles = []
    layers = scoring_layers(module, inputs)
    try:
        for name, layer in layers:
            handles.append(layer.register_forward_pre_hook(on_layer(name)))
        with scoring(module, train=False, seed=seed), torch.no_grad():
            run(module, inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not all(map(bool, finite)):
        raise ProxyFailure("non_finite", "the input of some layer holds NaN or infinity")
    values = {name: log_determinant(kernel) for name, kernel in kernels.items()}
    return {name: values.get(name) or 0.0 for name, _ in layers}


def lnwot(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """Layer-wise NASWOT: the sum of :func:`layer_log_determinants`."""
    return sum(layer_log_determinants(module, inputs, seed=seed).values())


def ssnr_synflow(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """SSNR of SynFlow's saliency: the sum over layers of :func:`signal_to_noise` (T-CET, eq. 4)."""
    return sum(signal_to_noise(synflow_saliency(module, inputs, seed=seed)).values())


def ssnr_synflow_log(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """The sum over layers of the logarithm of SynFlow's signal-to-noise ratio; a layer without saliency adds nothing."""
    return sum(map(_log, signal_to_noise(synflow_saliency(module, inputs, seed=seed)).values()))


def ssnr_snip(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """SSNR of SNIP's saliency: the sum over layers of :func:`signal_to_noise` (T-CET, eq. 4)."""
    return sum(signal_to_noise(snip_saliency(module, inputs, seed=seed, targets=targets)).values())


def ssnr_snip_log(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """The sum over layers of the logarithm of SNIP's signal-to-noise ratio; a layer without saliency adds nothing."""
    return sum(map(_log, signal_to_noise(snip_saliency(module, inputs, seed=seed, targets=targets)).values()))


def ssnr_grasp(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """SSNR of GraSP's saliency, which is signed: the sum over layers of :func:`signal_to_noise` (T-CET, eq. 4)."""
    return sum(signal_to_noise(grasp_saliency(module, inputs, seed=seed, targets=targets)).values())


def ssnr_grasp_log(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """The sum over layers of the logarithm of the size of GraSP's signal-to-noise ratio, whatever its sign."""
    return sum(map(_log, signal_to_noise(grasp_saliency(module, inputs, seed=seed, targets=targets)).values()))


def t_cet_synflow(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """T-CET (eq. 7): the sum over layers of SynFlow's signal-to-noise ratio times the layer's :func:`lnwot` term."""
    return _composed(signal_to_noise(synflow_saliency(module, inputs, seed=seed)), float, module, inputs, seed)


def t_cet_synflow_log(module: nn.Module, inputs: Tensor, *, seed: int = 0) -> float:
    """T-CET with the logarithm of SynFlow's signal-to-noise ratio."""
    return _composed(signal_to_noise(synflow_saliency(module, inputs, seed=seed)), _log, module, inputs, seed)


def t_cet_snip(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """T-CET (eq. 7): the sum over layers of SNIP's signal-to-noise ratio times the layer's :func:`lnwot` term."""
    return _composed(signal_to_noise(snip_saliency(module, inputs, seed=seed, targets=targets)), float, module, inputs, seed)


def t_cet_snip_log(module: nn.Module, inputs: Tensor, *, seed: int = 0, targets: Tensor | None = None) -> float:
    """T-CET with the logarithm of SNIP's signal-to-noise ratio."""
    return _composed(signal_to_noise(snip_saliency(module, inputs, seed=seed, targets=targets)), _log, module, inputs, seed)


def _composed(ratios: dict[str, float], scale: Callable[[float], float], module: nn.Module, inputs: Tensor, seed: int) -> float:
    determinants = layer_log_determinants(module, inputs, seed=seed)
    return sum(scale(ratio) * determinants[layer] for layer, ratio in ratios.items())


def _log(ratio: float) -> float:
    return math.log(abs(ratio)) if ratio else 0.0
