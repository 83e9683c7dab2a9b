"""A zero-cost (training-free) proxy: how differently an untrained network answers to different inputs.

uninas search docs/extend/examples/proxy.yaml
"""

import torch
from torch import Tensor, nn

import proxies


@proxies.register("logit_spread", meaning="how differently it answers to different inputs before training")
def logit_spread(network: nn.Module, batch: Tensor) -> float:
    """Give the standard deviation of the logits over the batch, relative to their size; batch (B, C, H, W)."""
    with torch.no_grad():
        logits: Tensor = network(batch)
    return float(logits.std(0).mean() / logits.abs().mean())
