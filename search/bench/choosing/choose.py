"""Choose an aggregate of proxies on one half of the networks, and report it on the other: `uninas bench choose`.

1. The networks that all runs share are split in two halves by the seed, the same split on every dataset.
2. Candidates are all sets of 1 to `largest` components, their ranks within the half multiplied
   (`search.bench.judging.aggregates`).
3. Chosen on the first half: the set whose smallest gain over the reference, over all metrics and datasets, is largest. A gain
   counts in standard errors of itself, by a bootstrap that draws the same networks for both: Kendall's tau and nDCG have
   different scales and very different noise, and a gain of three errors is as sure in one as in the other. A quick look
   (Spearman and nDCG) at every set leaves `SHORTLIST` for this. Of the sets within one standard error of the best, those
   that gain everywhere if the best does, the smallest are taken, and of these the best.
4. Reported on the second half, which nothing above has seen: the figures of the chosen set and of the runners-up.
5. The same for further splits, which show how much the choice depends on the split, and decide nothing.
6. Within the families of a timm run, where one is given: networks and accuracies on which nothing was chosen.

FOLDER/choose.json holds it all; `uninas bench results` makes a page of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from proxies.table import TABLE
from search.bench.benchmarks import accuracy_table
from search.bench.choosing.choice import FILE, Choice, Split, Tried, often
from search.bench.choosing.meanings import explained
from search.bench.judging import finish
from search.bench.judging.aggregates import PAIRS, Comparison, Judge, comparison, count_sets, judge_of, objective, screen, usable
from search.bench.scoring import settings as settings_files
from search.bench.scoring.plan import chosen_proxies, known_proxies
from search.bench.scoring.run import revisions_of
from search.bench.scoring.settings import Settings
from search.ranking import correlation
from search.ranking.objective import OBJECTIVES
from uninas.errors import InputError

__all__ = ["FILE", "REFERENCE", "choose", "halves", "read_families", "read_runs", "select", "show"]

REFERENCE = "vkdnw_agg"
LEFT_OUT = tuple(name for name, spec in TABLE.items() if "choose" in spec.left_out)
"""No component unless it is asked for: what needs a thin copy of the network, which not every network has."""

SHORTLIST = 100
SHORTLIST_RESAMPLES = 100
"""Resamples behind the standard errors of the shortlist; known to a fourteenth of themselves."""

RUNNERS_UP = 10
MIN_NETWORKS = 20

Note = Callable[[str], None]


def choose(
    runs: Sequence[Path],
    *,
    timm: Path | None = None,
    components: str | None = None,
    largest: int = 5,
    seed: int = 0,
    resamples: int = 1000,
    splits: int = 5,
    out: Path | None = None,
    note: Note = lambda text: None,
) -> tuple[Path, Choice]:
    """Choose, report, write.

    A search takes the result: `objective: {file: FOLDER/choose.json}`.

    Args:
        runs: folders of runs of nasbench201, one per dataset.
        timm: folder of a run of timm.
        components: names separated by commas; None for all raw proxies that the runs have, but `LEFT_OUT`.
        largest: of a set.
        seed: decides the split and all draws.
        resamples: of the bootstrap behind every reported interval.
        splits: further splits, by the seeds behind `seed`.
        out: folder to create; default runs/aggregate-<seed>.
        note: called with what takes long.

    Returns:
        the folder, and what its choose.json holds.

    Raises:
        InputError: no runs, runs that do not belong together, scores that are missing, too few networks, or the disk.
    """
    folder = out or Path("runs") / f"aggregate-{seed}"
    if folder.exists():
        raise InputError(f"{folder}: expected a new folder; it exists: give another --out")
    tables, settings = read_runs(runs)
    families = read_families(timm) if timm is not None else {}
    if timm is not None:
        _check_revisions(timm, runs[0])
    everywhere = [*tables.values(), *families.values()]
    names, left_out = _components(everywhere, list(tables.values()), components)
    size = min(largest, len(names))
    note(f"{len(next(iter(tables.values())))} networks in all of {', '.join(tables)}; half of them choose")

    first, ordered, top = _shortlist(tables, names, size, seed, note)
    best = select(ordered)
    runners = _runners_up(ordered, best)
    note(f"seed {seed}: {', '.join(best.components)}; reporting it and {len(runners)} others on the other half")
    reported = _report(tables, [best, *runners], seed, resamples)
    further = []
    for other in range(seed + 1, seed + 1 + splits):
        _, others, _ = _shortlist(tables, names, size, other, lambda text: None)
        found = _report(tables, [select(others)], other, resamples)[0]
        note(f"seed {other}: {', '.join(found.components)}")
        further.append(Split(other, found))
    members = {  # each has its own draws, so that families of one size are resampled differently
        family: _judge(family, table, resamples, seed + place) for place, (family, table) in enumerate(families.items())
    }
    within = {family: _compare(judge, best.components) for family, judge in members.items()}
    choice = Choice(
        settings={
            "runs": {dataset: run.resolve().name for dataset, run in zip(tables, runs, strict=True)},
            "timm": None if timm is None else timm.resolve().name,
            "reference": REFERENCE,
            "components": list(names),
            "left_out": left_out,
            "largest": size,
            "sets": count_sets(len(names), size),
            "shortlist": len(ordered),
            "shortlist_resamples": SHORTLIST_RESAMPLES,
            "seed": seed,
            "resamples": resamples,
            "networks": len(next(iter(tables.values()))),
            "population": next(iter(settings.values())).population,
            "chosen_on": first,
            "reported_on": len(next(iter(tables.values()))) - first,
            "top": top,
            "batch": {dataset: one.batch for dataset, one in settings.items()},
            "probes": {dataset: one.probes for dataset, one in settings.items()},
        },
        explanation=explained(best.components),
        chosen=reported[0],
        runners_up=tuple(reported[1:]),
        splits=tuple(further),
        families={family: len(table) for family, table in families.items()},
        within=tuple(one for found in within.values() for one in found),
        mean=_means(list(members.values()), best.components),
        environment=finish.judged_with(),
    )
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot create the folder: {error.strerror}") from None
    choice.write(folder)
    return folder, choice


# --- what is read -----------------------------------------------------------------------------------------------------------


def read_runs(runs: Sequence[Path]) -> tuple[dict[str, pandas.DataFrame], dict[str, Settings]]:
    """Read the scores of runs: dataset -> the networks that all of them share, sorted by index; dataset -> the run's settings.

    Batch and probes may differ: a dataset of more classes may be scored more cheaply.

    Raises:
        InputError: no run, one of another benchmark or that is not judged yet, a dataset twice, runs of different populations,
            seeds or revisions of a proxy, or fewer than `MIN_NETWORKS` shared networks.
    """
    if not runs:
        raise InputError("choose: expected at least one folder of a run of nasbench201; got none")
    tables: dict[str, pandas.DataFrame] = {}
    read: dict[str, Settings] = {}
    first = settings_files.read_settings(runs[0])
    for run in runs:
        settings = settings_files.read_settings(run)
        if settings.benchmark != "nasbench201":
            raise InputError(f"{run}: expected a run of nasbench201; got one of {settings.benchmark}")
        if settings.dataset in tables:
            raise InputError(f"{run}: expected one run per dataset; got another of {settings.dataset}")
        for what in ("population", "population_digest", "seed"):
            if getattr(settings, what) != getattr(first, what):
                raise InputError(
                    f"{run}: expected the same {what} as {runs[0]}, {getattr(first, what)}; got {getattr(settings, what)}"
                )
        _check_revisions(run, runs[0])
        read[settings.dataset] = settings
        tables[settings.dataset] = _scores(run).sort_values("index").set_index("index")
    shared = sorted(set.intersection(*(set(table.index) for table in tables.values())))
    if len(shared) < MIN_NETWORKS:
        raise InputError(
            f"choose: expected at least {MIN_NETWORKS} networks in all runs; {', '.join(map(str, runs))} share {len(shared)}"
        )
    return {dataset: table.loc[shared].reset_index() for dataset, table in tables.items()}, read


def read_families(run: Path) -> dict[str, pandas.DataFrame]:
    """Read the scores of a run of timm: family -> its networks.

    Raises:
        InputError: another benchmark's run, or one that is not judged yet.
    """
    settings = settings_files.read_settings(run)
    if settings.benchmark != "timm":
        raise InputError(f"{run}: expected a run of timm; got one of {settings.benchmark}")
    table = _scores(run, "family")
    return {str(family): members.reset_index(drop=True) for family, members in table.groupby("family", sort=False)}


def _check_revisions(run: Path, first: Path) -> None:
    """Refuse two runs that scored a label by different definitions of its proxy: no sum of their ranks means anything."""
    here, there = revisions_of(run), revisions_of(first)
    differ = sorted(label for label in here.keys() & there.keys() if here[label] != there[label])
    if differ:
        raise InputError(
            f"{run}: expected the scores of {', '.join(differ)} by the definitions that {first} has; they changed in between: "
            f"score the older run anew with --again {','.join(differ)}"
        )


def _scores(run: Path, *more: str) -> pandas.DataFrame:
    path = run / finish.SCORES
    if not path.is_file():
        raise InputError(
            f"{run}: expected a judged run, with {finish.SCORES}; there is none: uninas bench ... --resume {run} --as-is"
        )
    table = accuracy_table.read_csv(path, ("network", "index", "accuracy", *more), "a table of scores")
    missing = [name for name in OBJECTIVES[REFERENCE].proxies if name not in table.columns]
    if missing:
        raise InputError(f"{run}: expected all raw scores of {REFERENCE}; missing: {', '.join(missing)}")
    accuracy_table.check_numbers(path, table, ("index", "accuracy", *OBJECTIVES[REFERENCE].proxies))
    return table


def _components(
    everywhere: Sequence[pandas.DataFrame], tables: Sequence[pandas.DataFrame], asked: str | None
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
    own = [{pair: name for name, pair in PAIRS.items()}.get(column, column[0]) for column in OBJECTIVES[REFERENCE].columns]
    names = tuple(dict.fromkeys([*own, *known_proxies()]))
    there = [name for name in names if all(column in one.columns for one in everywhere for column in PAIRS.get(name, (name,)))]
    reasons = {name: "not scored in every run" for name in names if name not in there}
    reasons |= dict.fromkeys(LEFT_OUT, "needs a thin copy of the network")
    kept, others = usable(tables, [name for name in there if name not in LEFT_OUT])
    return kept, reasons | others


# --- the choice -------------------------------------------------------------------------------------------------------------


def halves(count: int, seed: int) -> tuple[Any, Any]:
    """Split the places 0 .. count - 1 at random: those that choose, one more where the count is odd, and those that report."""
    order = np.random.default_rng([seed, 4]).permutation(count)
    return order[: (count + 1) // 2], order[(count + 1) // 2 :]


def _shortlist(
    tables: Mapping[str, pandas.DataFrame], names: Sequence[str], size: int, seed: int, note: Note
) -> tuple[int, list[Tried], int]:
    """Judge the most promising sets on the first half: its networks, the sets, the largest smallest gain first, and P of nDCG."""
    judges = _judges(tables, seed, 0, SHORTLIST_RESAMPLES)
    sets = screen(judges, names, size, keep=SHORTLIST, note=note)
    note(f"judging {len(sets)} sets of them by all metrics, {SHORTLIST_RESAMPLES} resamples each")
    tried = []
    for components in sets:
        found = tuple(one for judge in judges for one in _compare(judge, components))
        tried.append(Tried(components, found))
    return len(judges[0].table), sorted(tried, key=lambda one: (-one.worst, len(one.components), one.components)), judges[0].top


def select(ordered: Sequence[Tried]) -> Tried:
    """Take the smallest of the sets that are within one standard error of the best, `ordered` by the smallest gain, best first.

    Where the best gains everywhere, so does what is taken: a smaller set that loses somewhere is no near-equal.
    """
    best = ordered[0].worst
    near = [one for one in ordered if one.worst >= best - 1.0 and (one.worst > 0 or best <= 0)]
    return min(near, key=lambda one: (len(one.components), -one.worst))


def _runners_up(ordered: Sequence[Tried], best: Tried) -> list[Tried]:
    """Give the next `RUNNERS_UP` sets, and the best of each size that is not among them."""
    others = [one for one in ordered if one is not best]
    first_of_size = {len(one.components): one for one in reversed(ordered)}
    return [one for place, one in enumerate(others) if place < RUNNERS_UP or first_of_size[len(one.components)] is one]


def _report(tables: Mapping[str, pandas.DataFrame], tried: Sequence[Tried], seed: int, resamples: int) -> list[Tried]:
    """Add the figures on the second half."""
    judges = _judges(tables, seed, 1, resamples)
    return [
        Tried(one.components, one.first, tuple(found for judge in judges for found in _compare(judge, one.components)))
        for one in tried
    ]


def _judges(tables: Mapping[str, pandas.DataFrame], seed: int, half: int, resamples: int) -> list[Judge]:
    """Make one judge per dataset, of one half of the networks; no rank is taken over both."""
    return [
        _judge(dataset, table.iloc[halves(len(table), seed)[half]].reset_index(drop=True), resamples, seed)
        for dataset, table in tables.items()
    ]


def _judge(name: str, table: pandas.DataFrame, resamples: int, seed: int) -> Judge:
    return judge_of(name, table, OBJECTIVES[REFERENCE], resamples=resamples, seed=seed)


def _compare(judge: Judge, components: Sequence[str]) -> tuple[Comparison, ...]:
    return judge.compare(objective(components).rank_table(judge.table))


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


# --- what a person sees -----------------------------------------------------------------------------------------------------


def show(choice: Choice, write_line: Callable[[Any], None]) -> None:
    """Show the choice: what it is, its figures on the second half, how stable it is, and the objective that a search takes."""
    from rich.table import Table

    chosen, settings = choice.chosen, choice.settings
    title = (
        f"{' + '.join(chosen.components)}: chosen on {settings['chosen_on']} networks of {settings['networks']} "
        f"from {settings['sets']:,} sets, judged on the others"
    )
    shown = Table(title=title, title_justify="left")
    for name in ("", "metric", "chosen", REFERENCE, "difference"):
        shown.add_column(name, justify="left" if name in ("", "metric") else "right", no_wrap=True)
    for one in (*chosen.second, *choice.mean):
        where = "timm, mean of families" if one.where == "mean" else one.where
        shown.add_row(
            where, one.metric, *(finish.written(figure.as_dict()) for figure in (one.ours, one.reference, one.difference))
        )
    write_line(shown)
    write_line(choice.explanation)
    write_line(f"smallest gain on the first half: {chosen.worst:.2f} standard errors")
    write_line(f"the other half: {_counted(chosen)}")
    for split in choice.splits:
        write_line(f"seed {split.seed}: {' + '.join(split.chosen.components)}: {_counted(split.chosen)}")
    write_line("chosen how often: " + ", ".join(f"{name} {times}" for name, times in often(choice).items()))
    write_line(f"objective: {objective(chosen.components).name}")


def _counted(one: Tried) -> str:
    return f"better with 95% confidence on {one.above} of {len(one.second)} figures, worse on {one.below}"
