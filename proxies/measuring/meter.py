"""Counting what one forward pass executes: products and sizes of results, operation by operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

__all__ = ["Meter"]


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches the operations below it, after torch has broken composite ones into primitives.

    Attributes:
        macs: multiply-accumulates so far: those of convolutions, and of matrix products whichever way they are written
            (linear, matmul, einsum, bmm, scaled_dot_product_attention). Additions of biases, norms, activations and
            elementwise products count nothing.
        results: for each operation so far, the number of elements of its largest result.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = 0
        self.results: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in flop_registry and func is not torch.ops.prim.device.default:
            with self:  # what an unknown composite operation is made of is counted instead of it
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if func._overloadpacket in flop_registry:
            flops = flop_registry[func._overloadpacket](*args, **kwargs, out_val=result)
            self.macs += flops // 2  # the registry counts a multiplication and an addition apart
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if sizes and not func.is_view:
            self.results.append(max(sizes))
        return result
