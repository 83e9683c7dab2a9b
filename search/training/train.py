"""Train one network by a recipe, and judge it. One process, one device; one seed gives one accuracy, bit by bit on CPUs.

    trained = train(module, train_images, held_images, Recipe(), size=(64, 64), seed=0)
    trained.top1                                   percent of the held-out images, after the last epoch

The images wait as bytes at their own size. Each batch is shifted, flipped, normalised by the training images' own mean and
deviation per channel, and resized to what the network reads: so a network for 64 pixels is trained on CIFAR's 32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from search.training.images import Split
from search.training.recipe import Recipe

_HELD_BATCH = 500


class DivergedError(Exception):
    """The loss is not finite any more."""


@dataclass(frozen=True)
class Epoch:
    """What came out of an epoch: mean loss of its steps, then loss and top-1 in percent of the held-out images."""

    train_loss: float
    loss: float
    top1: float


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        epochs: one after the other.
        images: read in training, with repetitions.
    """

    epochs: tuple[Epoch, ...]
    images: int

    @property
    def top1(self) -> float:
        """Accuracy on the held-out images after the last epoch, in percent."""
        return self.epochs[-1].top1

    def as_dict(self) -> dict[str, Any]:
        """Give it as JSON-able data."""
        return {"images": self.images, "epochs": [{name: round(one, 6) for name, one in asdict(e).items()} for e in self.epochs]}


def train(
    module: nn.Module, train: Split, held: Split, recipe: Recipe, *, size: tuple[int, int], seed: int, device: str
) -> Trained:
    """Train a network that has its initial weights.

    Args:
        module: images (B, 3, H, W) -> logits (B, classes).
        train: images to learn from.
        held: images to judge by.
        recipe: of the training.
        size: (H, W) in pixels that the network reads.
        seed: of the order of the images, their shifts and flips, and what the network draws.
        device: of torch.

    Raises:
        DivergedError: a loss that is not finite.
        ValueError: fewer images than a batch.
    """
    steps = len(train.labels) // recipe.batch
    if steps == 0:
        raise ValueError(f"expected at least one batch of {recipe.batch} images to train on; got {len(train.labels)}")
    draw = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    read = _Reader(train, recipe, size, device)
    optimiser = torch.optim.AdamW(_groups(module, recipe.weight_decay), lr=recipe.rate)
    total = recipe.epochs * steps
    rising = recipe.warmup if abs(recipe.warmup * total - 1) > 1e-6 else (1 + 1e-6) / total  # torch divides by zero at one step
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=total, pct_start=rising, cycle_momentum=False
    )
    found = []
    for number in range(recipe.epochs):
        module.train()
        sum_of_losses = torch.zeros((), dtype=torch.float64, device=device)
        for images, labels in read.shuffled(draw):
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                logits = module(images)
            loss = functional.cross_entropy(logits.float(), labels, label_smoothing=recipe.smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(module.parameters(), recipe.clip)
            optimiser.step()
            schedule.step()
            sum_of_losses += loss.detach()
        mean = float(sum_of_losses) / steps
        if not math.isfinite(mean):
            raise DivergedError(f"the loss is {mean} in epoch {number + 1}")
        found.append(Epoch(mean, *_judge(module, read, held, device)))
    return Trained(tuple(found), recipe.epochs * steps * recipe.batch)


def _groups(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Sort parameters into those that decay and those that do not: biases, norms, scales."""
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for parameter in module.parameters():
        groups[parameter.ndim < 2].append(parameter)
    return [{"params": groups[0], "weight_decay": decay}, {"params": groups[1], "weight_decay": 0.0}]


class _Reader:
    """Makes batches of stored images: float, normalised, as large as the network reads them."""

    def __init__(self, train: Split, recipe: Recipe, size: tuple[int, int], device: str) -> None:
        self._train, self._recipe, self._size, self._device = train, recipe, size, device
        every = train.images[:: max(1, len(train.images) // 5000)].float()  # a mean of so many is exact enough
        self._mean = every.mean((0, 2, 3)).view(1, 3, 1, 1).to(device)
        self._deviation = every.std((0, 2, 3)).clamp_min(1e-3).view(1, 3, 1, 1).to(device)

    def shuffled(self, draw: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        """Give all full batches of an epoch, in random order, each image shifted and flipped."""
        order = torch.randperm(len(self._train.labels), generator=draw)
        for chosen in torch.split(order, self._recipe.batch):
            if len(chosen) == self._recipe.batch:
                yield self.made(self._moved(chosen, draw)), self._train.labels[chosen].to(self._device)

    def made(self, images: Tensor) -> Tensor:
        """Normalise images, uint8 (B, 3, h, w), and resize them: float32 (B, 3, H, W)."""
        images = (images.to(self._device).float() - self._mean) / self._deviation
        if tuple(images.shape[2:]) != self._size:
            images = functional.interpolate(images, self._size, mode="bilinear", antialias=False)
        return images.contiguous(memory_format=torch.channels_last)

    def _moved(self, chosen: Tensor, draw: torch.Generator) -> Tensor:
        """Give the chosen images, each moved by its own number of rows and columns, and every second mirrored."""
        images, shift, count = self._train.images, self._recipe.shift, len(chosen)
        rows, columns = (_mirrored(side, shift, count, draw) for side in images.shape[2:])
        if self._recipe.flip:
            flipped = torch.rand(count, generator=draw) < 0.5
            columns = torch.where(flipped[:, None], columns.flip(1), columns)
        place = torch.arange(images.shape[1])
        return images[chosen[:, None, None, None], place[:, None, None], rows[:, None, :, None], columns[:, None, None, :]]


def _mirrored(side: int, shift: int, count: int, draw: torch.Generator) -> Tensor:
    """Draw `count` shifts of a side and give which stored row each row is, (count, side); beyond the border it is mirrored.

    A shift of 2 to the left on a side of 5: rows 2 3 4 3 2.
    """
    by = torch.randint(-shift, shift + 1, (count, 1), generator=draw)
    place = torch.arange(side) + by
    last = side - 1
    return last - (last - place.abs()).abs()


@torch.no_grad()
def _judge(module: nn.Module, read: _Reader, held: Split, device: str) -> tuple[float, float]:
    """Give mean loss and top-1 in percent of the held-out images."""
    module.eval()
    loss, right = 0.0, 0
    for images, labels in zip(torch.split(held.images, _HELD_BATCH), torch.split(held.labels, _HELD_BATCH), strict=True):
        logits, answers = module(read.made(images)).float(), labels.to(device)
        loss += float(functional.cross_entropy(logits, answers, reduction="sum"))
        right += int((logits.argmax(1) == answers).sum())
    if not math.isfinite(loss):
        raise DivergedError(f"the loss of the held-out images is {loss}")
    return loss / len(held.labels), 100 * right / len(held.labels)
