"""Proxy rank against trained rank: the report's section on the short trainings of the finalists.

Read from RUN/refine/results.json alone, as `uninas refine` leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from search.ranking.correlation import estimate, p_value
from search.report.html import render_html
from search.report.svg import render_svg
from search.report.theme import AMBER, BLUE, RULE, SOFT
from uninas.errors import InputError
from uninas.files.run_files import read_run_json

FEW = 10
"""Finalists below which the page says that so few prove little."""

_STATUS = {"done": "", "stop": "stopped: behind the others", "failed": "failed", "open": "under way"}


@dataclass(frozen=True)
class Trained:
    """One finalist or control and its training.

    Attributes:
        finalist: name of its training, and of its file when the trainings began: "01", or "start" of a control.
        digest: of its network, which tells it whatever finalists are called since.
        proxy_place: among those that are trained, by their scores on held-out seeds, when the trainings began.
        trained_place: by epochs reached, then top-1; None where it failed or has not begun.
        status: "done", "stop", "failed" or "open".
        reason: of a failure.
        top1_at_grace: top-1 in percent after the epochs that every finalist is trained for.
        curve: top-1 in percent after each epoch.
    """

    finalist: str
    digest: str
    proxy_place: int
    trained_place: int | None
    status: str
    reason: str | None
    top1_at_grace: float | None
    curve: tuple[float, ...]


@dataclass(frozen=True)
class Refined:
    """All that were trained, in the order of the search.

    Attributes:
        epochs: of a training that is not stopped.
        grace: epochs that each one gets.
        complete: whether all trainings have ended.
        finalists: and controls.
        held_out: images that the accuracies are of; None where that was not noted.
    """

    epochs: int
    grace: int
    complete: bool
    finalists: tuple[Trained, ...]
    held_out: int | None = None


def read_refined(folder: Path) -> Refined | None:
    """Read RUN/refine/results.json; None where the finalists have not been trained.

    Raises:
        InputError: a file that is not as `uninas refine` writes it.
    """
    path = folder / "results.json"
    if not path.exists():
        return None
    data = read_run_json(folder, path.name, place="the folder of a refine", content="the results of a refine")
    try:
        if data["format"] != "uninas-refine-results" or data["version"] != 1:
            raise ValueError(f"got {data['format']}, version {data['version']}")
        if not all(isinstance(data[name], int) and data[name] > 0 for name in ("epochs", "grace")):
            raise ValueError("epochs that are no whole numbers")
        held_out = data.get("held_out")
        if not (held_out is None or (isinstance(held_out, int) and held_out > 0)):
            raise ValueError("held-out images that are no whole number")
        trained = tuple(_trained(row) for row in data["finalists"])
        return Refined(data["epochs"], data["grace"], data["complete"], trained, held_out)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"{path}: expected the results of a refine, version 1; {type(error).__name__}: {error}") from None


def _trained(row: Mapping[str, Any]) -> Trained:
    curve = tuple(float(top1) for top1 in row["curve"])
    number, optional = (int, float), type(None)
    wanted: dict[str, Any] = {"finalist": str, "digest": str, "proxy_place": number, "trained_place": (*number, optional)}
    wanted |= {"reason": (str, optional), "top1_at_grace": (*number, optional)}
    wrong = next((name for name, kind in wanted.items() if not isinstance(row[name], kind)), None)
    if wrong is not None or row["status"] not in _STATUS or not all(map(math.isfinite, curve)):
        raise ValueError(f"a finalist with another {wrong or 'status or curve'}")
    return Trained(**{field.name: row[field.name] for field in fields(Trained)} | {"curve": curve})


def section(refined: Refined, now: Mapping[str, str] | None = None) -> Markup:
    """Write the section; `now`: names of the files in finalists/ by digest, None where they are not known."""
    renumbered = now is not None and any(now.get(one.digest) != one.finalist for one in refined.finalists)
    placed = [one for one in refined.finalists if one.trained_place is not None]
    rows = [
        [
            one.finalist,
            one.digest[:12],
            (now or {}).get(one.digest, "–"),
            f"{len(one.curve)} of {refined.epochs}",
            _percent(one.top1_at_grace),
            _percent(one.curve[-1] if one.curve else None),
            str(one.proxy_place),
            str(one.trained_place or "–"),
            _STATUS[one.status] + (f": {one.reason}" if one.reason else ""),
        ]
        for one in sorted(refined.finalists, key=lambda one: (one.trained_place or math.inf, one.proxy_place))
    ]
    context = {
        "rows": rows,
        "chart": Markup(chart(refined)) if len(placed) > 1 else "",
        "words": agreement(refined),
        "grace": _epochs(refined.grace),
        "complete": refined.complete,
        "renumbered": renumbered,
    }
    return render_html("refined.html.j2", context)


def winner(refined: Refined) -> str | None:
    """Say which network trained best, and how far behind the others are; None where none has been trained.

    The intervals are of the held-out images alone: of two accuracies p and q on n images the difference has the variance
    (p (1 - p) + q (1 - q)) / n at most, when the networks err independently of each other.
    """
    placed = sorted((one for one in refined.finalists if one.trained_place and one.curve), key=lambda one: one.trained_place or 0)
    if not placed:
        return None
    best = placed[0]
    behind = [
        f"{_named(one)} by {_difference(best, one, refined.held_out)}"
        if len(one.curve) == len(best.curve)
        else f"{_named(one)}, stopped after {_epochs(len(one.curve))}"
        for one in placed[1:]
    ]
    said = f"trained for {_epochs(len(best.curve))} under one seed, {_named(best)} is the best with {best.curve[-1]:.2f}% top-1"
    return f"{said}; behind it in points {', '.join(behind)}" if behind else said


def _named(one: Trained) -> str:
    return f"finalist {one.finalist}" if one.finalist.isdecimal() else one.finalist


def _difference(best: Trained, other: Trained, held_out: int | None) -> str:
    """Give how far apart two accuracies are, in points, with the 95% interval where the number of images is known."""
    apart = best.curve[-1] - other.curve[-1]
    if held_out is None:
        return f"{apart:.2f}"
    shares = (best.curve[-1] / 100, other.curve[-1] / 100)
    error = 1.96 * 100 * math.sqrt(sum(share * (1 - share) for share in shares) / held_out)
    return f"{apart:.2f} [{apart - error:.2f}, {apart + error:.2f}]"


def agreement(refined: Refined) -> list[str]:
    """Say how far the two orders agree, and what so few networks cannot show."""
    placed = [(-one.proxy_place, -one.trained_place) for one in refined.finalists if one.trained_place is not None]
    early = [(-one.proxy_place, one.top1_at_grace) for one in refined.finalists if one.top1_at_grace is not None]
    words = [_tau("Kendall’s τ of proxy rank and trained rank", placed)]
    if refined.grace < refined.epochs:
        words.append(
            _tau(f"Of proxy rank and top-1 after {_epochs(refined.grace)}, which every finalist was trained for: τ", early)
        )
    if 2 <= len(placed) < FEW:
        words.append(
            f"{len(placed)} networks prove little: if two neighbours swap ranks, τ changes by"
            f" {4 / (len(placed) * (len(placed) - 1)):.2f}."
        )
    words.append(
        "Finalists are the best of the search and differ little in score, so this τ does not measure the proxy over the whole"
        " space; and a few epochs are a sign of the trained accuracy, not the accuracy."
    )
    return words


def _tau(what: str, pairs: Sequence[tuple[float, float]]) -> str:
    if len(pairs) < 2:
        return f"{what}: needs two networks, there {'is one' if pairs else 'is none'}."
    scores, truth = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    found = estimate("kendall", scores, truth, seed=0, resamples=1000)
    if not math.isfinite(found.value):
        return f"{what}: none, for all {len(pairs)} are equal."
    value, low, high = (f"{number:.2f}".replace("-", "−") for number in (found.value, found.low, found.high))
    bounds = f"95 % bootstrap interval {low} to {high}" if math.isfinite(found.low) else "no interval"
    chance = p_value("kendall", scores, truth, seed=0)
    return f"{what} {value} ({bounds}, {len(pairs)} networks; a random order does as well with probability {chance:.2f})."


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _epochs(count: int) -> str:
    return f"{count} epoch{'s' * (count != 1)}"


def chart(refined: Refined) -> str:
    """Ranks against each other, and every training's top-1 over its epochs."""
    colours = {"done": BLUE, "stop": AMBER, "failed": SOFT, "open": SOFT}

    def plot(figure: Figure) -> None:
        left, right = figure.subplots(1, 2)
        last = max(one.proxy_place for one in refined.finalists)
        left.plot([1, last], [1, last], color=RULE, linewidth=1, linestyle=(0, (4, 3)))
        for one in refined.finalists:
            if one.trained_place is not None:
                left.scatter(one.proxy_place, one.trained_place, s=34, color=colours[one.status], zorder=3)
                left.annotate(
                    f"{one.finalist}  {one.curve[-1]:.1f} %",
                    (one.proxy_place, one.trained_place),
                    xytext=(6, 5),
                    textcoords="offset points",
                    fontsize=7.5,
                    color=SOFT,
                )
            if one.curve:
                epochs = range(1, len(one.curve) + 1)
                right.plot(epochs, one.curve, color=colours[one.status], linewidth=1.4, marker=".", markersize=5)
                right.annotate(
                    one.finalist,
                    (len(one.curve), one.curve[-1]),
                    xytext=(5, -2),
                    textcoords="offset points",
                    fontsize=7.5,
                    color=SOFT,
                )
        left.set_title("Ranks: proxy and trained (dashed: equal)")
        left.set_xlabel("rank by the proxies")
        left.set_ylabel("rank by training")
        left.set_xlim(last + 0.6, 0.4)  # the best to the right and above
        left.set_ylim(last + 0.6, 0.4)
        right.set_title("Top-1, %")
        right.set_xlabel("epoch")
        right.set_xlim(0.5, refined.epochs + 0.7)
        for axis in (left.xaxis, left.yaxis, right.xaxis):
            axis.set_major_locator(MaxNLocator(integer=True))

    return render_svg("refined", "Ranks by the proxies and by training, and top-1 over the epochs", 3.7, plot)
