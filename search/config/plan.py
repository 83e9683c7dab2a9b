"""A configuration, resolved once: the values that a search runs by, defaults filled in and names looked up.

From here on who needs one value is given that value; nobody is handed the configuration.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from search.algorithms import ALGORITHMS, described
from search.config import loading
from search.config.schema import BudgetConfig, FinalistsConfig, PoolConfig, RungConfig, SearchConfig, TrainingConfig
from search.config.score_options import options_of
from search.config.trained import EVALUATOR as TRAINER
from search.config.trained import TOP1, Longer, TrainingImages, job_of, longer_training, training_places
from search.config.warnings import warnings
from search.ladder.job import CODE as CLIMBING
from search.ladder.job import EVALUATOR as LADDER
from search.ladder.job import Job as LadderJob
from search.ladder.job import Step
from search.ladder.thresholds import thresholds
from search.ranking.objective import LATENCY, SCORE, Objective, find
from search.training.recipe import Recipe
from search.workers.job import Job, Timing, Work
from search.workers.pool import EVALUATOR
from search.workers.real_batches import RealBatches
from search.workers.scoring_code import SEARCH, ScoringCode, scoring_code


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
        ladder: what is scored before the objective, the cheapest first.
        finalists: how many candidates are scored again.
        by_model: how many of them are chosen by what the algorithm's model expects, not by their own scores.
        repeats: on how many held-out seeds.
        judged_by: the training of finalists and controls, where it is longer than that of candidates: its epochs, and images of
            a class (None: all). What they score then compares with each other alone.
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
    ladder: tuple[RungConfig, ...]
    finalists: int
    by_model: int
    repeats: int
    judged_by: Longer | None
    controls: tuple[str, ...]
    budget: BudgetConfig
    reliability: int
    images: RealBatches | TrainingImages | None
    recipe: Recipe | None
    pool: PoolConfig
    _job: Job
    _options: Mapping[str, Mapping[str, Any]]  # of the scores of the ladder

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
        (height, width), ladder, options = config.size, tuple(config.ladder), config.proxies
        others = (*(rung.per_class for rung in ladder), config.finalists.per_class)
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
            ladder=ladder,
            finalists=config.finalists.count,
            by_model=_by_model(config.finalists, estimates=algorithm.estimates and not objectives),
            repeats=config.finalists.seeds,
            judged_by=longer_training(config.finalists, config.training),
            controls=tuple(config.finalists.controls),
            budget=config.budget,
            reliability=config.finalists.reliability,
            images=_images(config.images, config.training, others, config.batch, config.classes, (height, width)),
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
            _options={score: options_of(options, find(score)) for score in (rung.score for rung in ladder) if score},
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
        return LADDER if self.ladder else self._scorer

    @property
    def _scorer(self) -> str:
        return EVALUATOR if self.recipe is None else TRAINER

    def code(self) -> ScoringCode:
        """Describe the code that decides what candidates score."""
        below = [rung.score for rung in self.ladder if rung.score is not None]
        names = [] if self.recipe is not None else self.objective.proxies
        places = [*(training_places() if self.recipe is not None else SEARCH), *(SEARCH if below else ())]
        return scoring_code(dict.fromkeys([*names, *below]), tuple(dict.fromkeys([*places, *(CLIMBING if self.ladder else ())])))

    def search_job(self, digest: str, architecture: str, seen: Iterable[Mapping[str, float]] | None = None) -> Work:
        """Make the job of a candidate: the run's seed, timed where latency counts.

        Args:
            digest: of its canonical form.
            architecture: its canonical text.
            seen: the scores that its ask saw, latest first, which decide how much is enough on a rung; None: it climbs no ladder.
        """
        seed = self._job.seed
        last = self._of_seed(seed, digest, architecture, self.timing)
        if not self.ladder:
            return last
        rungs = () if seen is None else self._rungs(seed, digest, architecture, seen)
        return LadderJob(rungs, Step(self._scorer, last))

    def _rungs(self, seed: int, digest: str, architecture: str, seen: Iterable[Mapping[str, float]]) -> tuple[Step, ...]:
        least = thresholds(seen, [rung.keep for rung in self.ladder])
        found = []
        for rung, enough in zip(self.ladder, least, strict=True):
            if rung.score is None:
                assert self.recipe is not None
                assert isinstance(self.images, TrainingImages)
                images = self.images.of(rung.per_class)
                found.append(Step(TRAINER, job_of(digest, architecture, self.size, images, self.recipe, seed), TOP1, enough))
                continue
            batch = self.images.of(seed) if isinstance(self.images, RealBatches) else None
            given: dict[str, Any] = {"proxies": (rung.score,), "options": self._options[rung.score], "images": batch}
            job = dataclasses.replace(self._job, digest=digest, architecture=architecture, seed=seed, **given)
            found.append(Step(EVALUATOR, job, rung.score, enough))
        return tuple(found)

    def rescore_job(self, digest: str, architecture: str, seed: int) -> Work:
        """Make the job of a finalist on a held-out seed; its latency is known and not measured again."""
        if self.judged_by is None:
            job = self._of_seed(seed, digest, architecture, None)
        else:
            assert self.recipe is not None
            assert isinstance(self.images, TrainingImages)
            recipe = dataclasses.replace(self.recipe, epochs=self.judged_by.epochs)
            job = job_of(digest, architecture, self.size, self.images.of(self.judged_by.per_class), recipe, seed)
        return LadderJob((), Step(self._scorer, job)) if self.ladder else job

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
    images: str | None, training: TrainingConfig, others: Iterable[int | None], batch: int, classes: int, size: tuple[int, int]
) -> RealBatches | TrainingImages | None:
    """Describe the images of trainings, or the real batches: twice what a score is computed on, as ZiCo takes two batches.

    `others`: images of a class of shorter and longer trainings.
    """
    if training.images is not None:
        return TrainingImages(
            Path(training.images),
            pixels=training.pixels,
            per_class=training.per_class,
            classes=classes,
            held_out=training.held_out,
            others=[count for count in others if count is not None],
        )
    return None if images is None else RealBatches(Path(images), count=2 * batch, classes=classes, size=size)
