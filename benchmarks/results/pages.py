"""Markdown pages with pictures from the folders of bench runs, made by command alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import RESULTS
from benchmarks.results import ablation_page, aggregate_page, nasbench201_page, referees_page, timm_page
from benchmarks.results.markdown import Page
from benchmarks.results.notes import read_notes
from search.bench.choosing import choice
from search.bench.page.data import RESULTS as RESULTS_FILE
from search.bench.page.data import Bench, read_bench
from uninas.errors import InputError
from uninas.files.writing import write_text

_PAGES = {
    "nasbench201": nasbench201_page.make,
    "timm": timm_page.make,
    "ablation": ablation_page.make,
}
"""What makes the page of each kind of run."""


def results_pages(runs: Sequence[Path], out: Path, only: Sequence[str] = ()) -> tuple[Path, ...]:
    """Write the results pages: README.md; nasbench201.md, timm.md, ablations.md, aggregate.md of what is given; their pictures.

    Where a run is of a referee without a page of its own, referees.md shows it, and every proxy by every referee that is given.

    The remarks beside the tables are read from `out`/notes.toml, which is never written.

    Args:
        runs: folders of bench runs and of choices, in any order, or folders that hold such folders; of two runs of one thing
            the one with more networks is shown.
        out: a folder, made where it is not there; pages of kinds that no run measured stay as they are.
        only: names of pages, such as "referees", that alone are written; () for all that the runs give.

    Returns:
        the pages written, README.md first.

    Raises:
        InputError: no run, a folder that is no bench run, a kind that has no page, notes that cannot be read, a page of `only`
            that these runs do not give, or `out` cannot be written.
    """
    if not runs:
        raise InputError("expected at least one folder of a bench run; got none")
    benches: dict[str, list[Bench]] = {}
    folders = [folder for given in runs for folder in _runs_in(given)]
    choices = [choice.read(folder) for folder in folders if _is_choice(folder)]
    for folder in folders:
        if _is_choice(folder):
            continue
        bench = read_bench(folder)
        if bench.benchmark not in (*_PAGES, *referees_page.HERE):
            raise InputError(f"{folder}: expected a run of {', '.join((*_PAGES, *referees_page.HERE))}; got {bench.benchmark!r}")
        benches.setdefault(bench.benchmark, []).append(bench)
    notes = read_notes(out)
    asked = [*map(_shown, runs), *(["--only", *only] if only else []), *(["--out", _shown(out)] if out != RESULTS else [])]
    command = f"python -m benchmarks.results {' '.join(asked)}"
    pages = [_PAGES[kind](benches[kind], notes, command) for kind in _PAGES if kind in benches]
    if any(kind in referees_page.HERE for kind in benches):
        judged = [bench for kind, found in benches.items() if kind != "ablation" for bench in found]
        pages.append(referees_page.make(judged, notes, command))
    if choices:
        pages.append(aggregate_page.make(choices, notes, command))
    if missing := set(only) - {page.file.removesuffix(".md") for page in pages}:
        made = ", ".join(page.file.removesuffix(".md") for page in pages)
        raise InputError(f"--only: expected pages that these runs give, {made}; got {', '.join(sorted(missing))}")
    pages = [page for page in pages if not only or page.file.removesuffix(".md") in only]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot make the folder: {error.strerror or error}") from None
    for page in pages:
        for name, picture in page.pictures.items():
            (out / name).parent.mkdir(exist_ok=True)
            write_text(out / name, picture)
        write_text(out / page.file, page.text)
    write_text(out / "README.md", _index(pages, out))
    return (out / "README.md", *(out / page.file for page in pages))


def _runs_in(folder: Path) -> list[Path]:
    """The folder itself, or where it is none of a run or a choice, those of the runs and choices that it holds."""
    if _is_choice(folder) or (folder / RESULTS_FILE).is_file() or not folder.is_dir():
        return [folder]
    return sorted(path for path in folder.iterdir() if _is_choice(path) or (path / RESULTS_FILE).is_file()) or [folder]


def _is_choice(folder: Path) -> bool:
    """Whether it is a folder of `uninas bench choose`, which scores nothing."""
    return (folder / choice.FILE).is_file()


def _shown(folder: Path) -> str:
    """The folder as the command named it; its name alone where that was a whole path."""
    return folder.name if folder.is_absolute() else folder.as_posix()


def _index(pages: Sequence[Page], out: Path) -> str:
    """The list of the pages; one that this call did not make is listed as it was, else by its file."""
    lines = [
        "# Results",
        "",
        "How zero-cost (training-free) proxies rank networks of known accuracy, next to the figures of the papers.",
        "",
    ]
    made = {page.file: f"- [{page.title}]({page.file}): {page.headline}" for page in pages}
    try:
        before = (out / "README.md").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        before = []
    known = {line.partition("](")[2].partition(")")[0]: line for line in before if line.startswith("- [")}
    others = {
        path.name: known.get(path.name, f"- [{path.stem}]({path.name})")
        for path in sorted(out.glob("*.md"))
        if path.name != "README.md" and path.name not in made
    }
    return "\n".join([*lines, *made.values(), *others.values()]) + "\n"
