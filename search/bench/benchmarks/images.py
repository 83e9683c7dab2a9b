"""The real batch of a run: drawn from a folder of images when the run begins."""

from __future__ import annotations

import dataclasses
from typing import Any

from search.bench.benchmarks.conduct import Note
from search.bench.benchmarks.request import BenchRequest
from search.workers import pictures


def real_batch(request: BenchRequest, *, classes: int, size: tuple[int, int], note: Note) -> dict[str, Any] | None:
    """Draw two batches of images, as ZiCo takes, for the settings of a new run; None where no folder of images was given.

    Args:
        request: folder, batch, seed, and the dataset whose statistics normalise; those of ImageNet where it has none of its own.
        classes: of the dataset.
        size: (height, width) in pixels.
        note: receives what is wrong with the folder.

    Raises:
        InputError: of the images.
    """
    if request.images is None:
        return None
    drawn, warnings = pictures.draw_batch(
        request.images,
        count=2 * request.batch,
        classes=classes,
        size=size,
        seed=request.seed,
        statistics=pictures.STATISTICS.get(request.dataset, pictures.STATISTICS["imagenet"]),
    )
    for warning in warnings:
        note(f"warning: {warning}")
    return dataclasses.asdict(drawn)
