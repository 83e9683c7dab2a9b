"""How far each score can be trusted: do seeds agree, on random networks of the demo's space and where a search has arrived?

    uninas search configs/search/demo.yaml baseline=false --out runs/demo
    python -m benchmarks.reliability --search runs/demo --out runs/reliability
    python -m benchmarks.reliability --search runs/demo --out runs/reliability --write      also docs/results/reliability.md

The networks are random samples of the space, and as many drawn from the best quarter of the search's journal. Each is scored on
six seeds that the search has not seen, by every proxy, at 64 pixels, with several batches; VKDNW also with more weights of a
layer. A cut-off study goes on where it was: the raw scores are a bench run. With --as-is it is judged as far as it is.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.page import RESULTS, command, publish, setting, table
from benchmarks.score_costs import of_the_demo
from search.bench.scoring import evaluate, run
from search.bench.scoring.job import Request, Setup
from search.bench.scoring.plan import Network, ScoringPlan, chosen_proxies
from search.bench.scoring.settings import Settings
from search.config import loading
from search.config.schema import PoolConfig
from search.engine.finals.finalists import choose, rebuild
from search.engine.phase import Entry
from search.journal import journal
from search.journal.records import KINDS, Candidate
from search.monitor.progress import PlainView
from search.ranking.correlation import Estimate
from search.ranking.objective import find
from search.ranking.reliability import NOISE, is_noise, of_objective, reliability
from search.spaces.from_config import from_config
from search.workers.counted import COUNTS
from uninas.errors import InputError
from uninas.files.reading import read_json
from uninas.files.writing import write_json
from uninas.text import to_text

NETWORKS, SEEDS, COST_NETWORKS = 30, (1, 2, 3, 4, 5, 6), 6
BATCHES = (8, 16, 32)
LEFT_OUT = ("grasp", "ssnr_grasp", "ssnr_grasp_log", "ntk_condition")
"""Scores that take as long as all others together, and of which three fail on operations without a second derivative."""

KINDS_OF = ("random", "found")
COSTS = "costs.json"
RESAMPLES = 500
TRUSTED = 0.7
COMMAND = "uninas search configs/search/demo.yaml baseline=false --out runs/demo"


@dataclass(frozen=True)
class Variant:
    """A score with its options: one row of a table."""

    name: str
    proxy: str
    options: Mapping[str, Any]

    def label(self, batch: int, seed: int) -> str:
        return f"{self.name} b{batch} s{seed}"

    def labels(self, batch: int) -> list[str]:
        return [self.label(batch, seed) for seed in SEEDS]


@dataclass(frozen=True)
class Aggregate:
    """A rank within the population, and which variant of VKDNW is a part of it."""

    objective: str
    batch: int
    spectrum: str | None

    def labels(self, seed: int) -> dict[str, str]:
        """By raw score the label of what is measured for it; counts are the same with any batch."""
        batches = {name: BATCHES[0] if name in COUNTS else self.batch for name in find(self.objective).proxies}
        variants = {name: self.spectrum or name if name == "vkdnw" else name for name in batches}
        return {name: f"{variants[name]} b{batch} s{seed}" for name, batch in batches.items()}

    def all_labels(self) -> list[str]:
        return [label for seed in SEEDS for label in self.labels(seed).values()]

    @property
    def key(self) -> str:
        return f"{self.objective} b{self.batch} {self.spectrum}"


def weights(count: int) -> Variant:
    return Variant(f"vkdnw, {count} weights", "vkdnw", {"per_layer": count, "index": "random"})


VKDNW = Variant("vkdnw", "vkdnw", {})
BY_BATCH: Mapping[int, tuple[Variant, ...]] = {
    16: (
        VKDNW,
        weights(4),
        weights(16),
        *(Variant(name, name, {}) for name in ("jacov", "expressivity", "trainability", "flops")),
    ),
    32: (VKDNW, weights(4), weights(16)),
}
"""What is measured with larger batches than the demo's; 16 weights of a layer need more rows than 8 images give."""

AGGREGATES = (
    Aggregate("vkdnw_agg", 8, "vkdnw"),
    Aggregate("vkdnw_agg", 8, "vkdnw, 4 weights"),
    Aggregate("vkdnw_agg", 16, "vkdnw"),
    Aggregate("vkdnw_agg", 16, "vkdnw, 16 weights"),
    Aggregate("uninas_agg", 8, None),
    Aggregate("az_nas", 8, None),
)


