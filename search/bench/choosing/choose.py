"""Choose an aggregate of proxies on one half of the networks, and report it on the other: `uninas bench choose`.

1. Runs that scored the same networks are one set (`search.bench.choosing.referees`). The networks of each set are split in two
   halves by the seed, the same split for all referees of the set.
2. Candidates are all sets of 1 to `largest` components, their ranks within the half multiplied
   (`search.bench.judging.aggregates`), that cost no more than a limit where there is one (`search.bench.choosing.costs`).
3. A candidate's value is its mean gain over the reference on the first halves (`search.bench.choosing.criterion`). A quick
   look at every set (`search.bench.choosing.screening`) leaves `SHORTLIST` and the best of each size and cost for exact
   judging. Of the sets that the best does not surpass by more than one standard error of the difference, over all sets of
   networks and on each, and that gain if the best does, the smallest are taken, and of these the best.
4. Reported on the second halves, which nothing above has seen: the figures of the chosen set, of the best single score, of
   the best of each size and for their cost, and of the runners-up.
5. The same for further splits, which show how much the choice depends on the split, and decide nothing.
6. Within the families of a timm run, where one is given: networks and accuracies on which nothing was chosen.

FOLDER/choose.json holds it all; `python -m benchmarks.results` makes a page of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from proxies.table import TABLE
from search.bench.choosing.choice import FILE, Choice, Split, Tried
from search.bench.choosing.costs import Prices, check_limit, prices_of
from search.bench.choosing.criterion import DECIDING, DECIDING_AT_BUDGET, Panel, Weights, panel_of, weights_of
from search.bench.choosing.meanings import explained
from search.bench.choosing.referees import NetworkSet, check_revisions, read_families, read_sets
from search.bench.choosing.screening import screen
from search.bench.choosing.shown import show
from search.bench.judging import finish
from search.bench.judging.aggregates import (
    PAIRS,
    Comparison,
    Judge,
    Measured,
    comparison,
    count_sets,
    judge_of,
    objective,
    usable,
)
from search.bench.scoring.plan import chosen_proxies, known_proxies
from search.ranking import correlation
from search.ranking.objective import Objective, check_names, find
from uninas.errors import InputError
from uninas.runtime.progress import View

__all__ = ["FILE", "REFERENCE", "choose", "select", "show"]

REFERENCE = "vkdnw_agg"
LEFT_OUT = tuple(name for name, spec in TABLE.items() if "choose" in spec.left_out)
"""No component unless it is asked for: what needs a thin copy of the network, which not every network has."""

SHORTLIST = 100
SHORTLIST_RESAMPLES = 100
"""Resamples behind the standard errors of the shortlist; known to a fourteenth of themselves."""

RUNNERS_UP = 10


@dataclass(frozen=True, eq=False)
class _Task:
    """What is asked of every split."""

    sets: tuple[NetworkSet, ...]
    reference: Objective
    deciding: tuple[str, ...]
    names: tuple[str, ...]
    largest: int
    prices: Prices | None
    limit: float | None

    def panel(self, half: int, seed: int, resamples: int) -> Panel:
        """Give the judges of a half."""
        return panel_of(self.sets, half, self.reference, resamples=resamples, seed=seed, deciding=self.deciding)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A set that was judged on the first half.

    Attributes:
        tried: it.
        values: its value, and that on each set of networks alone, with those on the resamples.
    """

    tried: Tried
    values: tuple[Measured, ...]

    def near(self, best: Candidate) -> bool:
        """Whether another does not surpass it by more than one standard error of their difference, over all and in each set."""
        return all(_near(ours, theirs) for ours, theirs in zip(self.values, best.values, strict=True))


