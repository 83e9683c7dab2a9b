"""Train one network in a worker: the evaluator of pools whose jobs are trainings (see `search.workers.pool.EVALUATOR`)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

import uninas
import uninas.compile
from search.training.images import ImageFolder, load
from search.training.recipe import Recipe
from search.training.train import DivergedError, train
from search.workers.evaluate import guarded, prepare
from search.workers.job import Cause, Outcome, outcome_of
from search.workers.scoring_code import SEARCH

__all__ = ["CODE", "EVALUATOR", "Job", "evaluate", "prepare"]

EVALUATOR = "search.training.evaluate"

CODE = ("search/training", *(place for place in SEARCH if place.startswith("uninas") and "analysis" not in place))
"""Files and folders that decide an accuracy, see `search.workers.scoring_code`."""


@dataclass(frozen=True)
class Job:
    """One training. Its accuracy is a function of this alone, on one device model and torch build.

    Attributes:
        name: of the network, in messages.
        architecture: its canonical text.
        size: (H, W) of the input in pixels.
        images: to train on and to judge by.
        recipe: of the training.
        seed: of initial weights, order and augmentation.
    """

    name: str
    architecture: str
    size: tuple[int, int]
    images: ImageFolder
    recipe: Recipe
    seed: int

    @property
    def label(self) -> str:
        """Name and seed."""
        return f"{self.name} (seed {self.seed})"

    def as_dict(self) -> dict[str, Any]:
        """Give the job as JSON-able data."""
        return {**vars(self), "images": self.images.as_dict(), "recipe": self.recipe.as_dict()}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Job:
        """Read what `as_dict` gave."""
        made = {"size": tuple(data["size"]), "images": ImageFolder.from_dict(data["images"]), "recipe": Recipe(**data["recipe"])}
        return Job(**{**data, **made})


def evaluate(job: Job, device: str = "cpu") -> Outcome:
    """Build and train one network. Whatever Python raises becomes a failed outcome with its reason.

    Returns:
        Scores "top1" in percent and "loss" of the held-out images; as details of "top1" the epochs; wall seconds of the stages
        build and train, and the CPU-seconds of both.
    """
    return guarded(_train, job, device)


def _train(job: Job, device: str, seconds: dict[str, float]) -> Outcome:
    train_images, held_images = load(job.images)
    clock, spent = time.perf_counter(), time.process_time()
    torch.manual_seed(job.seed)  # of the initial weights
    architecture = uninas.parse(job.architecture, job.label)
    module = uninas.compile.build(architecture, classes=len(job.images.classes))
    seconds["build"] = time.perf_counter() - clock
    clock = time.perf_counter()
    try:
        trained = train(module, train_images, held_images, job.recipe, size=job.size, seed=job.seed, device=device)
    except DivergedError as error:
        return Outcome.failed(str(error), Cause.NOT_FINITE, seconds)
    finally:
        seconds["train"] = time.perf_counter() - clock
        seconds["cpu"] = time.process_time() - spent
    return outcome_of({"top1": trained.top1, "loss": trained.epochs[-1].loss}, seconds, {"top1": trained.as_dict()}, whole=True)
