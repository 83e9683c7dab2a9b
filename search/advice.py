"""What a configuration says that will not do what its user may think: warnings, told when a run begins. It runs all the same."""

from __future__ import annotations

from search import latency
from search.algorithms import ALGORITHMS
from search.objective import SPECTRA, find
from search.schema import ProxyConfig, SearchConfig, SpaceConfig
from search.window import window_warnings
from uninas.edits import CROSSOVERS

_SAMPLES = ("random", "aging_evolution")  # algorithms that draw samples of the space, all of them or the first


def warnings(config: SearchConfig) -> list[str]:
    """Every warning, a line each."""
    window = config.window or ALGORITHMS[config.algorithm].window
    found = window_warnings(config.pool.workers, window, config.order, config.evaluations, learns=config.algorithm != "random")
    population = {**ALGORITHMS[config.algorithm].options, **config.algorithm_options}.get("population", 0)
    if population >= config.evaluations:
        found.append(f"warning: a population of {population} holds all {config.evaluations} candidates: nothing is ever selected")
    return [*found, *(f"warning: {said}" for said in _without_effect(config)), *latency.warnings(config)]


def _without_effect(config: SearchConfig) -> list[str]:
    """Keys that were given and that nothing reads."""
    space, found = config.space, []
    if config.algorithm not in _SAMPLES and not config.baseline:
        given = [f"space.{name}" for name in ("sampler", "random_edits") if getattr(space, name) != getattr(SpaceConfig(), name)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: {config.algorithm} without baseline draws no random samples")
    if not config.algorithm_options.get("crossover"):
        given = [f"space.prior.{kind}" for kind in CROSSOVERS if space.prior.get(kind)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: algorithm_options.crossover is 0")
    if not set(find(config.objective).proxies) & set(SPECTRA):
        given = [f"proxies.{name}" for name, value in vars(config.proxies).items() if value != getattr(ProxyConfig(), name)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: {config.objective} has no score of a Fisher spectrum")
    return found
