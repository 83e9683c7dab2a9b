"""Trained accuracy as an objective: what a configuration may say of it, the images, and the job of a candidate.

    objective: {train: cifar10}                                 one epoch on all images
    objective: {train: {images: cifar10, epochs: 2, per_class: 1000}}

A candidate is then trained by one short recipe, on the slots of the search, and its score is its top-1 accuracy on the held-out
images, in percent. Seeds differ in initial weights, order and augmentation, so finalists are trained anew, and where
`finalists.per_class` or `finalists.epochs` says so, for longer: few can have what a hundred could not. What trains and judges is
`search.training`, as for a ground truth.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from search.training.recipe import PRECISIONS, Recipe
from search.workers.job import Work
from search.workers.real_batches import hold
from uninas.errors import InputError

if TYPE_CHECKING:  # images bring torch, which a search by scores does not need in its driver
    from search.config.schema import FinalistsConfig, TrainingConfig
    from search.training.images import ImageFolder

TOP1 = "top1"
"""The objective's name, and that of a candidate's score: percent of the held-out images."""

EVALUATOR = "search.training.evaluate"

_OF_RECIPE = tuple(one.name for one in dataclasses.fields(Recipe))
_OF_IMAGES = ("images", "held_out", "pixels", "per_class")


def spelled_out(value: Any) -> dict[str, Any]:
    """Give the keys of `training` in a configuration that `objective: {train: value}` stands for.

    Raises:
        InputError: neither a folder nor a mapping of such keys.
    """
    if isinstance(value, str):
        return {"images": value}
    known = (*_OF_IMAGES, *_OF_RECIPE)
    if not isinstance(value, Mapping) or "images" not in value or set(value) - {*known}:
        got = ", ".join(map(str, value)) if isinstance(value, Mapping) else repr(value)
        raise InputError(
            f"objective.train: expected a folder of images, or images: FOLDER and some of {', '.join(known[1:])}; got {got}"
        )
    recipe = {name: value[name] for name in _OF_RECIPE if name in value}
    return {**{name: value[name] for name in _OF_IMAGES if name in value}, **({"recipe": recipe} if recipe else {})}


def check_recipe(recipe: Recipe, pixels: int, per_class: int | None, expect: Callable[[bool, str, str, object], None]) -> None:
    """Check what a training is given.

    Args:
        recipe: of the training.
        pixels: side of a stored image.
        per_class: training images of a class; None for all.
        expect: called with whether something holds, the key, what it may be, and what came.
    """
    for where, value, least in (
        ("pixels", pixels, 8),
        ("recipe.epochs", recipe.epochs, 1),
        ("recipe.batch", recipe.batch, 2),
        ("recipe.shift", recipe.shift, 0),
        ("recipe.weight_decay", recipe.weight_decay, 0),
    ):
        expect(value >= least, where, f"at least {least}", value)
    expect(per_class is None or per_class >= 1, "per_class", "at least 1", per_class)
    expect(recipe.shift < pixels, "recipe.shift", f"less than the {pixels} pixels of an image", recipe.shift)
    for where, value in (("recipe.rate", recipe.rate), ("recipe.clip", recipe.clip)):
        expect(value > 0, where, "more than 0", value)
    for where, value in (("recipe.warmup", recipe.warmup), ("recipe.smoothing", recipe.smoothing)):
        expect(0 <= value < 1, where, "at least 0 and less than 1", value)
    expect(recipe.precision in PRECISIONS, "recipe.precision", " or ".join(PRECISIONS), f"'{recipe.precision}'")


@final
class TrainingImages:
    """The images of a search by training: read where the search runs, and by every worker from the same folder.

    Args:
        folder: train/ and val/ (or test/), each with one folder of images for each class; kept as an attribute, for messages.
        held_out: images of a class taken from train/ to judge by; None for those of val/ or test/.
        pixels: side that images are resized to in memory.
        per_class: training images of a class; None for all.
        classes: outputs of the networks.
        others: numbers of images of a class of shorter and longer trainings, see `of`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        pixels: int,
        per_class: int | None,
        classes: int,
        held_out: int | None = None,
        others: Iterable[int] = (),
    ) -> None:
        self.folder = folder
        self._pixels, self._per_class, self._classes, self._others = pixels, per_class, classes, tuple(others)
        self._held_out = held_out
        self._found: ImageFolder | None = None
        self._found_of: dict[int, ImageFolder] = {}

    def draw(self, seeds: Iterable[int]) -> list[str]:
        """Read the folder, which is the same for every seed; gives what a person should know of it.

        Raises:
            InputError: of the folder, or it has other classes than the networks.
        """
        from search.training.images import TESTS, describe, folder_of

        hold(())
        read = partial(describe, self.folder, pixels=self._pixels, held_out=self._held_out)
        found, notes = read(per_class=self._per_class)
        if len(found.classes) != self._classes:
            raise InputError(f"classes: expected {len(found.classes)}, as {self.folder} has; got {self._classes}")
        if self._held_out is None and folder_of(self.folder, "held").name in TESTS:
            notes.append(f"{self.folder}: its test images choose the network, and are no test of it: see training.held_out")
        self._found = found
        self._found_of = {count: read(per_class=count)[0] for count in self._others}
        fewest = self._per_class
        if fewest is not None:
            same = [count for count, other in self._found_of.items() if count > fewest and other.digest == found.digest]
            if same:
                notes.append(f"finalists.per_class={max(same)}: {self.folder} has no more images of a class than {fewest}")
        return notes

    @property
    def found(self) -> ImageFolder:
        """What was read."""
        assert self._found is not None
        return self._found

    def of(self, per_class: int | None) -> ImageFolder:
        """Give what was read for the training on so many images of a class; None for that of a candidate."""
        return self.found if per_class is None else self._found_of[per_class]

    @property
    def digest(self) -> str:
        """SHA-256 of all images and labels."""
        if not self._found_of:
            return self.found.digest
        return hashlib.sha256(
            "\n".join([self.found.digest, *(one.digest for one in self._found_of.values())]).encode()
        ).hexdigest()


@dataclass(frozen=True)
class Longer:
    """A training that is longer than a candidate's.

    Attributes:
        epochs: passes over the training images.
        per_class: training images of a class; None for as many as a candidate's training has.
    """

    epochs: int
    per_class: int | None

    def in_words(self) -> str:
        """Say what it is: one epoch on up to 4,500 images of a class."""
        on = "" if self.per_class is None else f" on up to {self.per_class:,} images of a class"
        return f"{'one epoch' if self.epochs == 1 else f'{self.epochs} epochs'}{on}"


def longer_training(finalists: FinalistsConfig, training: TrainingConfig) -> Longer | None:
    """Give the training of finalists, where it is longer than that of candidates."""
    return Longer(finalists.epochs or training.recipe.epochs, finalists.per_class) if finalists.longer else None


def job_of(digest: str, architecture: str, size: tuple[int, int], images: ImageFolder, recipe: Recipe, seed: int) -> Work:
    """Make the job of a candidate."""
    from search.training.evaluate import Job

    return Job(digest[:12], architecture, size, images, recipe, seed)


def training_places() -> tuple[str, ...]:
    """Give the files and folders that decide an accuracy, see `search.workers.scoring_code`."""
    from search.training.evaluate import CODE

    return CODE
