"""Which modules count as layers: what a network that knows its own graph says, and the rule for all others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from proxies.errors import ProxyUsageError
from proxies.measuring.state import scoring

__all__ = ["execution_order", "layers_and_norms", "padding_of", "scoring_layers"]


def scoring_layers(module: nn.Module, example: Tensor) -> list[tuple[str, nn.Module]]:
    """The convolution and linear layers of a network, in forward order.

    A module that has a method ``scoring_layers()`` is asked: it knows the order of its graph. Any other is served by the default
    rule: instances of ``nn.Conv2d`` and ``nn.Linear`` (subclasses too) in the order of their first call during one forward
    pass, a module that is called several times counted once. Layers that are never called as modules, such as unused
    ones or the projections inside ``nn.MultiheadAttention``, are not counted.

    Args:
        module: any network.
        example: a batch it accepts; one sample of it is used.

    Returns:
        Pairs of a name and the layer.

    Raises:
        ProxyUsageError: the module's own method returned something else than pairs of a name and a module.
    """
    if hasattr(module, "scoring_layers"):
        return offered(module, "scoring_layers")
    candidates = [(name, layer) for name, layer in module.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]
    return execution_order(module, candidates, example)


def layers_and_norms(module: nn.Module, example: Tensor) -> list[tuple[str, nn.Module]]:
    """The innermost modules that own a parameter called weight, norms among them, in the order of their first call."""
    candidates = [
        (name, layer)
        for name, layer in module.named_modules()
        if layer._parameters.get("weight") is not None and next(layer.children(), None) is None
    ]
    return execution_order(module, candidates, example)


def offered(module: nn.Module, name: str) -> list[tuple[str, nn.Module]]:
    """What a network's own method of that name returned, checked: pairs of a name and a module."""
    method: Any = getattr(module, name)
    answer = method()
    if not isinstance(answer, (list, tuple)):
        raise ProxyUsageError(f"{name}(): expected a list of (name, module) pairs, got {type(answer).__name__}")
    for index, pair in enumerate(answer):
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[1], nn.Module)):
            raise ProxyUsageError(f"{name}()[{index}]: expected a (name, module) pair, got {pair!r:.80}")
    return list(answer)


def execution_order(
    module: nn.Module, candidates: Sequence[tuple[str, nn.Module]], example: Tensor
) -> list[tuple[str, nn.Module]]:
    """The candidates that one forward pass of one sample calls, in the order of their first call."""
    names = {id(layer): (name, layer) for name, layer in candidates}
    seen: dict[int, None] = {}
    handles = [
        layer.register_forward_pre_hook(lambda called, _: seen.setdefault(id(called), None) and None) for _, layer in candidates
    ]
    try:
        with scoring(module, train=False), torch.no_grad():
            module(example[:1])
    finally:
        for handle in handles:
            handle.remove()
    return [names[key] for key in seen]


def padding_of(layer: nn.Conv2d) -> list[int]:
    """Rows and columns added around the input, in the order of torch's pad: left, right, top, bottom."""
    padding: list[int] = []
    for dimension in (1, 0):
        if layer.padding == "valid":
            before = after = 0
        elif layer.padding == "same":
            total = layer.dilation[dimension] * (layer.kernel_size[dimension] - 1)
            before, after = total // 2, total - total // 2  # an odd total pads the far side more, as torch does
        else:
            before = after = int(layer.padding[dimension])
        padding += [before, after]
    return padding
