"""What random samples of the space are: families, depth, sizes, rejections, uniqueness, seconds; both samplers side by side.

    python -m benchmarks.sampler --samples 10000 --write
    python -m benchmarks.sampler --samples 300

A sample is what `algorithm: random` scores: a walk of random edits from the preset, or a network drawn from the grammar
(`uninas.grammar.sampling`), alone or with some edits. All within the budget of a configuration. Seconds are CPU time.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from benchmarks.page import RESULTS, command, publish, setting, table
from search.algorithms import derive
from search.algorithms.candidate import Candidate, Rejected
from search.config import loading
from search.report.svg import render_svg
from search.report.theme import AMBER, BLUE, TEAL
from search.spaces.from_config import from_config
from search.spaces.graph_space import GraphSpace

CONFIG = "configs/search/uninas_30m_agg.yaml"
SAMPLERS: dict[str, tuple[str, ...]] = {
    "walk": ("space.sampler=walk", "space.random_edits=32"),
    "grammar": ("space.sampler=grammar", "space.random_edits=0"),
    "grammar and edits": ("space.sampler=grammar", "space.random_edits=8"),
}
"""What the page calls a sampler -> what makes it of the configuration."""
COLOURS = (AMBER, BLUE, TEAL)
LARGEST = 12  # families with a row of their own
PART_OF = ("convolution", "depthwise", "attention", "pooling", "gate")


@dataclass
class Statistics:
    """What was drawn by one sampler."""

    families: Counter[str] = field(default_factory=Counter)
    stages: Counter[int] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)  # whole samples
    edits_rejected: Counter[str] = field(default_factory=Counter)  # edits on the way
    figures: dict[str, list[int]] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)
    cpu: float = 0.0

    @property
    def count(self) -> int:
        """Samples drawn."""
        return self.families.total()

    def add(self, space: GraphSpace, sample: Candidate) -> None:
        """Count one sample."""
        self.families[space.family(sample)] += 1
        self.stages[len(sample.body.stages)] += 1
        self.edits_rejected.update(sample.rejected)
        self.digests.add(sample.digest)
        blocks = sum(len(stage.blocks) for stage in sample.body.stages)
        for name, value in {"blocks": blocks, **sample.cost}.items():
            self.figures.setdefault(name, []).append(value)


def measure(overrides: tuple[str, ...], samples: int, seed: int) -> Statistics:
    """Draw so many samples, each with a generator of its own."""
    space, found = from_config(loading.load(CONFIG, overrides)), Statistics()
    begin = time.process_time()
    for index in range(samples):
        rng = random.Random(derive(seed, "sampler", index))
        while isinstance(sample := space.sample(rng), Rejected):
            found.rejected[sample.reason] += 1
        found.add(space, sample)
    found.cpu = time.process_time() - begin
    return found


def page(measured: dict[str, Statistics], samples: int, seed: int) -> str:
    """The page in markdown."""
    budget = loading.load(CONFIG).budget
    names = list(measured)
    total = sum((f.families for f in measured.values()), Counter[str]())
    shown = [family for family, _ in total.most_common(LARGEST)]

    def share(count: float, of: int) -> str:
        return f"{100 * count / of:.1f}%"

    families = [[family, *(share(f.families[family], f.count) for f in measured.values())] for family in shown]
    rest = [share(f.count - sum(f.families[family] for family in shown), f.count) for f in measured.values()]
    families += [["others", *rest], ["families in all", *(str(len(f.families)) for f in measured.values())]]
    parts = [
        [part, *(share(sum(n for family, n in f.families.items() if part in family), f.count) for f in measured.values())]
        for part in PART_OF
    ]
    sizes = []
    for what, name, unit in (
        ("blocks", "blocks", 1),
        ("parameters, M", "params", 1e6),
        ("MACs, G", "macs", 1e9),
        ("layers", "layers", 1),
        ("attention tokens", "attention_tokens", 1),
    ):
        quantiles = [np.quantile(f.figures[name], [0.05, 0.5, 0.95]) / unit for f in measured.values()]
        digits = 2 if unit > 1 else 0
        sizes.append([what, *(" / ".join(f"{value:,.{digits}f}" for value in row) for row in quantiles)])
    stages = sorted({number for f in measured.values() for number in f.stages})
    sizes += [[f"{number} stages", *(share(f.stages[number], f.count) for f in measured.values())] for number in stages]
    reasons = sorted({reason for f in measured.values() for reason in (*f.rejected, *f.edits_rejected)})
    rejected = [
        [
            reason.replace("_", " "),
            *(f"{1000 * f.rejected[reason] / f.count:.1f}" for f in measured.values()),
            *(f"{1000 * f.edits_rejected[reason] / f.count:,.0f}" for f in measured.values()),
        ]
        for reason in reasons
    ]
    return "\n".join(
        [
            "# What random samples are",
            "",
            f"{samples:,} samples of each sampler, within the budget of `{CONFIG}` ({budget.params / 1e6:.0f} M parameters, "
            f"{budget.macs / 1e9:.1f} G MACs, {budget.layers} layers, {budget.attention_tokens:,} attention tokens, 224 pixels), "
            f"seed {seed}. `walk`: CoAtNet after 1 to 32 edits; `grammar`: a network drawn whole; `grammar and edits`: with 0 to "
            "8 edits.",
            "",
            table(
                ["", *names],
                [
                    ["distinct digests", *(f"{len(f.digests):,}" for f in measured.values())],
                    [
                        "whole samples rejected",
                        *(share(f.rejected.total(), f.count + f.rejected.total()) for f in measured.values()),
                    ],
                    ["CPU milliseconds a sample", *(f"{1000 * f.cpu / f.count:.1f}" for f in measured.values())],
                ],
            ),
            "",
            "![Families, parameters and MACs of the samples](sampler.svg)",
            "",
            "## Families",
            "",
            "What at least a quarter of a network's blocks mix pixels with (`uninas.analysis.family`): convolution is dense "
            "or grouped, and "
            "a gate is a product of two branches.",
            "",
            table(["family", *names], families),
            "",
            table(["has", *names], parts),
            "",
            "## Depth and size",
            "",
            "5% / 50% / 95% of the samples.",
            "",
            table(["", *names], sizes),
            "",
            "## Rejections",
            "",
            "For 1,000 samples: whole samples that were rejected, and edits rejected on the way.",
            "",
            table(["reason", *names, *(f"edits, {name}" for name in names)], rejected),
            "",
            setting(),
            "",
            f"    {command()}",
        ]
    )


def picture(measured: dict[str, Statistics]) -> str:
    """Shares of families; distributions of parameters and MACs on logarithmic scales."""

    def plot(figure: Figure) -> None:
        left, *right = figure.subplots(1, 3, width_ratios=[1.1, 1, 1])
        total = sum((f.families for f in measured.values()), Counter[str]())
        shown = [family for family, _ in total.most_common(10)][::-1]
        rows, height = np.arange(len(shown)), 0.8 / len(measured)
        for place, ((name, found), colour) in enumerate(zip(measured.items(), COLOURS, strict=True)):
            shares = [100 * found.families[family] / found.count for family in shown]
            left.barh(rows + height * (1 - place), shares, height, color=colour, label=name)
        left.set_yticks(rows, shown)
        left.set_xlabel("% of the samples")
        left.legend(loc="lower right")
        for axes, figure_name, words in zip(right, ("params", "macs"), ("parameters", "MACs"), strict=True):
            logs = {name: np.log10(found.figures[figure_name]) for name, found in measured.items()}
            low, high = min(v.min() for v in logs.values()), max(v.max() for v in logs.values())
            for (name, values), colour in zip(logs.items(), COLOURS, strict=True):
                axes.hist(10**values, bins=np.logspace(low, high, 41), histtype="step", color=colour, label=name)
            axes.set_xscale("log")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel(words)
            axes.set_ylabel("samples")

    title = "Families, parameters and MACs of random samples"
    return render_svg("sampler", title, 3.4, plot, alone=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000, help="samples of each sampler (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="decides every sample (default 0)")
    parser.add_argument("--write", action="store_true", help="keep the page and its picture under docs/results")
    options = parser.parse_args()
    measured = {}
    for name, overrides in SAMPLERS.items():
        measured[name] = measure(overrides, options.samples, options.seed)
        print(f"{name}: {options.samples} samples in {measured[name].cpu:.0f} s of CPU time", flush=True)
    publish(page(measured, options.samples, options.seed), "sampler", write=options.write, folder=RESULTS)
    if options.write:
        Path(RESULTS / "sampler.svg").write_text(picture(measured), encoding="utf-8")


if __name__ == "__main__":
    main()
