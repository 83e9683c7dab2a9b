"""Several searches as trials of Ray Tune: one trial is one whole search, in a process of its own on one processor core.

    plan = expand("search.yaml", ["budget.params=400000,600000"], seeds=range(3))      six searches
    begin(Path("runs/sweep"), plan); run_searches(Path("runs/sweep"), note=print)               each in a run folder under it

RUNS/sweep.json     the searches: names and overrides
RUNS/<name>/        a run folder each, as `uninas search` leaves it
RUNS/results.csv    one row per search

Nothing of Tune is kept: every search is resumed from its own journal, and one that is complete is left alone.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from ray import tune

from search.config import loading as configuration
from search.journal.mirror import BEGUN
from uninas.errors import InputError
from uninas.files.paths import below, is_name
from uninas.files.run_files import odd, read_run_json
from uninas.files.tables import write_csv
from uninas.files.writing import write_json
from uninas.runtime import ray_local

__all__ = ["SweepPlan", "begin", "expand", "read_plan", "rows", "run_searches", "write_results"]

FILE, FORMAT, VERSION = "sweep.json", "uninas-sweep", 1


@dataclass(frozen=True)
class SweepPlan:
    """The searches of a sweep.

    Attributes:
        config: the configuration file.
        searches: by name the overrides of each.
        of_before: whether the sweep began before there were keys whose default is not what was done then; what is left of it is
            done likewise, see `search.config.loading.words_of_before`.
    """

    config: str
    searches: dict[str, list[str]]
    of_before: bool = False


def expand(config: str, words: Sequence[str], seeds: Iterable[int]) -> SweepPlan:
    """Make every combination of seeds and of the values of `key=v1,v2`; a value in brackets is one.

    Every search scores in its own process: its pool is the serial one, whatever the configuration asks for.

    Raises:
        InputError: a combination that cannot be run, see `search.config.loading.load`.
    """
    axes = [[f"seed={seed}" for seed in seeds]]
    for word in words:
        key, equals, text = word.partition("=")
        values = [text] if not equals or text.startswith(("[", "{")) else text.split(",")
        axes.append([f"{key}{equals}{value}" for value in values])
    searches = {}
    varied = [place for place, axis in enumerate(axes) if len(axis) > 1 or place == 0]
    for number, overrides in enumerate(itertools.product(*axes)):
        deadline = configuration.load(config, overrides).pool.deadline_s
        pool = "pool={kind: serial, deadline_s: " + ("null" if deadline is None else f"{deadline:g}") + "}"
        settled = configuration.load(config, [*overrides, pool])
        assert settled.pool.kind == "serial"
        label = "-".join(re.sub(r"[^\w.]+", "", overrides[place].rpartition(".")[2]) for place in varied)
        searches[f"{number:03}-{label}"] = [*overrides, pool]
    return SweepPlan(str(configuration.located(config).absolute()), searches)


def begin(folder: Path, plan: SweepPlan) -> None:
    """Make the folder of a sweep.

    Raises:
        InputError: it exists, or cannot be written.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise InputError(
            f"{folder}: expected a new folder; it exists: continue with uninas sweep --resume, or give another --out"
        ) from None
    except OSError as error:
        raise InputError(f"{folder}: cannot create the folder: {error.strerror}") from None
    write_json(folder / FILE, {"format": FORMAT, "version": VERSION, **asdict(plan)})