def choose(
    runs: Sequence[Path],
    *,
    timm: Path | None = None,
    components: str | None = None,
    largest: int = 5,
    cost: float | None = None,
    at_budget: bool = False,
    reference: str = REFERENCE,
    seed: int = 0,
    resamples: int = 1000,
    splits: int = 5,
    out: Path | None = None,
    view: View | None = None,
) -> tuple[Path, Choice]:
    """Choose, report, write.

    A search takes the result: `objective: {file: FOLDER/choose.json}`.

    Args:
        runs: folders of judged runs of any benchmark but timm: the referees.
        timm: folder of a run of timm.
        components: names separated by commas; None for all raw proxies that the runs have, but `LEFT_OUT`.
        largest: of a set.
        cost: CPU-seconds of a network that no set may exceed, see `search.bench.choosing.costs`; None for any.
        at_budget: whether the correlation at equal budget decides alone, instead of Kendall, Spearman and nDCG.
        reference: the objective that gains are over.
        seed: decides the splits and all draws.
        resamples: of the bootstrap behind every reported interval.
        splits: further splits, by the seeds behind `seed`.
        out: folder to create; default runs/aggregate-<seed>.
        view: sees what takes long.

    Returns:
        the folder, and what its choose.json holds.

    Raises:
        InputError: no runs, runs that do not belong together, scores or costs that are missing, too few networks, or the disk.
    """

    def note(text: str) -> None:
        if view is not None:
            view.note(text)

    folder = out or Path("runs") / f"aggregate-{seed}"
    if folder.exists():
        raise InputError(f"{folder}: expected a new folder; it exists: give another --out")
    held = find(reference)
    check_names(held)
    sets = read_sets(runs, held)
    families = read_families(timm, held) if timm is not None else {}
    if timm is not None:
        check_revisions(timm, runs[0])
    tables = [referee.table for one in sets for referee in one.referees]
    names, left_out = _components([*tables, *families.values()], tables, components, held)
    prices = prices_of(sets, names)
    check_limit(prices, cost)
    deciding = DECIDING_AT_BUDGET if at_budget else DECIDING
    task = _Task(sets, held, deciding, names, min(largest, len(names)), prices, cost)
    for one in sets:
        note(f"{one.name}: {len(one)} networks, {len(one.referees)} referees; half of the networks choose")

    panel, weights, ordered = _shortlist(task, seed, view)
    best = select(ordered)
    sizes = [
        next(one for one in ordered if len(one.tried.components) == size) for size in sorted({_size(one) for one in ordered})
    ]
    frontier = _frontier(ordered)
    runners = [one for one in ordered if one is not best][:RUNNERS_UP]
    listed = list({id(one): one.tried for one in (best, *sizes, *frontier, *runners)}.values())
    note(f"seed {seed}: {', '.join(best.tried.components)}; reporting it and {len(listed) - 1} others on the other half")
    reported = {one.components: one for one in _report(task, weights, listed, seed, resamples)}

    def second(candidates: Sequence[Candidate]) -> tuple[Tried, ...]:
        return tuple(reported[one.tried.components] for one in candidates)

    further = []
    for other in range(seed + 1, seed + 1 + splits):
        _, others_weights, others = _shortlist(task, other, None)
        found = _report(task, others_weights, [select(others).tried], other, resamples)[0]
        note(f"seed {other}: {', '.join(found.components)}")
        further.append(Split(other, found))
    members = {  # each has its own draws, so that families of one size are resampled differently
        family: judge_of(family, table, held, resamples=resamples, seed=seed + place)
        for place, (family, table) in enumerate(families.items())
    }
    chosen = objective(best.tried.components)
    choice = Choice(
        settings={
            "runs": {referee.key: referee.run.resolve().name for one in sets for referee in one.referees},
            "sets": {one.name: [referee.key for referee in one.referees] for one in sets},
            "timm": None if timm is None else timm.resolve().name,
            "reference": held.name,
            "components": list(names),
            "left_out": left_out,
            "largest": task.largest,
            "cost": cost,
            "deciding": list(deciding),
            "candidates": count_sets(len(names), task.largest),
            "shortlist": len(ordered),
            "shortlist_resamples": SHORTLIST_RESAMPLES,
            "seed": seed,
            "resamples": resamples,
            "networks": {one.name: len(one) for one in sets},
            "chosen_on": {one.name: (len(one) + 1) // 2 for one in sets},
            "reported_on": {one.name: len(one) // 2 for one in sets},
            "weights": {metric: _by_set(sets, weights.shares(metric)) for metric in deciding},
            "spread": {metric: weights.spread[metric] for metric in deciding},
            "top": {judge.name: judge.top for judge in panel.every},
            "population": {referee.key: referee.settings.population for one in sets for referee in one.referees},
            "batch": {referee.key: referee.settings.batch for one in sets for referee in one.referees},
            "probes": {referee.key: referee.settings.probes for one in sets for referee in one.referees},
        },
        explanation=explained(best.tried.components),
        chosen=reported[best.tried.components],
        single=second(sizes[:1])[0],
        frontier=second(frontier),
        sizes=second(sizes),
        runners_up=second(runners),
        splits=tuple(further),
        families={family: len(table) for family, table in families.items()},
        within=tuple(one for judge in members.values() for one in judge.compare(chosen.rank_table(judge.table))),
        mean=_means(list(members.values()), best.tried.components),
        environment=finish.judged_with(),
    )
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create the folder: {error.strerror}") from None
    choice.write(folder)
    return folder, choice


def _by_set(sets: Sequence[NetworkSet], values: Sequence[float]) -> dict[str, float]:
    return {one.name: value for one, value in zip(sets, values, strict=True)}


def _components(
    everywhere: Sequence[pandas.DataFrame], tables: Sequence[pandas.DataFrame], asked: str | None, reference: Objective
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Decide the components; the reference's own come first, so that of two that order alike its own stays."""
    if asked is not None:
        names = chosen_proxies(asked, "--components")
        absent = {
            name: [column for column in PAIRS.get(name, (name,)) if any(column not in one.columns for one in everywhere)]
            for name in names
        }
        missing = [column for columns in absent.values() for column in columns]
        if missing:
            raise InputError(f"--components: expected scores that every run has; not in all: {', '.join(dict.fromkeys(missing))}")
        return names, {}
    own = [{pair: name for name, pair in PAIRS.items()}.get(column, column[0]) for column in reference.columns]
    names = tuple(dict.fromkeys([*own, *known_proxies()]))
    there = [name for name in names if all(column in one.columns for one in everywhere for column in PAIRS.get(name, (name,)))]
    reasons = {name: "not scored in every run" for name in names if name not in there}
    reasons |= dict.fromkeys(LEFT_OUT, "needs a thin copy of the network")
    kept, others = usable(tables, [name for name in there if name not in LEFT_OUT])
    return kept, reasons | others


# --- the choice -------------------------------------------------------------------------------------------------------------


def _shortlist(task: _Task, seed: int, view: View | None) -> tuple[Panel, Weights, list[Candidate]]:
    """Judge the most promising sets on the first halves, the largest value first."""
    panel = task.panel(0, seed, SHORTLIST_RESAMPLES)
    weights = weights_of(panel, task.names, task.largest, seed)
    found = screen(panel, weights, task.names, task.largest, keep=SHORTLIST, prices=task.prices, limit=task.limit, view=view)
    if view is not None:
        view.note(f"judging {len(found)} sets of them by all metrics, {SHORTLIST_RESAMPLES} resamples each")
    candidates = []
    for components in found:
        figures = panel.measure(components)
        value, draws = figures.value(weights)
        price = (None, {}) if task.prices is None else (task.prices.total(components), task.prices.each(components))
        tried = Tried(components, value, figures.comparisons(weights), cost=price[0], costs=price[1])
        candidates.append(Candidate(tried, ((value, draws), *figures.values(weights))))
    return panel, weights, sorted(candidates, key=lambda one: (-one.tried.value, _size(one), one.tried.components))


def _size(one: Candidate) -> int:
    return len(one.tried.components)


def select(ordered: Sequence[Candidate]) -> Candidate:
    """Take the smallest of the sets that the best hardly surpasses, anywhere (`Candidate.near`), of these the best.

    Where the best gains, so does what is taken.

    Args:
        ordered: the largest value first.
    """
    best = ordered[0]
    near = [one for one in ordered if one.near(best) and (one.tried.value > 0 or best.tried.value <= 0)]
    return min([best, *near], key=lambda one: (_size(one), -one.tried.value))


def _near(ours: Measured, best: Measured) -> bool:
    if not np.isfinite(ours[0]):
        return False
    behind = best[1] - ours[1]
    behind = behind[np.isfinite(behind)]
    error = float(behind.std(ddof=1)) if len(behind) > 1 else 0.0
    return best[0] - ours[0] <= error


def _frontier(ordered: Sequence[Candidate]) -> list[Candidate]:
    """Give the sets that are worth more than all cheaper ones, the cheapest first; none where nobody measured the cost."""
    found: list[Candidate] = []
    by_cost = sorted((one for one in ordered if one.tried.cost is not None), key=lambda one: (one.tried.cost, -one.tried.value))
    for one in by_cost:
        if np.isfinite(one.tried.value) and (not found or one.tried.value > found[-1].tried.value):
            found.append(one)
    return found


def _report(task: _Task, weights: Weights, tried: Sequence[Tried], seed: int, resamples: int) -> list[Tried]:
    """Add the figures on the second halves; the weights of their means are those that chose."""
    panel = task.panel(1, seed, resamples)
    return [replace(one, second=panel.measure(one.components).comparisons(weights)) for one in tried]


def _means(judges: Sequence[Judge], components: Sequence[str]) -> tuple[Comparison, ...]:
    """Compare the means over families, each counting the same; each family's networks are resampled by themselves.

    A family in which a figure does not exist, on all of its networks or on a resample, is left out of that mean.
    """
    found = []
    for metric in correlation.METRICS if judges else ():
        ours = [judge.measure(metric, objective(components).rank_table(judge.table)) for judge in judges]
        pairs = [pair for pair in zip(ours, (judge.reference[metric] for judge in judges), strict=True) if _exists(*pair)]
        if pairs:
            values = np.array([[one[0] for one in pair] for pair in pairs])
            draws = np.array([[one[1] for one in pair] for pair in pairs])  # families x 2 x resamples
            draws = np.where(np.isfinite(draws).all(axis=1, keepdims=True), draws, np.nan)
            draws = draws[:, :, np.isfinite(draws).any(axis=(0, 1))]
            mean, spread = values.mean(axis=0), np.nanmean(draws, axis=0)
            found.append(comparison("mean", metric, (float(mean[0]), spread[0]), (float(mean[1]), spread[1])))
    return tuple(found)


def _exists(*measured: tuple[float, Any]) -> bool:
    return all(np.isfinite(value) for value, _ in measured)
