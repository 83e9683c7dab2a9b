"""How good trained weights are: top-1 and top-5 of a classifier, images/s."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from downstream.data.images import readable
from uninas.errors import InputError

__all__ = ["Accuracy", "accuracy"]


@dataclass(frozen=True)
class Accuracy:
    """The result of an evaluation.

    Attributes:
        top1, top5: in percent of the images that can be read.
        loss: mean cross-entropy.
        pictures: number of images that were evaluated.
        unreadable: numbers of the images that could not be read.
        pictures_per_second: images/s of this process, including loading.
    """

    top1: float
    top5: float
    loss: float
    pictures: int
    unreadable: tuple[int, ...]
    pictures_per_second: float


@torch.no_grad()
def accuracy(model: nn.Module, batches: Iterable[Any], device: torch.device, *, distributed: bool = False) -> Accuracy:
    """Evaluate a classifier.

    Args:
        model: (B, 3, H, W) -> (B, classes); left in evaluation mode.
        batches: images and classes, see `downstream.data.images`.
        device: of the model.
        distributed: sum over all processes, each of which evaluates its own part.

    Raises:
        InputError: none of the images can be read.
    """
    model.eval()
    clock = time.perf_counter()
    sums = torch.zeros(4, dtype=torch.float64, device=device)  # top-1, top-5, loss, images
    bad = list[Tensor]()
    for images, targets in batches:
        there, unreadable = readable(targets.to(device))
        bad.append(unreadable.cpu())
        logits, wanted = model(images.to(device)).float()[there], targets.to(device)[there]
        best = logits.topk(min(5, logits.shape[1]), 1).indices == wanted[:, None]
        loss = functional.cross_entropy(logits, wanted, reduction="sum")
        sums += torch.stack([best[:, 0].sum(), best.sum(), loss.double(), torch.tensor(len(wanted), device=device)]).double()
    seen = int(sums[3])
    seconds = time.perf_counter() - clock
    if distributed:
        torch.distributed.all_reduce(sums)
    top1, top5, loss, count = sums.tolist()
    if not count:
        raise InputError("expected images to evaluate; none can be read")
    return Accuracy(
        100 * top1 / count,
        100 * top5 / count,
        loss / count,
        int(count),
        tuple(torch.cat(bad).tolist()) if bad else (),
        seen / seconds,
    )
