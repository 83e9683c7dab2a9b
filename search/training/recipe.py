"""The recipe of a short training: the same for all networks that are compared, so small that many can be trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

PRECISIONS = ("float32", "bfloat16")


@dataclass
class Recipe:
    """AdamW, one cycle of the learning rate (linear up, cosine down), random shifts and flips.

    Attributes:
        epochs: passes over the training images.
        batch: images per step; the rest of an epoch that does not fill one is left out.
        rate: peak learning rate.
        weight_decay: of weights of two or more dimensions; biases, norms and scales have none.
        warmup: share of all steps in which the learning rate grows.
        smoothing: of the labels.
        shift: pixels by which a stored image is shifted at most, each way; what comes in is its own mirrored border.
        flip: mirror every second image.
        clip: largest L2 norm of the gradient.
        precision: of the forward pass: float32, or bfloat16 by autocast.
    """

    epochs: int = 3
    batch: int = 128
    rate: float = 2e-3
    weight_decay: float = 0.05
    warmup: float = 0.2
    smoothing: float = 0.0
    shift: int = 4
    flip: bool = True
    clip: float = 1.0
    precision: str = "float32"

    def as_dict(self) -> dict[str, Any]:
        """Give the recipe as JSON-able data."""
        return asdict(self)
