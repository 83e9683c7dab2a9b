"""Binary activation codes: which of a network's units are on for which sample.

NASWOT (Mellor et al. 2021) reads the codes of the rectifiers. Here a unit is an entry of the input of any activation function
that switches at or near zero (ReLU and its kin, GELU, SiLU, ...), called as a module or as a function; it is on where that
input is positive. Where the codes of two samples differ, the network treats them differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from proxies.errors import ProxyFailure

__all__ = ["CodeKernel", "agreement", "log_determinant", "switches"]

_NAMES = frozenset(
    name + ending
    for name in (
        "relu",
        "relu6",
        "gelu",
        "silu",
        "mish",
        "hardswish",
        "leaky_relu",
        "prelu",
        "rrelu",
        "elu",
        "celu",
        "selu",
        "softplus",
        "hardtanh",
        "threshold",
    )
    for ending in ("", "_")
)


def switches(function: Any) -> bool:
    """Whether a torch function, as a function mode sees it, is an activation function that switches."""
    return getattr(function, "__name__", "") in _NAMES


class CodeKernel:
    """K = sum over activations of (units - Hamming distance) between the codes of each two samples.

    An activation that several convolution or linear layers read counts once for each of them: whether layers share a rectifier or
    each has its own of the same map is a matter of writing, and must not show in a score.

    Attributes:
        samples: B, the first dimension of every activation that counts; others (windows, weights) are folded into B where they
            are a whole multiple of it.
        units: number of units seen so far, N_A.
        kernel: shape ``(B, B)``, float64: how many units two samples have in the same state.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.units = 0
        self.kernel: Tensor | None = None
        self._made: dict[int, _Made] = {}  # by the identity of an activation's result, which is kept so that it stays unique

    def add(self, activation: Tensor) -> _Made | None:
        """Count one activation's input, shape ``(B, ...)`` or ``(B x windows, ...)``."""
        if activation.numel() == 0 or activation.shape[0] % self.samples:
            return None
        made = _Made(agreement(codes_of(activation, self.samples)), activation.numel() // self.samples)
        self._count(made)
        return made

    def _count(self, made: _Made) -> None:
        self.units += made.units
        self.kernel = made.kernel if self.kernel is None else self.kernel + made.kernel

    def remember(self, result: Tensor, made: _Made) -> None:
        """Note which tensor an activation made, so that its readers are seen."""
        made.result = result
        self._made[id(result)] = made

    def read(self, given: Tensor) -> None:
        """Note that a layer reads a tensor; the first reader of an activation is counted already."""
        made = self._made.get(id(given))
        if made is not None:
            made.readers += 1
            if made.readers > 1:
                self._count(made)

    def required(self) -> Tensor:
        """The kernel. Raises ProxyFailure ``no_activations`` where the network has none that switches."""
        if self.kernel is None:
            raise ProxyFailure("no_activations", "the network calls no activation function that switches (ReLU, GELU, SiLU, ...)")
        return self.kernel

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Count every activation that runs inside, forward passes only; layers are reported to :meth:`read`."""
        try:
            with _Switches(self):
                yield
        finally:
            self._made.clear()  # the activations themselves are not to outlive the pass


@dataclass
class _Made:
    """One activation: its kernel and units, the tensor it made, how many layers have read that."""

    kernel: Tensor
    units: int
    result: Tensor | None = None
    readers: int = 0


class _Switches(TorchFunctionMode):  # of functions: a mode of the dispatcher would have torch round some results differently
    def __init__(self, kernel: CodeKernel) -> None:
        super().__init__()
        self._kernel = kernel

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = None
        if switches(func) and args and isinstance(args[0], Tensor) and args[0].dim() > 1:
            made = self._kernel.add(args[0])  # before it runs: it may work in place
        result = func(*args, **(kwargs or {}))
        if made is not None and isinstance(result, Tensor):
            self._kernel.remember(result, made)
        return result


def codes_of(values: Tensor, samples: int) -> Tensor:
    """Which units are on, above zero: boolean ``(samples, units)``, the units in the order in which they lie in memory."""
    on = values.detach() > 0
    if on.dim() == 4 and on.is_contiguous(memory_format=torch.channels_last):
        on = on.permute(0, 2, 3, 1)
    return on.reshape(samples, -1)


def agreement(codes: Tensor) -> Tensor:
    """For each two rows of a boolean matrix ``(B, units)`` in how many columns they agree: ``(B, B)``, float64.

    Of codes of 0 and 1 the product counts where both are on; what is on in neither follows from the diagonal. Sums of whole
    numbers below 2^24 are exact in float32, and longer rows are cut.
    """
    samples, units = codes.shape
    both = torch.zeros(samples, samples, dtype=torch.float64, device=codes.device)
    for part in torch.split(codes, 1 << 24, dim=1):
        on = part.to(torch.float32)
        both += (on @ on.T).double()
    count = both.diagonal()
    return 2 * both - count - count[:, None] + units


def log_determinant(kernel: Tensor) -> float | None:
    """ln det of a symmetric positive semidefinite kernel, or None where it is singular (two equal codes, say).

    The kernel holds whole numbers, so a determinant below rounding is a zero: eigenvalues up to B x 2^-52 of the largest are 0.
    """
    values = torch.linalg.eigvalsh(kernel.to(torch.float64))
    if float(values[-1]) <= 0 or float(values[0]) <= float(values[-1]) * len(values) * 2.0**-52:
        return None
    return float(values.log().sum())
