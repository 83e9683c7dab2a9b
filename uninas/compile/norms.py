"""Normalisation that torch has in another way."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GroupNorm(nn.GroupNorm):
    """torch's GroupNorm, also over one entry: its deviation from the mean is 0, so the result is the bias but for rounding.

    torch raises there, in evaluation mode too, as for the one value of a batch: `functional.group_norm` shares the check of
    batch norms, whose statistics a batch of one would spoil. Groups have none.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return what torch's returns, of the same shape."""
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps, torch.backends.cudnn.enabled)
