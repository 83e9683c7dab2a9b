"""The page of regrets: a picture, a table, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.page import FOLDER, table
from search.report.svg import render_svg
from search.report.theme import AMBER, BLUE, INK, RULE, TEAL

FILE = FOLDER / "search_quality.svg"
MARKS = (50, 100, 200, 300)
RESAMPLES = 2000
COLOURS = (RULE, AMBER, TEAL, INK, BLUE)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Results:
    """What the searches on one table came to.

    Attributes:
        name: of the table.
        regrets: by algorithm, seeds x evaluations; the same seeds for all.
        seconds: by algorithm, CPU-seconds a search.
        floor: regret of the network that the most was told of, of all in the table.
    """

    name: str
    regrets: Mapping[str, Floats]
    seconds: Mapping[str, float]
    floor: float


def interval(values: Floats, against: Floats | None = None) -> tuple[float, float, float]:
    """Give a mean over seeds, or a ratio of two means over the same seeds, with its 95% bootstrap interval."""
    rng = np.random.default_rng(0)
    draws = rng.integers(len(values), size=(RESAMPLES, len(values)))
    if against is None:
        value, drawn = values.mean(), values[draws].mean(axis=1)
    else:
        value, drawn = values.mean() / against.mean(), values[draws].mean(axis=1) / against[draws].mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(value), float(low), float(high)


def evaluations_for(regrets: Floats, target: float) -> int | None:
    """Give how many evaluations bring the mean regret to the target, and keep it there; None where none do."""
    above = np.flatnonzero(regrets.mean(axis=0) > target + 1e-9)
    first = int(above[-1]) + 2 if len(above) else 1
    return first if first <= regrets.shape[1] else None


def picture(results: Sequence[Results]) -> str:
    """Mean regret against evaluations, with intervals, a panel a table."""

    def plot(figure: Figure) -> None:
        panels = figure.subplots(1, len(results))
        for panel, one in zip(panels, results, strict=True):
            for colour, (label, regrets) in zip(COLOURS, one.regrets.items(), strict=True):
                mean = regrets.mean(axis=0)
                error = 1.96 * regrets.std(axis=0) / np.sqrt(len(regrets))
                places = np.arange(1, len(mean) + 1)
                panel.plot(places, mean, color=colour, linewidth=1.4, label=label.partition(" ")[0])
                panel.fill_between(places, np.maximum(mean - error, 1e-3), mean + error, color=colour, alpha=0.15, linewidth=0)
            panel.axhline(max(one.floor, 1e-3), color=RULE, linewidth=1, linestyle="--")
            panel.set_yscale("log")
            panel.set_xlabel("evaluations")
            panel.set_title(one.name)
        panels[0].set_ylabel("regret, points")
        panels[0].legend(frameon=False)

    return render_svg("search quality", "Regret of the pick against evaluations", 3.4, plot, alone=True)


def page(results: Sequence[Results], window: int, command: str) -> str:
    """The page in markdown."""
    seeds = len(next(iter(results[0].regrets.values())))
    lines = [
        "# What a search is worth",
        "",
        f"Tables whose networks have all been trained; {seeds} searches of each algorithm on each, with the same seeds and a",
        f"window of {window}. A search is told noisy accuracies: the validation accuracy of one training (NAS-Bench-201), or one",
        "of three trainings (NAS-Bench-Macro). It picks the network that it was told the most of, and is judged by mean test",
        "accuracies. Regret: how much worse than the best of the table that is, in points. The dashed line is the regret of",
        "whoever was told of all networks: below it is luck. All but random search begin with the space's start.",
        "",
        "For comparison, on another table (NAS-Bench-101, test error after 150 evaluations) the paper of BANANAS prints 6.34 for",
        "random search, 6.11 for regularised evolution, 5.93 for local search and 5.92 for its own search by a model.",
        "",
        "![Regret against evaluations](search_quality.svg)",
        "",
    ]
    for one in results:
        lines += [f"## {one.name}", "", f"Regret of who was told all: {one.floor:.3f}.", ""]
        random, evolution = one.regrets["random"], _of(one, "evolution")
        rows = []
        for label, regrets in one.regrets.items():
            at = [_figure(interval(regrets[:, mark - 1]), 3) for mark in MARKS]
            ratio = _figure(interval(regrets[:, -1], random[:, -1]), 2) if label != "random" else "1"
            rows.append([f"`{label}`", *at, ratio, f"{one.seconds[label]:.2f}"])
        head = ["algorithm", *(f"regret at {mark}" for mark in MARKS), f"of random search's at {MARKS[-1]}", "CPU-s a search"]
        lines += [table(head, rows), ""]
        target = float(evolution[:, -1].mean())
        needed = evaluations_for(_of(one, "model"), target)
        said = f"after {needed}" if needed is not None else f"not within {MARKS[-1]}"
        lines += [f"`model` has the regret that `evolution` has after {MARKS[-1]} evaluations ({target:.3f}) {said}.", ""]
    return "\n".join([*lines, command])


def _of(one: Results, algorithm: str) -> Floats:
    return next(regrets for label, regrets in one.regrets.items() if label.partition(" ")[0] == algorithm)


def _figure(found: tuple[float, float, float], digits: int) -> str:
    value, low, high = found
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
