"""Forward mode: tangents that start at a layer's output and are carried along with the activations, several layers at a time."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import jvp, vmap
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from proxies.measuring.state import run
from proxies.vkdnw.weights import ChosenWeight, Derivative, load_forward_rules, weight_derivative

__all__ = ["jacobian_forward"]


def jacobian_forward(
    module: nn.Module, weights: Sequence[ChosenWeight], chunks: Sequence[Sequence[int]], inputs: Tensor
) -> tuple[Tensor, Tensor]:
    """Jacobian of the logits, a chunk of chosen weights at a time.

    For the chunk's weights theta_1 .. theta_K the network is run as a function of shifts e (all zero): each of their layers
    returns y + e_k dy/dtheta_k. Forward mode with K unit tangents then gives K columns; the activations are computed once, and
    what lies before the chunk's first layer carries no tangents at all. A module called several times is shifted at every
    call, so its contributions add up. Nothing is kept for a backward pass.

    Args:
        module: the network, held in evaluation mode with frozen parameters.
        weights: the chosen weights.
        chunks: positions in ``weights``, each at most once; positions that are missing give zeros.
        inputs: shape ``(samples, ...)``.

    Returns:
        The logits, ``(samples, C)``, and the Jacobian, ``(samples, C, chosen weights)``, both float64.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused attention kernels have no forward derivative
        logits = run(module, inputs).to(torch.float64)
        result = torch.zeros(*logits.shape, len(weights), dtype=torch.float64, device=inputs.device)
        for chunk in chunks:
            columns = _columns(module, [weights[place] for place in chunk], inputs)
            result[:, :, list(chunk)] = columns.permute(1, 2, 0).to(torch.float64)
    return logits, result


def _columns(module: nn.Module, weights: Sequence[ChosenWeight], inputs: Tensor) -> Tensor:
    """Derivatives of the logits by a few weights, shape ``(weights, samples, C)`` in the network's floating type."""

    def shifted(shifts: Tensor) -> Tensor:
        handles = []

        def on_layer(place: int, weight: ChosenWeight):  # type: ignore[no-untyped-def]
            def hook(layer: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
                derivative = weight_derivative(layer, weight.index, arguments[0], output, weight.parameter)
                return _add(output, shifts[place], derivative)

            return hook

        try:
            for place, weight in enumerate(weights):
                for layer in weight.modules:
                    handles.append(layer.register_forward_hook(on_layer(place, weight)))
            return run(module, inputs)
        finally:
            for handle in handles:
                handle.remove()

    load_forward_rules()
    count = len(weights)
    zeros = torch.zeros(count, dtype=inputs.dtype, device=inputs.device)
    units = torch.eye(count, dtype=inputs.dtype, device=inputs.device)
    with warnings.catch_warnings():
        # Few operations have no batched rule and are run tangent by tangent: slower, equally right, and not counted.
        warnings.filterwarnings("ignore", message="There is a performance drop")
        return vmap(lambda unit: jvp(shifted, (zeros,), (unit,))[1])(units)  # type: ignore[no-any-return]


def _add(output: Tensor, shift: Tensor, derivative: Derivative) -> Tensor:
    value = shift * derivative.value
    if derivative.axis is None:
        return output + value
    value = value.unsqueeze(derivative.axis)
    behind = output.dim() - 1 - derivative.axis
    edges = (derivative.channel, output.shape[derivative.axis] - derivative.channel - 1)
    return output + functional.pad(value, (0, 0) * behind + edges)
