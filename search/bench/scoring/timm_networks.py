"""The networks of timm, freshly initialised. The only file of `search` that knows timm; no weights are ever downloaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import proxies
from uninas.runtime.torchvision_repair import repair

repair()

import timm  # noqa: E402 after the repair, without which the import may fail


@dataclass(frozen=True)
class Description:
    """A pretrained model of timm.

    Attributes:
        module: the file of timm that defines it, such as "regnet": an architecture family.
        tag: what stands behind the point in its name: the recipe it was trained by.
        input_shape: (C, H, W) it was trained at.
        fixed: it takes no other size unless it is built for it.
    """

    module: str
    tag: str
    input_shape: tuple[int, int, int]
    fixed: bool


def describe(name: str) -> Description | None:
    """Describe a model by its full name, such as "regnetx_002.pycls_in1k"; None where this timm does not know it."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        return None
    try:
        config = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:  # a tag that this timm has no weights for
        return None
    if config is None:
        return None
    module = timm.model_entrypoint(architecture).__module__.rpartition(".")[2]
    channels, height, width = config.input_size
    return Description(module, tag, (channels, height, width), bool(config.fixed_input_size))


def build(name: str, *, classes: int, input_shape: tuple[int, int, int], **network: Any) -> nn.Module:
    """Build a model with fresh weights.

    Args:
        name: of a pretrained model.
        classes: outputs.
        input_shape: (C, H, W); a model of fixed size is built for it.
        network: more arguments of timm's builder.

    Raises:
        ValueError: timm does not know the model.
    """
    known = describe(name)
    if known is None:
        raise ValueError(f"expected a model of timm {timm.__version__}; got '{name}'")
    if known.fixed and input_shape != known.input_shape:
        network = {"img_size": input_shape[1:], **network}
    module: nn.Module = timm.create_model(
        name.partition(".")[0], pretrained=False, num_classes=classes, in_chans=input_shape[0], **network
    )
    return module


def macs(name: str, *, classes: int, input_shape: tuple[int, int, int]) -> int:
    """Count the multiply-accumulates of one sample, without allocating a weight.

    Raises:
        RuntimeError, TypeError, ValueError: the model cannot be built, or not run on the meta device.
    """
    with torch.device("meta"):
        module = build(name, classes=classes, input_shape=input_shape).eval()
    return round(proxies.PROXIES["flops"](module, torch.empty(1, *input_shape, device="meta"), seed=0))
