"""What the tests of the space share where torch runs: values for weights, distances, a counter of executed MACs."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


def carried(state: dict[str, Any], renamed: dict[str, str]) -> dict[str, Any]:
    """A state dict under the new names of its layers."""
    made = {}
    for name, value in state.items():
        layer, _, leaf = name.rpartition(".")
        made[f"{renamed.get(layer, layer)}.{leaf}"] = value
    return made


def scramble(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every parameter and running statistic a value that no symmetry hides (tables and norms start at 0 and 1); in place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if not value.is_floating_point():
                continue
            drawn = torch.randn(value.shape, generator=generator, dtype=torch.float64).to(value.dtype)
            if value.dim() == 4:
                value.copy_(drawn / (value[0].numel() ** 0.5))
            elif value.dim() == 2:
                value.copy_(drawn / value.shape[1] ** 0.5)
            elif name.endswith("running_var"):
                value.copy_(1 + 0.3 * drawn.tanh())
            elif name.endswith("weight"):
                value.copy_(1 + 0.3 * drawn)
            else:
                value.copy_(0.3 * drawn)
    return module


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Normal numbers from a generator of its own."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, relative to the largest entry."""
    one, other = one.detach(), other.detach()
    return float((one - other).abs().max() / other.abs().max().clamp_min(1e-300))


class MacCounter(TorchDispatchMode):
    """Counts the multiply-adds of the convolutions, linear layers and matrix products that torch really executes."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if "backward" in name:
            return made
        if name in ("convolution", "_slow_conv2d_forward", "mkldnn_convolution"):
            weight = args[1]
            self.macs += made.numel() * weight[0].numel()
        elif name in ("mm", "bmm"):
            self.macs += made.numel() * args[0].shape[-1]
        elif name == "addmm":
            self.macs += made.numel() * args[1].shape[-1]
        elif name.startswith("_scaled_dot_product"):
            q, k, v = args[:3]
            self.macs += q.shape[0] * q.shape[1] * q.shape[2] * k.shape[2] * (q.shape[3] + v.shape[3])
        elif "upsample" not in name and any(part in name for part in ("matmul", "conv", "linear", "addbmm", "addmv")):
            raise AssertionError(f"{name} is not counted")
        return made


def executed_macs(module: torch.nn.Module, size: tuple[int, int], channels: int = 3, device: str = "cpu") -> int:
    """Multiply-adds that one forward pass of batch 1 executes."""
    counter = MacCounter()
    training = module.training
    module.eval()
    with torch.no_grad(), counter:
        module(torch.zeros(1, channels, *size, device=device))
    module.train(training)
    return counter.macs
