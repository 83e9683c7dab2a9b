"""Search over the space under a budget: ask, score, tell, journal, rank.

The API on one screen (names are imported when used, so that asking for help imports neither torch nor Ray):

    run = search.run("demo.yaml", ["evaluations=50"])      a whole search; run.best, run.table(), run.report(), run.resume()
    search.open("runs/demo-0")                             a run folder that is there

    config = load("search.yaml", ["evaluations=200"])      a checked SearchConfig
    begin(config, Path("runs/mine"), view=...)             a whole run in a new folder
    resume(Path("runs/mine"), {"evaluations": 400}, view=...)
    make("walk", space, objective, seed=0)                 one algorithm by itself: ask(), tell()
    rank_product(table), rank_average(table), ranks(values)
    OBJECTIVES["te_nas"].rank_table(table)         the population ranks of the papers: te_nas, az_nas, vkdnw_agg, rank_average
    estimate("kendall", scores, accuracies, seed=0)    how well scores order networks, with an interval; also paired_difference
    read(journal), rebuild(journal, space, digests)        a run's records; its architectures again
    ArchitectureSearcher(space, "top1", "max")             the space under ray.tune.Tuner, with any trainable
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from uninas.runtime import moved

if TYPE_CHECKING:
    from search.algorithms import ALGORITHMS, make
    from search.api import Run, open, run
    from search.config.loading import load
    from search.config.schema import SearchConfig
    from search.distributed.tune_searcher import ArchitectureSearcher
    from search.engine.driver import begin, resume
    from search.engine.finals.finalists import rebuild
    from search.journal.journal import read
    from search.ranking.correlation import estimate, paired_difference
    from search.ranking.objective import OBJECTIVES, Objective
    from search.ranking.ranks import rank_average, rank_product, ranks

moved.install()

__all__ = [
    "ALGORITHMS",
    "OBJECTIVES",
    "ArchitectureSearcher",
    "Objective",
    "Run",
    "SearchConfig",
    "begin",
    "estimate",
    "load",
    "make",
    "open",
    "paired_difference",
    "rank_average",
    "rank_product",
    "ranks",
    "read",
    "rebuild",
    "resume",
    "run",
]

_HOMES = {
    "run": "search.api",
    "open": "search.api",
    "Run": "search.api",
    "SearchConfig": "search.config.schema",
    "load": "search.config.loading",
    "begin": "search.engine.driver",
    "resume": "search.engine.driver",
    "make": "search.algorithms",
    "ALGORITHMS": "search.algorithms",
    "OBJECTIVES": "search.ranking.objective",
    "Objective": "search.ranking.objective",
    "estimate": "search.ranking.correlation",
    "paired_difference": "search.ranking.correlation",
    "rank_product": "search.ranking.ranks",
    "rank_average": "search.ranking.ranks",
    "ranks": "search.ranking.ranks",
    "read": "search.journal.journal",
    "rebuild": "search.engine.finals.finalists",
    "ArchitectureSearcher": "search.distributed.tune_searcher",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'search' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
