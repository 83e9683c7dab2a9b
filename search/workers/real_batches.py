"""Real images for the scores of a search: drawn from a folder where the search runs, held wherever it is scored.

    batches = RealBatches(Path("images"), count=128, classes=10, size=(64, 64))
    batches.draw(seeds)                 in the process that searches, once: reads the images, and gives warnings
    batches.of(seed)                    the digest of that seed's batch, which a job names
    held(), hold(held())                all batches as data that travels, and in a worker, on any machine: have them
    images(digest)                      there: what the network is fed

A seed that is held out draws its own images too: that a score is right for other images is part of what it is to be trusted for.
Workers are sent pixels, a byte each, and need neither the folder nor a disk in common.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from search.workers.pictures import STATISTICS, Pixels, draw_pixels, normalised

__all__ = ["Drawn", "HeldBatch", "RealBatches", "held", "hold", "images"]

_NORMALISED_BY = STATISTICS["imagenet"]  # as `uninas train` normalises


@final
@dataclass(frozen=True, slots=True)
class Drawn:
    """A record of a journal: with which images the candidates behind it are scored.

    Attributes:
        digest: of all batches, see `RealBatches.digest`.
    """

    digest: str

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "images", "digest": self.digest}

    @staticmethod
    def parse(data: Mapping[str, Any]) -> Drawn:
        """Read what `as_dict` gave."""
        return Drawn(str(data["digest"]))


@dataclass(frozen=True, eq=False)
class HeldBatch:
    """One batch as it travels.

    Attributes:
        digest: SHA-256 of what the network is fed, and of the labels.
        pixels: uint8, (n, H, W, 3).
        labels: the class of each.
    """

    digest: str
    pixels: Pixels
    labels: tuple[int, ...]


_held: dict[str, HeldBatch] = {}


def held() -> tuple[HeldBatch, ...]:
    """What this process holds."""
    return tuple(_held.values())


def hold(batches: Iterable[HeldBatch]) -> None:
    """Have these batches in this process, and no others: those of the search that it works for."""
    _held.clear()
    _held.update((batch.digest, batch) for batch in batches)


def images(digest: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Give a batch that is held: images float32 (n, 3, H, W), normalised, and labels int64 (n,).

    Raises:
        KeyError: this process does not hold it.
    """
    batch = _held[digest]
    return normalised(batch.pixels, _NORMALISED_BY), np.array(batch.labels, dtype=np.int64)


@final
class RealBatches:
    """The batches of one search, one for each seed.

    Args:
        folder: holds one folder of images for each class; kept as an attribute, for messages.
        count: images of a batch.
        classes: of the network, at least as many as folders.
        size: (H, W) in pixels that images are resized to.
    """

    def __init__(self, folder: Path, *, count: int, classes: int, size: tuple[int, int]) -> None:
        self.folder = folder
        self._how: dict[str, Any] = {"count": count, "classes": classes, "size": size, "statistics": _NORMALISED_BY}
        self._of: dict[int, str] = {}

    def draw(self, seeds: Iterable[int]) -> list[str]:
        """Draw each seed's batch, and hold them in this process; gives what a person should know of the folder, each once.

        Raises:
            InputError: see `search.workers.pictures.draw_batch`.
        """
        batches, said = [], dict[str, None]()
        for seed in seeds:
            drawn, pixels, warnings = draw_pixels(self.folder, seed=seed, **self._how)
            batches.append(HeldBatch(drawn.digest, pixels, drawn.labels))
            self._of[seed] = drawn.digest
            said.update(dict.fromkeys(warnings))
        hold(batches)
        return list(said)

    def of(self, seed: int) -> str:
        """Give the digest of a seed's batch, which was drawn."""
        return self._of[seed]

    @property
    def digest(self) -> str:
        """SHA-256 of the digests of all batches, in the order in which they were drawn."""
        return hashlib.sha256(" ".join(self._of.values()).encode()).hexdigest()
