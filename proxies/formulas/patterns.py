"""Sample-wise activation patterns: for which samples of a batch a unit is on, and how many such patterns there are."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["distinct_patterns"]

_BITS = 21  # sums of powers of two below 2^24 are exact in float32; three such words make one of 63 bits


def distinct_patterns(codes: Tensor) -> int:
    """The number of different columns of a boolean matrix.

    Columns are compared exactly: up to 63 samples as one whole number, more of them word by word, the number of a column among
    the different ones so far standing for what came before.

    Args:
        codes: shape ``(samples, units)``.
    """
    samples, units = codes.shape
    if units == 0:
        return 0
    key: Tensor | None = None
    for start in range(0, samples, _BITS):
        part = codes[start : start + _BITS]
        powers = 2.0 ** torch.arange(len(part), device=codes.device, dtype=torch.float32)
        word = (powers @ part.to(torch.float32)).long()
        if key is None:
            key, used = word, len(part)
            continue
        if used + _BITS > 63:
            key, used = torch.unique(key, return_inverse=True)[1], units.bit_length()
        key, used = (key << _BITS) | word, used + _BITS
    assert key is not None
    ordered = key.sort().values
    return 1 + int((ordered[1:] != ordered[:-1]).sum())
