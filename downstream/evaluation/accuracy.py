"""How good trained weights are: top-1 and top-5 of a classifier, pictures a second."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from downstream.data.pictures import readable
from uninas.errors import InputError

__all__ = ["Accuracy", "accuracy"]


@dataclass(frozen=True)
class Accuracy:
    """What an evaluation found.

    Attributes:
        top1, top5: in percent of the pictures that could be read.
        loss: mean cross-entropy.
        pictures: that were looked at.
        unreadable: numbers of those that could not be.
        pictures_per_second: of this process, loading included.
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
        batches: pictures and classes, see `downstream.data.pictures`.
        device: of the model.
        distributed: add up over all processes, each of which has its own part.

    Raises:
        InputError: no picture can be read.
    """
    model.eval()
    clock = time.perf_counter()
    sums = torch.zeros(4, dtype=torch.float64, device=device)  # top-1, top-5, loss, pictures
    bad = list[Tensor]()
    for pictures, targets in batches:
        there, unreadable = readable(targets.to(device))
        bad.append(unreadable.cpu())
        logits, wanted = model(pictures.to(device)).float()[there], targets.to(device)[there]
        best = logits.topk(min(5, logits.shape[1]), 1).indices == wanted[:, None]
        loss = functional.cross_entropy(logits, wanted, reduction="sum")
        sums += torch.stack([best[:, 0].sum(), best.sum(), loss.double(), torch.tensor(len(wanted), device=device)]).double()
    seen = int(sums[3])
    seconds = time.perf_counter() - clock
    if distributed:
        torch.distributed.all_reduce(sums)
    top1, top5, loss, count = sums.tolist()
    if not count:
        raise InputError("expected pictures to evaluate on; none can be read")
    return Accuracy(
        100 * top1 / count, 100 * top5 / count, loss / count, int(count),
        tuple(torch.cat(bad).tolist()) if bad else (), seen / seconds,
    )  # fmt: skip