def variants(batch: int) -> tuple[Variant, ...]:
    if batch in BY_BATCH:
        return BY_BATCH[batch]
    names = [name for name in chosen_proxies(None, thin=False) if name not in (VKDNW.name, *LEFT_OUT)]
    return (VKDNW, weights(4), *(Variant(name, name, {}) for name in names))


# --- the networks -----------------------------------------------------------------------------------------------------------


def networks(search: Path) -> list[Network]:
    """Random ones, and those of the best quarter of a search's journal, in turn, so that a cut-off study has as many of both."""
    drawn = [to_text(architecture) for _, architecture in of_the_demo(NETWORKS)]
    config = loading.load(search / "config.yaml", stored=True)
    space, objective = from_config(config), find(config.objective)
    records = [record for record in journal.records(search / "journal.jsonl", KINDS) if isinstance(record, Candidate)]
    entries = [Entry.of(record, (), config.ties) for record in records if record.phase == "search"]
    best = [entry.digest for entry in choose(entries, objective, len(entries) // 4)]
    if len(best) < NETWORKS:
        raise InputError(f"{search}: expected a search of at least {4 * NETWORKS} candidates; got {len(entries)}")
    digests = random.Random(0).sample(best, NETWORKS)
    candidates = rebuild(search / "journal.jsonl", space, digests)
    pairs = zip(drawn, (space.text(candidates[digest]) for digest in digests), strict=True)
    height, width = config.size
    return [
        Network(2 * place + kind, f"{KINDS_OF[kind]} {place + 1}", (3, height, width), "architecture", text)
        for place, pair in enumerate(pairs)
        for kind, text in enumerate(pair)
    ]


def plan_of(found: Sequence[Network], seeds: Sequence[int] = SEEDS) -> ScoringPlan:
    setups = {f"b{batch} s{seed}": Setup(batch, seed) for batch in BATCHES for seed in seeds}
    requests = {
        one.label(batch, seed): Request(one.proxy, one.options, f"b{batch} s{seed}")
        for batch in BATCHES
        for seed in seeds
        for one in variants(batch)
    }
    return ScoringPlan("architecture", 10, found, setups, requests)


def score(folder: Path, found: Sequence[Network], pool: PoolConfig) -> run.Scores:
    digest = hashlib.sha256("\n".join(network.definition or "" for network in found).encode()).hexdigest()
    settings = Settings("reliability", "demo", "random and found", digest, tuple(one.name for one in variants(8)))
    view = PlainView(lambda text: print(text, file=sys.stderr, flush=True))
    if (folder / "settings.json").exists():
        return run.resume(folder, settings, plan_of(found), pool=pool, view=view)
    return run.begin(folder, settings, plan_of(found), pool=pool, view=view)


def costs(folder: Path, found: Sequence[Network]) -> dict[str, float]:
    """CPU-seconds of a network, each score and each aggregate by itself; kept, since measuring takes longer than reading."""
    path = folder / COSTS
    spent: dict[str, float] = read_json(path) if path.exists() else {}
    plan, chosen = plan_of(found, SEEDS[:1]), found[:COST_NETWORKS]
    wanted = {one.key: list(one.labels(SEEDS[0]).values()) for one in AGGREGATES}
    wanted |= {f"{one.name} b{batch}": [one.label(batch, SEEDS[0])] for batch in BATCHES for one in variants(batch)}
    for key, labels in wanted.items():
        if key not in spent:
            evaluate.prepare()
            evaluate.evaluate(plan.job(chosen[0], labels))  # loads and warms
            clock = time.process_time()
            for network in chosen:
                evaluate.evaluate(plan.job(network, labels))
            spent[key] = (time.process_time() - clock) / len(chosen)
            write_json(path, spent)
    return spent


# --- the figures ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Figures:
    """Judged scores.

    Attributes:
        scores: label -> value, by index; a cut-off study lacks some labels of some networks.
        spent: see `costs`.
    """

    scores: Mapping[int, Mapping[str, float | None]]
    spent: Mapping[str, float]

    def of_kind(self, kind: int, labels: Sequence[str]) -> list[Mapping[str, float | None]]:
        """The networks of a kind that were scored under all of these labels."""
        known = (values for index, values in sorted(self.scores.items()) if index % len(KINDS_OF) == kind)
        return [values for values in known if values.keys() >= set(labels)]

    def counts(self, labels: Sequence[str]) -> list[int]:
        return [len(self.of_kind(kind, labels)) for kind in range(len(KINDS_OF))]

    def named(self, name: str, labels: Sequence[str]) -> str:
        """A row's name, and how many networks it is of where it is not all."""
        of = self.counts(labels)
        return name if of == self.counts(()) else f"{name} ({of[0]} + {of[1]} networks)"

    def single(self, one: Variant, batch: int, repeats: int, kind: int) -> Estimate:
        labels = one.labels(batch)
        networks = self.of_kind(kind, labels)
        return reliability([[values[label] for values in networks] for label in labels], repeats=repeats, resamples=RESAMPLES)

    def aggregate(self, one: Aggregate, repeats: int, kind: int) -> Estimate:
        networks = self.of_kind(kind, one.all_labels())
        labels = [one.labels(seed) for seed in SEEDS]
        tables = [[{name: values[label] for name, label in of_seed.items()} for values in networks] for of_seed in labels]
        return of_objective(find(one.objective), tables, repeats=repeats, resamples=RESAMPLES)


def figures(scores: run.Scores, spent: Mapping[str, float]) -> Figures:
    values = {index: {label: _number(value) for label, value in known.items()} for index, known in scores.values.items()}
    return Figures(values, spent)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def shown(found: Estimate) -> str:
    if not math.isfinite(found.value):
        return "–"
    text = f"{found.value:.2f} [{found.low:.2f}, {found.high:.2f}]".replace("-", "−")
    return f"{text} **noise**" if is_noise(found) else text


def trusted(found: Estimate, seconds: float, repeats: int) -> str:
    """CPU-seconds until the mean of repeats is as reliable as `TRUSTED`, by Spearman and Brown."""
    one = found.value / (repeats - (repeats - 1) * found.value)
    if not one > 0:
        return "never"
    return f"{max(1.0, TRUSTED * (1 - one) / (one * (1 - TRUSTED))) * seconds:.2f}"


def rows(name: str, batch: int, repeats: int, seconds: float, both: Sequence[Estimate]) -> list[str]:
    spent, there = repeats * seconds, both[1]
    per = f"{there.value / spent:.2f}".replace("-", "−") if math.isfinite(there.value) else "–"
    return [name, str(batch), str(repeats), f"{spent:.2f}", *map(shown, both), per, trusted(there, seconds, repeats)]


INTRODUCTION = """\
# How far a score can be trusted

Spearman's rho of two seeds on the same networks: {random} random samples of the demo's space, and {found} drawn from the best
quarter of a search with `configs/search/demo.yaml` (seed 0, 200 candidates), where a search has to tell networks apart; the
whole study has {all} of each, and a cut-off one fewer. 64 pixels, {seeds} seeds, none of which the search had seen; the mean over
all pairs of seeds, with the 95% bootstrap interval of another draw of networks. With 3 repeats a score is the mean of three
seeds, and is compared with the mean of the other three.

Noise: the whole interval lies below {noise:g}. Then more of what tells two networks apart is the luck of the seed than the
networks, and a search by the score of one seed goes by luck. CPU-s: of a whole job, building included, beside other work. Per
CPU-s: reliability in the best quarter, by that time. CPU-s for {trusted:g}: how long repeats take until their mean is that
reliable there (Spearman and Brown).
"""

VKDNW_SETTINGS = """\
## VKDNW: more images, more weights of a layer, more repeats

The paper's setting is one weight of a layer, that of flat index 0. More weights are drawn, by
`proxies: {options: {vkdnw: {per_layer: 4, index: random}}}`.
"""

CONCLUSION = """\
## What follows

- In the best quarter a score of VKDNW {verdict}: the highest there is {highest}. The mean of three
  is {thrice} at best. The dearest setting takes {dearest} times as long as the demo's. Among random networks more
  weights do help: {random_rich} with 16 weights of a layer and 16 images, {random} with the demo's setting, for {dearer}
  times the time. A search works in the best quarter, so no setting is worth its cost, and the configurations keep the paper's.
- `vkdnw_agg` is {agg[0]} among random networks and {agg[1]} in the best quarter; with 16 weights and 16 images {richer}
  there, for {richer_cost} times the time. What is left to tell apart where it has searched is mostly luck.
- `uninas_agg` is {ours[0]} and {ours[1]}, at {ours_cost} of the time of `vkdnw_agg`; with `repeats: 3` it is {ours_thrice}
  in the best quarter, where the candidates are those of `vkdnw_agg`: its own search would have others.
- A score that two seeds agree on says nothing yet about accuracy: [referees](referees.md) do.
"""

HEAD = ["score", "images", "repeats", "CPU-s", "random networks", "best quarter", "per CPU-s", f"CPU-s for {TRUSTED:g}"]


def bare(found: Estimate) -> str:
    return f"{found.value:.2f}".replace("-", "−")


def conclusion(found: Figures) -> str:
    """What the figures say of VKDNW and of the objectives, in words that the figures fill in."""
    settings = [(one, batch) for batch in BATCHES for one in variants(batch) if one.proxy == "vkdnw"]
    there = [[found.single(one, batch, repeats, 1) for one, batch in settings] for repeats in (1, 3)]
    best = [one.index(max(one, key=lambda estimate: estimate.value)) for one in there]
    said = [
        f"{shown(one[place])} ({settings[place][0].name}, {settings[place][1]} images)"
        for one, place in zip(there, best, strict=True)
    ]
    paper, rich = (VKDNW, BATCHES[0]), (weights(16), 16)
    seconds = [found.spent[f"{one.name} b{batch}"] for one, batch in (paper, rich, settings[-1])]
    agg, richer, ours = AGGREGATES[0], AGGREGATES[3], AGGREGATES[4]
    steady = all(map(is_noise, there[0]))
    return CONCLUSION.format(
        verdict="is noise with every setting" if steady else "is not shown to be reliable with any setting",
        highest=said[0],
        thrice=said[1],
        dearest=f"{seconds[2] / seconds[0]:.1f}",
        random=bare(found.single(*paper, 1, 0)),
        random_rich=bare(found.single(*rich, 1, 0)),
        dearer=f"{seconds[1] / seconds[0]:.1f}",
        agg=[bare(found.aggregate(agg, 1, kind)) for kind in range(2)],
        richer=bare(found.aggregate(richer, 1, 1)),
        richer_cost=f"{found.spent[richer.key] / found.spent[agg.key]:.1f}",
        ours=[bare(found.aggregate(ours, 1, kind)) for kind in range(2)],
        ours_thrice=bare(found.aggregate(ours, 3, 1)),
        ours_cost=f"{found.spent[ours.key] / found.spent[agg.key]:.2f}",
    )


def page(found: Figures) -> str:
    of_vkdnw, of_ranks, of_all = list[list[str]](), list[list[str]](), list[tuple[float, list[str]]]()
    for batch in BATCHES:
        for one in (one for one in variants(batch) if one.proxy == "vkdnw"):
            for repeats in (1, 3):
                both = [found.single(one, batch, repeats, kind) for kind in range(2)]
                of_vkdnw.append(
                    rows(found.named(one.name, one.labels(batch)), batch, repeats, found.spent[f"{one.name} b{batch}"], both)
                )
    for aggregate in AGGREGATES:
        name = aggregate.objective + (f" with {aggregate.spectrum}" if aggregate.spectrum not in (None, "vkdnw") else "")
        for repeats in (1, 3):
            both = [found.aggregate(aggregate, repeats, kind) for kind in range(2)]
            of_ranks.append(
                rows(found.named(name, aggregate.all_labels()), aggregate.batch, repeats, found.spent[aggregate.key], both)
            )
    for one in variants(BATCHES[0]):
        both = [found.single(one, BATCHES[0], 1, kind) for kind in range(2)]
        order = both[1].value if math.isfinite(both[1].value) else -1.0
        of_all.append((-order, [one.name, f"{found.spent[f'{one.name} b{BATCHES[0]}']:.2f}", *map(shown, both)]))
    counts = found.counts(())
    return "\n".join(
        [
            INTRODUCTION.format(all=NETWORKS, random=counts[0], found=counts[1], seeds=len(SEEDS), noise=NOISE, trusted=TRUSTED),
            conclusion(found),
            VKDNW_SETTINGS,
            table(HEAD, of_vkdnw),
            "",
            "## Objectives: ranks within the population",
            "",
            table(HEAD, of_ranks),
            "",
            "## Every score, as the demo asks for it",
            "",
            f"{BATCHES[0]} images, one repeat, best first. Left out, slow or failing on some networks: {', '.join(LEFT_OUT)}.",
            "",
            table(["score", "CPU-s", "random networks", "best quarter"], [row for _, row in sorted(of_all)]),
            "",
            setting(torch=torch.__version__),
            "",
            f"    {COMMAND}",
            f"    {command()}",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--search", type=Path, required=True, help="folder of a finished search on the demo's space")
    parser.add_argument("--out", type=Path, required=True, help="folder of the raw scores; one that exists goes on")
    parser.add_argument("--as-is", action="store_true", help="score nothing more, judge what there is")
    parser.add_argument("--write", action="store_true", help="keep the page as docs/results/reliability.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = networks(options.search)
    scores = run.stored(options.out) if options.as_is else score(options.out, found, PoolConfig(kind="serial"))
    judged = figures(scores, costs(options.out, found))
    publish(page(judged), "reliability", write=options.write, folder=RESULTS)


if __name__ == "__main__":
    main()
