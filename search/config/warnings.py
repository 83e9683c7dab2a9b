"""Warnings about settings that may not do what their user expects. They are shown when a run begins; it runs anyway."""

from __future__ import annotations

from proxies.registry import spec
from search.algorithms import described
from search.config.schema import PoolConfig, ProxyConfig, SearchConfig, SpaceConfig
from search.config.score_options import SPECTRAL, options_of
from search.config.spectra import ranks
from search.config.trained import TOP1
from search.ranking.objective import SPECTRA, find
from uninas.edits import CROSSOVERS

STRAGGLER = 10  # a window of fewer a worker lets a candidate of so many times the mean time hold the others up
MANY_WORKERS = 32  # fewer seldom meet a straggler
OF_RAY = ("workers", "min_workers", "gpus_per_worker", "batch", "dashboard", "address")  # keys of pool for workers of Ray
_SAMPLES = ("random", "aging_evolution", "model")  # algorithms that draw samples of the space, all of them or the first


def warnings(config: SearchConfig, *, timed: bool) -> list[str]:
    """Give every warning, one line each; `timed`: whether latency is measured."""
    algorithm = described(config.algorithm)
    window = config.window or algorithm.window
    workers = 1 if config.pool.kind == "serial" else config.pool.workers
    found = window_warnings(workers, window, config.order, config.evaluations, learns=config.algorithm != "random")
    population = {**algorithm.options, **config.algorithm_options}.get("population", 0)
    if population >= config.evaluations:
        found.append(f"warning: a population of {population} holds all {config.evaluations} candidates: nothing is ever selected")
    for old, new in algorithm.renamed.items():
        if old in config.algorithm_options:
            found.append(f"warning: algorithm_options.{old} is called {new} now; the old name works until version 0.3")
    found += [f"warning: {said}" for said in _without_effect(config)]
    wanted = find(config.objective)
    for rank in ranks(wanted.proxies, options_of(config.proxies, wanted), batch=config.batch, classes=config.classes):
        if said := rank.limit(config.budget.layers):
            found.append(f"warning: {said}")
    if config.pool.deadline_s is not None and config.finalists.longer:
        found.append(f"warning: the deadline of {config.pool.deadline_s:g} s counts for the longer trainings of finalists, too")
    if timed and 0 < config.pool.gpus_per_worker < 1 and config.pool.kind != "serial":
        found.append("warning: workers share a GPU: a latency measured beside a busy neighbour is longer")
    return found


def _without_effect(config: SearchConfig) -> list[str]:
    """Name keys that were given and that nothing reads."""
    space, found = config.space, []
    if config.algorithm not in _SAMPLES and not config.baseline:
        given = [f"space.{name}" for name in ("sampler", "random_edits") if getattr(space, name) != getattr(SpaceConfig(), name)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: {config.algorithm} without baseline draws no random samples")
    if config.pool.kind == "serial":
        given = [f"pool.{name}" for name in OF_RAY if getattr(config.pool, name) != getattr(PoolConfig(), name)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: pool.kind serial has one worker, this process")
    if not config.algorithm_options.get("crossover"):
        given = [f"space.prior.{kind}" for kind in CROSSOVERS if space.prior.get(kind)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: algorithm_options.crossover is 0")
    if not set(find(config.objective).proxies) & set(SPECTRA):
        given = [f"proxies.{name}" for name in SPECTRAL if getattr(config.proxies, name) != getattr(ProxyConfig(), name)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: {config.objective} has no score of a Fisher spectrum")
    if config.objective == TOP1:
        given = [name for name in ("batch",) if getattr(config, name) != getattr(SearchConfig(), name)]
        if given:
            found.append(f"no effect of {' and '.join(given)}: candidates are trained by training.recipe, which has its own")
    if config.images is not None and not any(spec(name).real_input for name in find(config.objective).proxies):
        found.append(f"no effect of images: {config.objective} has no score that takes real ones")
    return found


def cores_warnings(pool: PoolConfig, cores: int) -> list[str]:
    """Say that a pool has more workers than the machine on which its Ray is started has cores; workers on GPUs wait for those.

    Args:
        pool: of the configuration.
        cores: that this process may use.
    """
    if pool.kind == "serial" or pool.address is not None or pool.gpus_per_worker or pool.workers <= cores:
        return []
    return [
        f"warning: pool.workers is {pool.workers}, and this process may use {cores} processor cores: more workers than cores "
        f"gain no time, and each takes memory: set pool.workers={cores}"
    ]


def window_warnings(workers: int, window: int, order: str, evaluations: int, *, learns: bool = True) -> list[str]:
    """Say what a window does to so many workers and evaluations that its user may not want.

    W asks in ask order take at least as long as the longest of W candidates, since an ask behind them waits for it: so n workers
    are kept busy where W >= n x longest / mean (docs/benchmarks/simulator.md).
    """
    warnings = []
    said = f"warning: {workers} workers, but a window of {window}"
    cure = f"raise window to workers x longest / mean time, or set order=completion and window={workers}"
    if workers > window:
        found = f"{said}: more than {window} are never busy"
        warnings.append(f"{found}, in ask order far fewer: {cure}" if order == "ask" else f"{found}: raise window to {workers}")
    elif order == "ask" and workers >= MANY_WORKERS and window < STRAGGLER * workers:
        warnings.append(f"{said} in ask order: all wait for a candidate of {window / workers:.1f} times the mean time: {cure}")
    if learns and 1 < evaluations <= window:
        warnings.append(f"warning: a window of {window} and {evaluations} evaluations: none is asked after a result was seen")
    return warnings