def read_plan(folder: Path) -> SweepPlan:
    """Read the plan of a sweep back.

    Raises:
        InputError: there is none, or another version's.
    """
    data = read_run_json(folder, FILE, place="the folder of a sweep", content="its searches")
    try:
        if (data["format"], data["version"]) != (FORMAT, VERSION):
            raise ValueError("another format")
        config, searches = data["config"], data["searches"]
        for name in searches:
            if not re.fullmatch(r"[0-9]{3,}-[\w.-]*", name) or not is_name(name):
                raise ValueError(f"'{name[:80]}' is no name of a search, such as 000-seed0")
        # They become words of a command line, where an option would name other folders.
        for word in (config, *itertools.chain.from_iterable(searches.values())):
            if not isinstance(word, str) or word.startswith("-"):
                raise ValueError(f"'{str(word)[:80]}' is no configuration and no KEY=VALUE")
        if not all(isinstance(words, list) and all("=" in word for word in words) for words in searches.values()):
            raise ValueError("searches without their overrides")
        return SweepPlan(config, searches, bool(data.get("of_before", True)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{folder / FILE}: expected the searches of a sweep, version {VERSION}; {error}") from None


def run_searches(
    folder: Path,
    *,
    concurrent: int | None = None,
    note: Callable[[str], None] = lambda text: None,
    accept_changes: bool = False,
) -> dict[str, str]:
    """Run every search to its end. Gives, by name, why searches failed.

    Args:
        folder: of the sweep.
        concurrent: searches at a time; None for one per core.
        note: receives messages for the user.
        accept_changes: whether searches go on although the code that decides scores has changed since.

    Raises:
        InputError: no sweep.
        KeyboardInterrupt: after Ctrl-C; no process stays, and the sweep can be resumed.
    """
    plan = read_plan(folder)
    left = [name for name in plan.searches if not _complete(below(folder, name))]
    if not left:
        return {}
    for name in left:
        _takes_up(folder / name)
    note(f"{len(left)} of {len(plan.searches)} searches left; starting Ray on this machine (about ten seconds)")
    slots = concurrent or ray_local.cores()
    local = ray_local.start(cpus=max(slots, ray_local.cores()))
    listener = _Listener(note)
    try:
        with ray_local.quiet_tune():
            tuner = tune.Tuner(
                tune.with_resources(_search, {"cpu": 1}),
                param_space={
                    "name": tune.grid_search(left),
                    "folder": str(folder.absolute()),
                    "config": plan.config,
                    "searches": plan.searches,
                    "output": str(local.folder),
                    "cwd": os.getcwd(),
                    "resume": ["--accept-changes"] if accept_changes else [],
                    "of_before": plan.of_before,
                },
                tune_config=tune.TuneConfig(max_concurrent_trials=slots, reuse_actors=True),
                run_config=tune.RunConfig(name="sweep", storage_path=str(local.folder / "tune"), verbose=0, callbacks=[listener]),
            )
            tuner.fit()
    finally:
        local.close()
    if any(name not in listener.failed and not _complete(folder / name) for name in left):
        raise KeyboardInterrupt
    return listener.failed


@final
class _Listener(tune.Callback):
    """Reports every search that ended."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self.failed: dict[str, str] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks, into the folder that ends with Ray, and nobody reads them back."""
        return {}

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """A search ended, whether it failed or not."""
        if result["code"]:
            self.failed[result["name"]] = result["said"]
        self._note(f"{result['name']}  {'failed: ' + result['said'] if result['code'] else 'complete'}")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The process that watched a search died."""
        self.failed[trial.config["name"]] = "its process died"
        self._note(f"{trial.config['name']}  failed: its process died")


def _search(settings: dict[str, Any]) -> None:
    """The trial: `uninas search`, begun or resumed.

    Its output goes into Ray's folder: processes that write there end with Ray, however Ray ends.
    """
    name = settings["name"]
    run_folder = Path(settings["folder"]) / name
    words = ["--resume", str(run_folder), *settings["resume"]]
    if not _takes_up(run_folder):
        shutil.rmtree(run_folder, ignore_errors=True)
        overrides = settings["searches"][name]
        if settings["of_before"]:
            overrides = [*overrides, *configuration.words_of_before(configuration.load(settings["config"], overrides))]
        words = [settings["config"], *overrides, "--out", str(run_folder)]
    said = Path(settings["output"]) / f"{name}.txt"
    with said.open("wb") as output:
        code = subprocess.call(
            [sys.executable, "-m", "uninas.cli", "search", *words],
            cwd=settings["cwd"],  # not Tune's folder: a configuration names files from where the user stands
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    tune.report({"name": name, "code": code, "said": lines[-1] if lines else f"it ended with {code}"})


def _takes_up(run_folder: Path) -> bool:
    """Whether there is a search to resume; else nothing is there, or only what a kill before the first candidate leaves.

    Raises:
        InputError: other files are there, which are nobody's to remove.
    """
    below(run_folder.parent, run_folder.name)
    if (run_folder / "config.yaml").is_file() and (run_folder / "journal.jsonl").is_file():
        return True
    if not run_folder.exists():
        return False
    left = [path.name for path in run_folder.iterdir()] if run_folder.is_dir() else [run_folder.name]
    own = {*BEGUN, "journal.jsonl", "run.json"}
    if other := next((name for name in left if name.removeprefix(".").removesuffix(".part") not in own), None):
        raise InputError(f"{run_folder}: expected the folder of a search; it holds {other} and no journal: move it away")
    return False


def _complete(run_folder: Path) -> bool:
    if not (run_folder / "run.json").is_file():
        return False
    found = read_run_json(run_folder, "run.json", place="the run folder of a search", content="what a search writes")
    return isinstance(found, dict) and found.get("status") == "complete"


def rows(folder: Path) -> list[dict[str, Any]]:
    """Give one row per search: name, overrides, candidates, and its best network's digest, costs and scores on held-out seeds."""
    found = []
    for name, overrides in read_plan(folder).searches.items():
        row: dict[str, Any] = {"search": name, "overrides": " ".join(overrides[:-1]), "status": "unfinished"}
        if _complete(folder / name):
            data = read_run_json(folder / name, "run.json", place="the run folder of a search", content="what a search writes")
            with odd(folder / name / "run.json"):
                best = data["best"]
                row |= {"status": "complete", "candidates": data["counts"]["search"]["done"], "digest": best["digest"]}
                row |= {"objective": data["objective"], **best["cost"], **best["mean"]}
        found.append(row)
    return found


def write_results(folder: Path) -> list[dict[str, Any]]:
    """Write results.csv; gives its rows."""
    found = rows(folder)
    write_csv(folder / "results.csv", found)
    return found
