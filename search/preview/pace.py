"""How long a training would take, by a few of its steps: where the whole would be too long to wait for.

pace = measure(job)                       build, steps forward and backward, and one look at held-out images, each timed
pace.seconds(len(train), len(held), recipe)     what a training on so many images by that recipe takes
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import suppress
from dataclasses import dataclass

import uninas
import uninas.compile
from search.training.evaluate import Job
from search.training.images import Split, load
from search.training.recipe import Recipe
from search.training.train import DivergedError, train
from uninas.errors import InputError

__all__ = ["Pace", "measure"]

STEPS = 8
"""Steps that are timed at the most, behind two that warm up."""

_PATIENCE = 15.0  # seconds for the timed steps: fewer of them where one takes long

_HELD = 500  # held-out images that are judged to time it


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of a training.

    Attributes:
        build: of making the network.
        step: of one step on a batch.
        held: of judging one held-out image.
        steps: how many steps were timed.
    """

    build: float
    step: float
    held: float
    steps: int

    def seconds(self, train_images: int, held_images: int, recipe: Recipe) -> float:
        """Give what a training takes, in seconds.

        Args:
            train_images, held_images: to train on, and to judge by after each epoch.
            recipe: with the batch that was timed.
        """
        steps = train_images // recipe.batch
        return self.build + recipe.epochs * (steps * self.step + held_images * self.held)


def images_of(job: Job) -> tuple[int, int]:
    """Count the images to train on, and those to judge by."""
    trained, held = load(job.images)
    return len(trained.labels), len(held.labels)


def measure(job: Job, device: str = "cpu") -> Pace:
    """Time a few steps of a training, on the images of the job from the first one on.

    Raises:
        InputError: fewer images than a batch.
    """
    trained, held = load(job.images)
    batch = job.recipe.batch
    if len(trained.labels) < batch:
        raise InputError(f"training.recipe.batch: expected at most the {len(trained.labels)} training images; got {batch}")
    clock = time.perf_counter()
    module = uninas.compile.build(uninas.parse(job.architecture, job.label), classes=len(job.images.classes))
    build = time.perf_counter() - clock

    def timed(steps: int, looked_at: int) -> float:
        recipe = dataclasses.replace(job.recipe, epochs=1)
        begun = time.perf_counter()
        with suppress(DivergedError):  # takes as long
            part, few = _first(trained, steps * batch), _first(held, looked_at)
            train(module, part, few, recipe, size=job.size, seed=job.seed, device=device)
        return time.perf_counter() - begun

    there = len(trained.labels) // batch
    warm = timed(min(2, there), 1) / min(2, there)
    steps = max(1, min(STEPS, there, int(_PATIENCE / max(warm, 1e-9))))
    step = timed(steps, 1) / steps
    looked_at = min(_HELD, len(held.labels))
    judged = max(0.0, timed(1, looked_at) - step)
    return Pace(build, step, judged / looked_at, steps)


def _first(split: Split, count: int) -> Split:
    return Split(split.images[:count], split.labels[:count])
