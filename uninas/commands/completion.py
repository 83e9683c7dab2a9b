"""What a shell offers for the arguments of commands: names of networks and configurations, run folders. It imports little.

Each function is a `shell_complete` of click's, called with what has been typed of a word. Files are offered too, by the shell
itself: for that the first item is of the type "file", which click's scripts read as "or any file".
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

__all__ = ["architectures", "folders", "runs", "search_configurations", "truth_configurations"]

RUNS = Path("runs")
_SIGNS = ("run.json", "journal.jsonl", "settings.json", "sweep.json", "config.yaml")
"""Files by which a folder is taken for that of a run: one of them is enough, since this is no more than an offer."""


def architectures(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer presets, published networks, and run folders."""
    from uninas.networks.presets import PRESETS
    from uninas.networks.zoo import ZOO

    return _items([*PRESETS, *ZOO, *_run_folders()], incomplete)


def search_configurations(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the shipped configurations of searches, as the first of several words only: KEY=VALUE follow."""
    return _configurations(context, parameter, incomplete, "search")


def truth_configurations(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the shipped configurations of ground truths, likewise."""
    return _configurations(context, parameter, incomplete, "truth")


def runs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer run folders."""
    return _items(_run_folders(), incomplete)


def folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer folders, as the shell knows them."""
    return [CompletionItem(incomplete, type="dir")]


def _configurations(context: click.Context, parameter: click.Parameter, incomplete: str, folder: str) -> list[CompletionItem]:
    from uninas.runtime import configurations

    first = not context.params.get(parameter.name or "")
    return _items(configurations.names((folder,)) if first else [], incomplete)


def _run_folders() -> list[str]:
    """List the run folders below runs/, and those one folder further down, as of a sweep."""
    upper = _folders(RUNS)
    places = [*upper, *(inner for place in upper for inner in _folders(place))]
    return sorted(place.as_posix() for place in places if _is_run(place))


def _is_run(place: Path) -> bool:
    try:
        return any((place / sign).is_file() for sign in _SIGNS)
    except OSError:
        return False  # it is of another user


def _folders(place: Path) -> list[Path]:
    try:
        return [path for path in place.iterdir() if path.is_dir()]
    except OSError:
        return []  # there is none, or it is of another user


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file"), *(CompletionItem(name) for name in names if name.startswith(incomplete))]
