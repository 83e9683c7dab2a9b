"""Which modules can be given fresh values and be looked into: a plain `nn.Module` whose layers own their weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from proxies.errors import ProxyUsageError

__all__ = ["check_plain"]


def check_plain(module: nn.Module) -> None:
    """Refuse what would get other values than its like, or hide its layers; the message says what to score in its place.

    Raises:
        ProxyUsageError: a submodule is compiled or scripted; its parameters have no shape yet; its weight is computed of others
            at each pass (weight norm, spectral norm, pruning); or it was made in inference mode.
    """
    for name, part in module.named_modules():
        where = f"layer {name!r}" if name else "the network"
        if isinstance(part, torch.jit.ScriptModule):
            raise ProxyUsageError(f"{where}: expected a plain module, got one of torch.jit: score the module that it was made of")
        if hasattr(part, "_orig_mod") or getattr(part, "_compiled_call_impl", None) is not None:
            raise ProxyUsageError(
                f"{where}: expected a plain module, got one of torch.compile: score the module before it is compiled "
                "(torch.compile keeps it as _orig_mod)"
            )
        if is_parametrized(part):
            raise ProxyUsageError(
                f"{where}: expected a layer that owns its weight, got parametrizations of {', '.join(part.parametrizations)}: "
                "take them away first, with torch.nn.utils.parametrize.remove_parametrizations"
            )
        for hook in part._forward_pre_hooks.values():
            if type(hook).__module__.startswith("torch.nn.utils."):
                kind = type(hook).__name__
                raise ProxyUsageError(
                    f"{where}: expected a layer that owns its weight, got torch's {kind}, which computes it at each pass: remove "
                    f"it first, with {_REMOVERS.get(kind, 'torch.nn.utils.prune.remove')}"
                )
        for leaf, tensor in (*part._parameters.items(), *part._buffers.items()):
            if tensor is None:
                continue
            if is_lazy(tensor):
                raise ProxyUsageError(
                    f"{where}: expected a shape of {leaf}, got none: run the network on a batch first (it is lazy)"
                )
            if tensor.is_inference():
                raise ProxyUsageError(
                    f"{where}: expected {leaf} to be an ordinary tensor, got one of inference mode: make the network outside of "
                    "torch.inference_mode, or a deepcopy of it"
                )


_REMOVERS = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm",
}
