"""What a configuration may say beyond its types: known names, possible numbers, options that have an effect."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, NoReturn

from proxies.registry import names as proxy_names
from proxies.table import TABLE
from search.algorithms import ALGORITHMS
from search.config.schema import CONTROLS, LatencyConfig, RungConfig, SearchConfig, SpaceConfig, TrainingConfig
from search.config.score_options import options_of
from search.config.spectra import ranks
from search.config.trained import TOP1, check_recipe
from search.ranking import objective
from search.ranking.objective import COSTS, LATENCY, SCORE
from search.ranking.reliability import LEAST
from uninas import edits
from uninas.analysis.unseen import UNSEEN
from uninas.errors import InputError
from uninas.networks.presets import PRESETS
from uninas.spaces import SPACES

ORDERS = ("ask", "completion")
SAMPLERS = ("walk", "grammar")
TIES = ("cheaper", "older")
POOLS = ("serial", "ray")
PRECISIONS = ("float32", "bfloat16", "float16")  # those of proxies.measuring.timing, which only a worker imports
SMALLEST_SIZE = 32  # pixels: the presets halve the resolution five times
SMALLEST_CHOSEN_SIZE = 8  # pixels, for a categorical space; the smallest images that any is known for have 16
GRAPH_KEYS = (
    "fitted",
    "widths",
    "depths",
    "stem",
    "nodes_per_subblock",
    "random_edits",
    "sampler",
    "vocabulary",
    "prior",
    "regularisers",
)
"""Of space: about the universal graph space only."""


def check(config: SearchConfig, source: str) -> None:
    """Raise `InputError` for what cannot be run, naming the key, what it may be and what came."""

    def reject(where: str, expected: str, got: object) -> NoReturn:
        raise InputError(f"{source}: {where}: expected {expected}; got {got}")

    def known(where: str, value: str, names: Iterable[str]) -> None:
        names = sorted(names)
        if value not in names:
            near = difflib.get_close_matches(value, names, 1, cutoff=0.4)
            reject(where, f"one of {', '.join(names)}", f"'{value}'" + (f", nearest is '{near[0]}'" if near else ""))

    def at_least(where: str, value: float | None, least: float) -> None:
        if value is not None and value < least:
            reject(where, f"at least {least}", value)

    if config.algorithm_file is None:
        known("algorithm", config.algorithm, ALGORITHMS)
    known("latency.precision", config.latency.precision, PRECISIONS)
    known("order", config.order, ORDERS)
    known("ties", config.ties, TIES)
    known("pool.kind", config.pool.kind, POOLS)
    known("space.sampler", config.space.sampler, SAMPLERS)
    try:
        wanted = objective.find(config.objective)
        if config.proxies.file is None and config.objective != TOP1:
            objective.check_names(wanted)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    for name, options in config.proxies.options.items():
        if name not in wanted.proxies:
            reject("proxies.options", f"scores of the objective, {', '.join(wanted.proxies)}", f"'{name}'")
        if not isinstance(options, dict) or not all(isinstance(option, str) for option in options):
            reject(f"proxies.options.{name}", "a mapping of options to values", repr(options))

    for name, value in (
        ("evaluations", config.evaluations),
        ("window", config.window),
        ("classes", config.classes),
        ("batch", config.batch),
        ("repeats", config.repeats),
        ("pool.workers", config.pool.workers),
        ("pool.batch", config.pool.batch),
        ("finalists.count", config.finalists.count),
        ("finalists.seeds", config.finalists.seeds),
        ("space.nodes_per_subblock", config.space.nodes_per_subblock),
        ("proxies.micro_batch", config.proxies.micro_batch),
        ("proxies.probes", config.proxies.probes),
        ("latency.batch", config.latency.batch),
        ("latency.runs", config.latency.runs),
    ):
        at_least(name, value, 1)
    at_least("space.random_edits", config.space.random_edits, 0 if config.space.sampler == "grammar" else 1)
    at_least("seed", config.seed, 0)
    if 0 < config.finalists.reliability < LEAST or config.finalists.reliability < 0:
        reject("finalists.reliability", f"0, or at least {LEAST} networks", config.finalists.reliability)
    for name in config.finalists.controls:
        known("finalists.controls", name, CONTROLS)
    at_least("pool.min_workers", config.pool.min_workers, 0)
    at_least("latency.warmup", config.latency.warmup, 0)
    for name, value in asdict(config.budget).items():
        if name == LATENCY and value is not None and value <= 0:
            reject(f"budget.{name}", "more than 0 milliseconds, or null", value)
        if value is not None and value <= 0:
            reject(f"budget.{name}", "at least 1 (no network fits into less)", value)
    for name in ("widths", "depths", "stem"):
        for value in getattr(config.space, name) or ():
            at_least(f"space.{name}", value, 1)

    if len(config.size) != 2:
        reject("size", "one number, or a height and a width", config.size)
    chosen = config.space.name is not None or config.space.file is not None
    smallest, why = (SMALLEST_CHOSEN_SIZE, "") if chosen else (SMALLEST_SIZE, " (five halvings)")
    if min(config.size) < smallest:
        reject("size", f"at least {smallest} pixels each way{why}", f"{config.size[0]}x{config.size[1]}")
    _check_space(config.space, chosen, reject, known)
    if config.space.fitted and (config.budget.params is None or config.budget.macs is None):
        reject("space.fitted", "budget.params and budget.macs beside it, which the presets are to fill", "no such bound")
    _check_training(config, reject)
    own = config.proxies.file is not None
    _check_ladder(config.ladder, config.training, config.classes, config.objective == TOP1, own, wanted, reject)
    if not 0 <= config.proxies.smoothing < 1:
        reject("proxies.smoothing", "a number in [0, 1)", config.proxies.smoothing)

    pool = config.pool
    if pool.gpus_per_worker < 0 or (pool.gpus_per_worker > 1 and pool.gpus_per_worker % 1):
        reject("pool.gpus_per_worker", "0, a fraction of one, or a whole number", pool.gpus_per_worker)
    if pool.deadline_s is not None and pool.deadline_s <= 0:
        reject("pool.deadline_s", "more than 0 seconds, or null", pool.deadline_s)
    if pool.min_workers is not None and pool.min_workers > pool.workers:
        reject("pool.min_workers", f"at most pool.workers, {pool.workers}", pool.min_workers)
    _check_classes(config, wanted, reject)
    by_model = config.finalists.by_model
    if by_model is not None and not 0 <= by_model <= config.finalists.count:
        reject("finalists.by_model", f"0 to finalists.count ({config.finalists.count}), or null", by_model)
    if config.finalists.count > config.evaluations:
        reject("finalists.count", f"at most evaluations ({config.evaluations})", config.finalists.count)
    _check_edits(config.space, config.algorithm_options.get("crossover"), source)
    if config.algorithm_file is None:
        check_algorithm(config, source)


def _check_classes(config: SearchConfig, wanted: objective.Objective, reject: Callable[..., NoReturn]) -> None:
    """Classes and images of which every score of the objective can have a value."""
    for name in (*wanted.proxies, *(rung.score for rung in config.ladder if rung.score is not None)):
        least = TABLE[name].least_classes if name in TABLE else 1
        if config.classes < least:
            where = "of the objective" if name in wanted.proxies else "of the ladder before the objective"
            reject("classes", f"at least {least} for {name}, a score {where} {config.objective}", config.classes)
    for rank in ranks(wanted.proxies, options_of(config.proxies, wanted), batch=config.batch, classes=config.classes):
        if rank.impossible is not None:
            reject(*rank.impossible)


def _check_ladder(
    ladder: Iterable[RungConfig],
    training: TrainingConfig,
    classes: int,
    trains: bool,
    own: bool,
    wanted: objective.Objective,
    reject: Callable[..., NoReturn],
) -> None:
    """Rungs that are cheaper than the objective, and can be had beside it."""
    per_class, batch, fewest = training.per_class, training.recipe.batch, 0
    for number, rung in enumerate(ladder):
        where = f"ladder[{number}]"
        if (rung.score is None) == (rung.per_class is None):
            reject(where, "score, or per_class of a shorter training", "both" if rung.score is not None else "neither")
        if not 0 < rung.keep < 1:
            reject(f"{where}.keep", "a share between 0 and 1 of those that come to this rung", rung.keep)
        if rung.score is not None:
            if not own and rung.score not in proxy_names():
                near = difflib.get_close_matches(rung.score, proxy_names(), 1, cutoff=0.5)
                reject(f"{where}.score", "a raw score", f"'{rung.score}'" + (f", nearest is '{near[0]}'" if near else ""))
            if rung.score in wanted.proxies:
                reject(f"{where}.score", f"none of the objective {wanted.name}", f"'{rung.score}'")
        elif not trains:
            reject(f"{where}.per_class", "a score beside an objective that does not train", rung.per_class)
        elif rung.per_class is not None:
            most = f"more than on the rung before, and fewer than training.per_class ({per_class or 'all'})"
            if not fewest < rung.per_class < (per_class or math.inf):
                reject(f"{where}.per_class", most, rung.per_class)
            if rung.per_class * classes < batch:
                reject(f"{where}.per_class", f"a batch of {batch} of {classes} classes", rung.per_class)
            fewest = rung.per_class


def _check_training(config: SearchConfig, reject: Callable[..., NoReturn]) -> None:
    """A training and the objective that it is for, and nothing that only scores at initialisation have."""
    training, finalists = config.training, config.finalists
    if config.objective != TOP1:
        if training.images is not None:
            reject("training.images", f"none beside the objective {config.objective}", f"'{training.images}'")
        if finalists.longer:
            given = "per_class" if finalists.per_class is not None else "epochs"
            wanted = f"null beside the objective {config.objective}, which does not train"
            reject(f"finalists.{given}", wanted, getattr(finalists, given))
        return
    if training.images is None:
        reject("training.images", f"a folder of images beside the objective {TOP1}", "none")
    for name, value, default in (
        ("images", config.images, None),
        ("repeats", config.repeats, 1),
        ("proxies.file", config.proxies.file, None),
        ("budget.latency_ms", config.budget.latency_ms, None),
    ):
        if value != default:
            reject(name, f"{'none' if default is None else default} beside an objective that is trained", value)
    if config.objectives is not None and LATENCY in config.objectives:
        reject("objectives", f"no {LATENCY} beside an objective that is trained", LATENCY)

    def expect(holds: bool, where: str, expected: str, got: object) -> None:
        if not holds:
            reject(f"training.{where}", expected, got)

    check_recipe(training.recipe, training.pixels, training.per_class, expect)
    expect(training.held_out is None or training.held_out >= 1, "held_out", "at least 1 image of a class", training.held_out)
    fewest = math.inf if training.per_class is None else training.per_class
    if finalists.per_class is not None and finalists.per_class <= fewest:
        most = "all" if training.per_class is None else training.per_class
        reject("finalists.per_class", f"more than training.per_class ({most}), or null", finalists.per_class)
    if finalists.epochs is not None and finalists.epochs <= training.recipe.epochs:
        reject("finalists.epochs", f"more than training.recipe.epochs ({training.recipe.epochs}), or null", finalists.epochs)
    if finalists.reliability and finalists.longer:
        reject("finalists.reliability", "0 beside finalists that are trained longer than candidates", finalists.reliability)


def check_algorithm(config: SearchConfig, source: str) -> None:
    """Raise `InputError` for options and objectives that the algorithm does not know; one from a file has been registered."""
    _check_options(config.algorithm, config.algorithm_options, source)
    _check_objectives(config, source)
    if config.finalists.by_model and not ALGORITHMS[config.algorithm].estimates:
        raise InputError(
            f"{source}: finalists.by_model: expected 0 beside algorithm {config.algorithm}, which has no model of the scores; "
            f"got {config.finalists.by_model}"
        )


def _check_space(
    space: SpaceConfig, chosen: bool, reject: Callable[..., NoReturn], known: Callable[[str, str, Iterable[str]], None]
) -> None:
    """One way to name a space, and only keys that mean something beside it; `chosen`: a categorical space."""
    ways = ("preset", "architecture", "name", "file")
    given = [way for way in ways if getattr(space, way) is not None]
    if len(given) != 1 and not (space.fitted and not given):
        reject("space", f"one of {', '.join(ways[:-1])} and {ways[-1]}, or fitted", " and ".join(given) or "none")
    for name in space.fitted:
        known("space.fitted", name, PRESETS)
    if space.name is not None:
        known("space.name", space.name, SPACES)
    if len(space.stem) != 2:
        reject("space.stem", "two widths", space.stem)
    changed = [key for key in GRAPH_KEYS if getattr(space, key) != getattr(SpaceConfig(), key)]
    if chosen and changed:
        reject("space", f"no {', '.join(changed)} beside {given[0]}, whose space has none", "them")
    if space.preset is None and set(changed) & {"widths", "depths", "stem"}:
        way = given[0] if given else "fitted"
        reject("space", "widths, depths and stem beside a preset only", f"them beside space.{way}")
    if space.start is not None and not chosen:
        reject("space.start", "it beside name or file, whose genotypes it is one of", f"it beside {given[0]}")


def _check_edits(space: SpaceConfig, crossover: object, source: str) -> None:
    where = "space.vocabulary"
    try:
        edits.vocabulary(space.vocabulary)
        where = "space.prior"
        prior = edits.prior_of(space.prior)
    except InputError as error:
        raise InputError(f"{source}: {where}: {error}") from None
    named = sorted(UNSEEN & set(space.vocabulary))
    if named and not space.regularisers:
        raise InputError(
            f"{source}: space.vocabulary: expected operations that a score can see; got {', '.join(named)}: "
            "with space.regularisers=true edits insert them all the same"
        )
    if crossover and not any(prior[kind] for kind in edits.CROSSOVERS):
        raise InputError(
            f"{source}: space.prior: expected a weight above 0 for {' or '.join(edits.CROSSOVERS)} beside "
            "algorithm_options.crossover; got 0 for both"
        )


def _check_objectives(config: SearchConfig, source: str) -> None:
    def reject(expected: str, got: object) -> NoReturn:
        raise InputError(f"{source}: objectives: expected {expected}; got {got}")

    names, known = config.objectives, (SCORE, *COSTS)
    if names is None:
        names = list(ALGORITHMS[config.algorithm].objectives)
    elif not ALGORITHMS[config.algorithm].objectives:
        reject(f"none beside algorithm {config.algorithm} (pareto has several)", ", ".join(names))
    elif SCORE not in names or len(names) < 2:
        reject(f"{SCORE} (the objective) and at least one of {', '.join(COSTS)}", ", ".join(names) or "none")
    for place, name in enumerate(names):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.4)
            reject(f"names among {', '.join(known)}", f"'{name}'" + (f", nearest is '{near[0]}'" if near else ""))
        if name in names[:place]:
            reject("each name once", f"{name} twice")
    if config.latency != LatencyConfig() and LATENCY not in names and config.budget.latency_ms is None:
        raise InputError(
            f"{source}: latency: expected {LATENCY} among objectives, or budget.{LATENCY}, else nothing is measured; got neither"
        )


def _check_options(algorithm: str, given: Mapping[str, Any], source: str) -> None:
    known = ALGORITHMS[algorithm]
    options = {**known.options, **{old: known.options[new] for old, new in known.renamed.items() if new not in given}}
    for name, value in given.items():
        where = f"algorithm_options.{name}"
        if name not in options:
            raise InputError(f"{source}: {where}: {algorithm} knows {', '.join(known.options) or 'no options'}; got '{name}'")
        number, default = isinstance(value, int | float) and not isinstance(value, bool), options[name]
        if isinstance(default, float):
            if not number or not 0 <= value <= 1:
                raise InputError(f"{source}: {where}: expected a share from 0 to 1; got {value!r}")
        elif not number or isinstance(value, float) or value < min(default, 1):
            raise InputError(f"{source}: {where}: expected a whole number of at least {min(default, 1)}; got {value!r}")
