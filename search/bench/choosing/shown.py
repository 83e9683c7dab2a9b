"""A choice as a person reads it in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from search.bench.choosing.choice import Choice, Tried, often
from search.bench.choosing.criterion import ALL
from search.bench.judging import finish
from search.bench.judging.aggregates import objective


def show(choice: Choice, write_line: Callable[[Any], None]) -> None:
    """Show the choice: what it is, its figures on the second half, what is cheaper, how stable it is, what a search takes."""
    from rich.table import Table

    chosen, settings = choice.chosen, choice.settings
    reference = settings["reference"]
    title = (
        f"{' + '.join(chosen.components)}: chosen on {_networks(settings['chosen_on'])} networks "
        f"from {settings['candidates']:,} sets, judged on the others"
    )
    shown = Table(title=title, title_justify="left")
    for name in ("", "metric", "chosen", reference, "difference"):
        shown.add_column(name, justify="left" if name in ("", "metric") else "right", no_wrap=True)
    for one in (*chosen.second, *choice.mean):
        where = {"mean": "timm, mean of families", ALL: "mean of sets"}.get(one.where, one.where)
        figures = (finish.written(figure.as_dict()) for figure in (one.ours, one.reference, one.difference))
        shown.add_row(where, one.metric.replace("_", " "), *figures)
    write_line(shown)
    write_line(choice.explanation)
    write_line(f"mean gain on the first half: {chosen.value:.2f} standard errors; cost: {cost(chosen)}")
    write_line(f"the other half: {counted(chosen)}")
    for title, sets in (("best of each size", choice.sizes), ("best for its cost", choice.frontier)):
        if sets:
            write_line(_table(title, sets))
    for split in choice.splits:
        write_line(f"seed {split.seed}: {' + '.join(split.chosen.components)}: {counted(split.chosen)}")
    write_line("chosen how often: " + ", ".join(f"{name} {times}" for name, times in often(choice).items()))
    write_line(f"best single score: {choice.single.components[0]}: {counted(choice.single)}; cost: {cost(choice.single)}")
    write_line(f"objective: {objective(chosen.components).name}")


def _networks(counts: Any) -> str:
    return " + ".join(f"{count:,}" for count in counts.values())


def cost(one: Tried) -> str:
    """Say what a set costs a network."""
    return "not measured" if one.cost is None else f"at most {one.cost:.2g} CPU-seconds a network"


def counted(one: Tried) -> str:
    """Say on how many figures a set is better than the reference, and on how many worse."""
    return f"better with 95% confidence on {one.above} of {len(one.second)} figures, worse on {one.below}"


def _table(title: str, sets: tuple[Tried, ...]) -> Any:
    from rich.table import Table

    shown = Table(title=title, title_justify="left")
    for name in ("set", "CPU-s", "value", "better", "worse"):
        shown.add_column(name, justify="left" if name == "set" else "right")
    for one in sets:
        spent = "" if one.cost is None else f"{one.cost:.2g}"
        shown.add_row(" + ".join(one.components), spent, f"{one.value:.2f}", str(one.above), str(one.below))
    return shown
