"""A configuration, resolved once: the values that a search runs by, defaults filled in and names looked up.

From here on who needs one value is given that value; nobody is handed the configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from search.algorithms import ALGORITHMS, described
from search.config import loading
from search.config.schema import BudgetConfig, FinalistsConfig, PoolConfig, SearchConfig, TrainingConfig
from search.config.score_options import options_of
from search.config.trained import EVALUATOR as TRAINER
from search.config.trained import TOP1, TrainingImages, job_of, training_code
from search.config.warnings import warnings
from search.ranking.objective import LATENCY, SCORE, Objective, find
from search.training.recipe import Recipe
from search.workers.job import Job, Timing, Work
from search.workers.pool import EVALUATOR
from search.workers.real_batches import RealBatches
from search.workers.scoring_code import ScoringCode, scoring_code


@final
@dataclass(frozen=True)
class SearchPlan:
    """What a search does.

    Attributes:
        text: the whole configuration as YAML, defaults included.
        digest: SHA-256 of all in it that decides what the search finds.
        warnings: what its user may not expect, one line each.
        seed: of the run.
        algorithm: name of the algorithm.
        options: of the algorithm, those that were given.
        window: of the algorithm.
        random_window: of the random search beside it.
        order: "ask" or "completion".
        evaluations: candidates of each phase.
        baseline: whether a random search of equal budget follows.
        objective: what is maximised.
        objectives: of a multi-objective search, "score" among them; empty for any other.
        costs: names of the costs that the end of the run needs of each candidate.
        timing: how each candidate is timed; None where latency is neither an objective nor has a budget.
        limit_ms: the budget of latency; None for no bound.
        ties: "cheaper" or "older".
        finalists: how many candidates are scored again.
        by_model: how many of them are chosen by what the algorithm's model expects, not by their own scores.
        repeats: on how many held-out seeds.
        controls: with whom they are compared there: "start", "random", and presets by name.
        budget: the bounds of what a network costs.
        reliability: how many others of the best quarter are scored on the first of them.
        images: the real batches, or the images of trainings, to be read before anything is scored; None for noise.
        recipe: by which candidates are trained; None for scores at initialisation.
        pool: who scores.
    """

    text: str
    digest: str
    warnings: tuple[str, ...]
    seed: int
    algorithm: str
    options: Mapping[str, Any]
    window: int
    random_window: int
    order: str
    evaluations: int
    baseline: bool
    objective: Objective
    objectives: tuple[str, ...]
    costs: tuple[str, ...]
    timing: Timing | None
    limit_ms: float | None
    ties: str
    finalists: int
    by_model: int
    repeats: int
    controls: tuple[str, ...]
    budget: BudgetConfig
    reliability: int
    images: RealBatches | TrainingImages | None
    recipe: Recipe | None
    pool: PoolConfig
    _job: Job

    @staticmethod
    def resolve(config: SearchConfig) -> SearchPlan:
        """Resolve a checked configuration.

        Raises:
            InputError: it names no objective that there is.
        """
        algorithm, objective = described(config.algorithm), find(config.objective)
        given, own = config.objectives, config.algorithm_file is not None  # a run states those of its own algorithm
        objectives = tuple(given or ()) if given is not None or own else algorithm.objectives
        limit, timing = config.budget.latency_ms, None
        if LATENCY in objectives or limit is not None:
            timing = Timing(**dataclasses.asdict(config.latency), limit_ms=limit)
        costs = dict.fromkeys(name for name in objectives if name != SCORE)
        height, width = config.size
        return SearchPlan(
            text=loading.to_yaml(config),
            digest=loading.digest(config),
            warnings=tuple(warnings(config, timed=timing is not None)),
            seed=config.seed,
            algorithm=config.algorithm,
            options=config.algorithm_options,
            window=algorithm.window if config.window is None else config.window,
            random_window=ALGORITHMS["random"].window if config.window is None else config.window,
            order=config.order,
            evaluations=config.evaluations,
            baseline=config.baseline,
            objective=objective,
            objectives=objectives,
            costs=tuple(costs if timing is None else {**costs, LATENCY: None}),
            timing=timing,
            limit_ms=limit,
            ties=config.ties,
            finalists=config.finalists.count,
            by_model=_by_model(config.finalists, estimates=algorithm.estimates and not objectives),
            repeats=config.finalists.seeds,
            controls=tuple(config.finalists.controls),
            budget=config.budget,
            reliability=config.finalists.reliability,
            images=_images(config.images, config.training, batch=config.batch, classes=config.classes, size=(height, width)),
            recipe=config.training.recipe if config.objective == TOP1 else None,
            pool=config.pool,
            _job=Job(
                digest="",
                architecture="",
                size=(height, width),
                classes=config.classes,
                batch=config.batch,
                repeats=config.repeats,
                seed=config.seed,
                proxies=objective.proxies,
                options=options_of(config.proxies, objective),
            ),
        )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        return self._job.size

    @property
    def classes(self) -> int:
        """Outputs of a network."""
        return self._job.classes

    @property
    def evaluator(self) -> str:
        """The module that does the work in a worker, see `search.workers.pool.EVALUATOR`."""
        return EVALUATOR if self.recipe is None else TRAINER

    def code(self) -> ScoringCode:
        """Describe the code that decides what candidates score."""
        return scoring_code(self.objective.proxies) if self.recipe is None else training_code()

    def search_job(self, digest: str, architecture: str) -> Work:
        """Make the job of a candidate: the run's seed, timed where latency counts."""
        return self._of_seed(self._job.seed, digest, architecture, self.timing)

    def rescore_job(self, digest: str, architecture: str, seed: int) -> Work:
        """Make the job of a finalist on a held-out seed; its latency is known and not measured again."""
        return self._of_seed(seed, digest, architecture, None)

    def _of_seed(self, seed: int, digest: str, architecture: str, timing: Timing | None) -> Work:
        if self.recipe is not None:
            assert isinstance(self.images, TrainingImages)
            return job_of(digest, architecture, self._job.size, self.images.found, self.recipe, seed)
        images = self.images.of(seed) if isinstance(self.images, RealBatches) else None
        given: dict[str, Any] = {"digest": digest, "architecture": architecture, "timing": timing}
        return dataclasses.replace(self._job, seed=seed, images=images, **given)


def _by_model(finalists: FinalistsConfig, *, estimates: bool) -> int:
    """How many finalists are chosen by the algorithm's model, where it estimates: half of them by default."""
    if finalists.by_model is not None:
        return finalists.by_model
    return finalists.count // 2 if estimates else 0


def _images(
    images: str | None, training: TrainingConfig, *, batch: int, classes: int, size: tuple[int, int]
) -> RealBatches | TrainingImages | None:
    """Describe the images of trainings, or the real batches: twice what a score is computed on, as ZiCo takes two batches."""
    if training.images is not None:
        folder = Path(training.images)
        return TrainingImages(folder, pixels=training.pixels, per_class=training.per_class, classes=classes)
    return None if images is None else RealBatches(Path(images), count=2 * batch, classes=classes, size=size)
