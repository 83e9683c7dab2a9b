"""From a run to the words and numbers of its page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

import uninas
from search.config.schema import SpaceConfig
from search.config.trained import TOP1, longer_training
from search.report import figures, held_out, refined
from search.report import front as trade_off
from search.report.data import Entry, Run
from search.report.html import render_html
from search.report.spectra import Spectra, presets_of
from search.spaces.budget import BUDGETED
from uninas.drawing import draw_blocks, draw_overview
from uninas.drawing.labels import quantity

_BUDGET_NAMES = {
    "params": "parameters",
    "macs": "MACs",
    "layers": "layers",
    "attention_tokens": "largest attention map",
}


def render(run: Run, spectra: Spectra | None, spectra_note: str) -> str:
    """The page of a run. `spectra` None: not computed, and `spectra_note` says why."""
    presets, left_out = presets_of(run)
    scored = bool(run.scored)
    several = len(run.objective.columns) > 1
    longer = longer_training(run.config.finalists, run.config.training)
    context: dict[str, Any] = {
        "name": run.name,
        "title": run.name,
        "lead": _lead(run),
        "missing": "; ".join(run.missing),
        "chosen": run.chosen,
        "best": _best(run) if run.best is not None else None,
        "verdict": held_out.verdict(run),
        "size": "{} × {}".format(*run.size()),
        "classes": run.config.classes,
        "images": spectra.images if spectra is not None else run.config.batch,
        "controls": len(run.controls),
        "scaled": _presets_are(run),
        "seeds": run.config.finalists.seeds,
        "longer": longer.in_words() if longer is not None else "",
        "front": trade_off.section(run, run.objective.proxies),
        "latency_note": trade_off.latency_note(run),
        "costs": _costs(run, presets, left_out) if run.best is not None else None,
        "charts": {
            "scores": Markup(figures.scores_over_time(run)) if scored else "",
            "population": Markup(figures.population(run)) if scored else "",
            "finalists": Markup(held_out.chart(run)) if run.finalists else "",
            "spectra": Markup(figures.spectra(spectra)) if spectra is not None and spectra.of else "",
        },
        "refined": refined.section(run.refined, _finalists_now(run)) if run.refined is not None else "",
        "score_note": (
            "The search compares ranks in the population, which change as it grows: above, ranks among all candidates at"
            " the end; below, the raw scores from which they are computed."
            if several
            else "Raw scores of the objective: higher is better."
        ),
        "baseline_note": (
            f"Amber: a random search of equal budget, {len(run.baseline)} candidates."
            if run.baseline
            else "This run has no random search beside it (baseline: true in the configuration adds one)."
        ),
        "spectra_note": spectra_note,
        "spectra_left_out": sorted(spectra.left_out.items()) if spectra is not None else [],
        "phases": [{"name": "search"}] + [{"name": "random"}] * bool(run.baseline),
        "events": _events(run),
        "timing": list(_timing(run)),
        "workers": _workers(run),
        "scored_by": _scored_by(run),
        "rejected": _rejected(run),
        "failed": Counter(_short(entry.reason) for entry in _all(run) if entry.status == "failed").most_common(),
        "config_text": run.config_text,
        "commands": [f"uninas search --resume {run.name}", *_extension(run)],
        "resume_note": _resume_note(run),
        "provenance": list(_flat(run.info)),
    }
    return render_html("report.html.j2", context)


def _lead(run: Run) -> str:
    config = run.config
    chosen = config.space.name or config.space.file
    own = config.space.preset or config.space.architecture
    start = f"the space {chosen}" if chosen else ", ".join([*([own] if own else []), *config.space.fitted])
    text = (
        f"{config.algorithm} {'in' if chosen else 'from'} {start}, objective {config.objective}, {len(run.entries)} candidates at"
        f" {config.size[0]} × {config.size[1]} pixels with {config.classes} classes, seed {config.seed}"
    )
    text += f"; a random search of {len(run.baseline)} beside it." if run.baseline else "."
    if config.ladder:
        rungs = [rung.score or f"a training on {rung.per_class} images of a class" for rung in config.ladder]
        text += f" Before it comes a ladder of {', '.join(rungs)}, which stopped {run.tallies['search'].stopped}."
    if config.objective == TOP1:
        epochs, folder = config.training.recipe.epochs, Path(config.training.images or "").name
        passes = "one epoch" if epochs == 1 else f"{epochs} epochs"
        who = "Those that pass are" if config.ladder else "Each is"
        return f"{text} {who} trained for {passes} on {folder}; its score is top-1 on the held-out images, in percent."
    return f"{text} Candidates are scored by zero-cost (training-free) proxies."


def _best(run: Run) -> dict[str, Any]:
    """Cards, sentence and drawings of the best network."""
    assert run.best is not None
    cost = uninas.cost(run.best, run.size(), run.config.classes).as_dict()
    cards = []
    for name in BUDGETED:
        bound = getattr(run.config.budget, name)
        share = None if bound is None else min(100.0, round(100 * cost[name] / bound, 1))
        under = "no budget" if bound is None else f"{share:.0f} % of the budget of {quantity(bound)}"
        cards.append({"name": _BUDGET_NAMES[name], "value": quantity(cost[name]), "share": share, "under": under})
    cards += _latency_card(run, run.best.digest)
    return {
        "digest": run.best.digest,
        "cards": cards,
        "sentence": _sentence(run, run.best.digest),
        "scores": _scores(run, run.best.digest),
        "overview": Markup(draw_overview(run.best)),
        "blocks": _blocks(run.best),
    }


def _latency_card(run: Run, digest: str) -> list[dict[str, Any]]:
    """The latency of a network and its device, where it was measured."""
    entry = next((one for one in run.entries if one.digest == digest and one.latency_ms is not None), None)
    if entry is None or entry.latency_ms is None:
        return []
    bound = run.config.budget.latency_ms
    share = None if bound is None else min(100.0, round(100 * entry.latency_ms / bound, 1))
    under = f"on {entry.device}" if bound is None else f"{share:.0f} % of the budget of {bound:g} ms, on {entry.device}"
    return [{"name": "latency", "value": f"{entry.latency_ms:.4g} ms", "share": share, "under": under}]


def _sentence(run: Run, digest: str) -> str:
    """Where the best network comes from, and how it does among others of the best quarter."""
    entry = next((one for one in run.entries if one.digest == digest), None)
    if entry is None:
        return "The journal does not hold the scores of this network."
    text = f"Candidate {entry.index} of the search"
    finalist = next((one for one in run.finalists if one.entry.digest == digest), None)
    if finalist is None:
        rank = run.places.get((entry.phase, entry.index))
        return f"{text}, rank {rank} of {len(run.places)} by {run.config.objective} under the seed that selected it."
    if digest not in run.on_one_seed:
        return f"{text}; of {len(run.finalists)} finalists it is the best on held-out seeds."
    count = len(run.on_one_seed)
    field = f"finalists, {'controls ' * bool(run.controls)}and others of the best quarter"
    return (
        f"{text}; of {len(run.finalists)} finalists it is the best on held-out seeds. Among {count} networks that were all scored"
        f" under the first of those ({field}), its rank is {run.on_one_seed[digest]}."
    )


def _presets_are(run: Run) -> str:
    """Say at which widths presets stand beside the best network."""
    space = run.config.space
    if any(name in uninas.PRESETS for name in run.compared):
        return ", presets fitted to the budget"
    scaled = space.widths or space.depths or space.stem != SpaceConfig().stem
    return ", presets scaled as this run’s start" if scaled else ""


def _scores(run: Run, digest: str) -> dict[str, Any]:
    """The scores of the best network and of the controls, one row per proxy: in the search, and means of held-out seeds."""
    entry = next((one for one in run.entries if one.digest == digest), None)
    finalist = next((one for one in run.finalists if one.entry.digest == digest), None)
    sources: list[tuple[str, Mapping[str, float], int]] = [("in the search", entry.scores if entry else {}, 5)]
    if finalist is not None:
        longer = "trained longer, " * run.config.finalists.longer
        sources += [(f"mean, {longer}held-out seeds", finalist.mean, 5), ("± std", finalist.spread, 2)]
    sources += [(f"{one.name}, held-out", one.mean, 5) for one in run.controls]
    rows = []
    for name in run.objective.proxies:
        rows.append([name, *(_number(scores[name], digits) if name in scores else "–" for _, scores, digits in sources)])
    return {"columns": [title for title, _, _ in sources], "rows": rows}


def _number(value: float, digits: int) -> str:
    """A score with so many significant digits, or a count in full."""
    return f"{value:,.0f}" if abs(value) >= 10**digits and value == round(value) else f"{value:.{digits}g}"


def _costs(run: Run, presets: Mapping[str, uninas.Architecture], left_out: Mapping[str, str]) -> dict[str, Any]:
    assert run.best is not None
    networks = {"best" if run.chosen else "best so far": run.best, **(run.compared or presets)}
    costs = [uninas.cost(one, run.size(), run.config.classes).as_dict() for one in networks.values()]

    def row(name: str, key: str, show: Any) -> dict[str, Any]:
        bound = getattr(run.config.budget, key, None)
        cells = [{"text": show(cost[key]), "over": bound is not None and cost[key] > bound} for cost in costs]
        return {"name": name, "cells": cells}

    rows = [
        row("parameters", "params", "{:,}".format),
        row("trainable parameters", "live_params", "{:,}".format),
        row("MACs", "macs", "{:,}".format),
        {"name": "2 × MACs", "cells": [{"text": f"{2 * cost['macs']:,}", "over": False} for cost in costs]},
        row("convolution and linear layers", "layers", "{:,}".format),
        row("activations, MB (float32)", "activation_bytes", lambda value: f"{value / 1e6:,.1f}"),
        row("largest attention map, tokens", "attention_tokens", "{:,}".format),
    ]
    return {"columns": list(networks), "rows": rows, "left_out": sorted(left_out.items())}


def _all(run: Run) -> tuple[Entry, ...]:
    return (*run.entries, *run.baseline)


def _phases(run: Run) -> list[tuple[str, tuple[Entry, ...]]]:
    return [("search", run.entries)] + ([("random", run.baseline)] if run.baseline else [])


def _events(run: Run) -> list[tuple[str, list[str]]]:
    """Rows of counts, one column per phase."""
    columns = []
    for name, entries in _phases(run):
        tally = run.tallies[name]
        failed = sum(entry.status == "failed" for entry in entries)
        slow = sum(entry.status == "over_budget" for entry in entries)
        stopped = sum(entry.status == "stopped" for entry in entries)
        partly = sum(entry.status == "ok" and any(p not in entry.scores for p in run.objective.proxies) for entry in entries)
        retried = sum(entry.attempts > 1 for entry in entries)
        ok = len(entries) - failed - slow - stopped
        columns.append([len(entries), ok, failed, slow, stopped, partly, tally.duplicates, tally.rejected.total(), retried])
    labels = ["scored or tried", "ok", "failed", "over the latency budget", "stopped on the ladder", "ok, but a score is missing"]
    labels += ["duplicates drawn again", "rejected before scoring", "tried more than once"]
    return [(label, [f"{column[row]:,}" for column in columns]) for row, label in enumerate(labels)]


def _rejected(run: Run) -> list[tuple[str, list[str]]]:
    names = [name for name, _ in _phases(run)]
    total: Counter[str] = Counter()
    for name in names:
        total.update(run.tallies[name].rejected)
    return [(reason, [f"{run.tallies[name].rejected[reason]:,}" for name in names]) for reason, _ in total.most_common()]


def _timing(run: Run) -> Iterator[tuple[str, ...]]:
    """Rows of seconds: stage, median, 95th percentile, longest, sum; the whole last."""
    stages = list(dict.fromkeys(stage for entry in _all(run) for stage in entry.seconds))
    rows = {stage: [entry.seconds[stage] for entry in _all(run) if stage in entry.seconds] for stage in stages}
    if len(stages) > 1:
        rows["together"] = [sum(entry.seconds.values()) for entry in _all(run) if len(entry.seconds) == len(stages)]
    for stage, values in rows.items():
        if not values:  # no candidate passed every stage
            continue
        figures_of = (np.median(values), np.percentile(values, 95), max(values), sum(values))
        yield (stage, *(f"{value:,.3f}" if value < 10 else f"{value:,.1f}" for value in figures_of))


def _workers(run: Run) -> str:
    counts = Counter(entry.worker for entry in _all(run))
    named = ", ".join(f"{worker} ({count:,})" for worker, count in counts.most_common(8))
    more = f" and {len(counts) - 8} more" if len(counts) > 8 else ""
    return f"{len(counts)} worker{'s' * (len(counts) != 1)}: {named}{more}."


def _scored_by(run: Run) -> list[tuple[str, str, str]]:
    """Rows of what scored the run, where it was more than one code: from where, version, digest."""
    if len(run.codes) < 2:
        return []
    rows = []
    for code, before in run.codes:
        parts = zip(before, ("candidates of the search", "of the random search", "scores of finalists"), strict=True)
        where = ", ".join(f"{count:,} {what}" for count, what in parts if count)
        said = ("not recorded", "–") if code is None else (f"uninas {code.version}", code.digest[:12])
        rows.append((f"after {where}" if where else "the beginning", *said))
    return rows


def _resume_note(run: Run) -> str:
    if run.missing:
        return "A resumed search replays the journal and continues bit for bit. Give the path of the run folder."
    if "search" in run.most:
        return f"The run is finished: it has seen all {run.most['search']:,} candidates that the space has within the budget."
    return "The run is finished. More evaluations continue the same journal; existing results are kept."


def _finalists_now(run: Run) -> dict[str, str] | None:
    """Give the names of the files in finalists/ and controls/ by digest; None where the run goes on, and they are of before."""
    if not run.chosen:
        return None
    finalists = {one.entry.digest: f"{number:02}" for number, one in enumerate(run.finalists, start=1)}
    return {one.digest: one.name for one in run.controls} | finalists


def _short(reason: str | None) -> str:
    text = " ".join((reason or "no reason given").split())
    return text if len(text) <= 160 else f"{text[:157]}…"


def _extension(run: Run) -> list[str]:
    more = [] if "search" in run.most else [f"uninas search --resume {run.name} evaluations={2 * run.config.evaluations}"]
    return [*more, f"uninas report {run.name}"]


def _blocks(best: uninas.Architecture) -> Markup:
    """The picture of the best network's blocks, or why there is none."""
    try:
        return Markup(draw_blocks(best))
    except uninas.InputError as error:
        return Markup("<p>No {}</p>").format(str(error))


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """run.json as rows: nested keys joined, lists in one line; what the page shows elsewhere is left out."""
    for key, value in data.items():
        if not prefix and key in ("best", "finalists", "front", "counts"):
            continue
        name = f"{prefix}{key}".replace("_", " ")
        if name.count(" · ") > 8:  # nothing that a search writes: what is deeper is left out
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name} · ")
        elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            for number, one in enumerate(value, start=1):
                yield from _flat(one, f"{name} {number} · " if len(value) > 1 else f"{name} · ")
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value))
        else:
            yield name, "–" if value is None else str(value)
