"""Real batches of a search: drawn once, as data that travels, normalised where they are scored on."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy
import pytest

from search.workers import real_batches
from search.workers.pictures import STATISTICS, draw_batch, read_batch
from search.workers.real_batches import RealBatches
from tests.search.pictured import paint


def batches(folder: Path) -> RealBatches:
    return RealBatches(folder, count=4, classes=3, size=(8, 6))


def test_a_seeds_batch_is_what_its_folder_gives(tmp_path: Path) -> None:
    made = batches(paint(tmp_path))
    made.draw([5, 7])
    for seed in (5, 7):
        expected = draw_batch(tmp_path, count=4, classes=3, size=(8, 6), seed=seed, statistics=STATISTICS["imagenet"])[0]
        assert made.of(seed) == expected.digest
        for ours, theirs in zip(real_batches.images(made.of(seed)), read_batch(expected), strict=True):
            assert ours.dtype == theirs.dtype
            assert numpy.array_equal(ours, theirs)


def test_what_travels_is_a_byte_for_each_channel_of_a_pixel(tmp_path: Path) -> None:
    made = batches(paint(tmp_path))
    made.draw([5])
    before = real_batches.images(made.of(5))
    travelled = pickle.dumps(real_batches.held(), protocol=5)
    assert len(travelled) < 4 * 3 * 8 * 6 + 1000
    real_batches.hold(())
    with pytest.raises(KeyError):
        real_batches.images(made.of(5))
    real_batches.hold(pickle.loads(travelled))
    assert numpy.array_equal(real_batches.images(made.of(5))[0], before[0])


def test_the_digest_is_of_all_batches_and_the_same_for_the_same_images(tmp_path: Path) -> None:
    paint(tmp_path)
    found = []
    for seeds in ([5, 7], [5, 7], [5, 8]):
        made = batches(tmp_path)
        made.draw(seeds)
        found.append(made.digest)
    assert found[0] == found[1] != found[2]


def test_a_warning_that_every_batch_gives_is_said_once(tmp_path: Path) -> None:
    assert batches(paint(tmp_path)).draw([5, 7]) == [
        f"{tmp_path}: 2 class folders for 3 classes: the others do not occur in the batch"
    ]
