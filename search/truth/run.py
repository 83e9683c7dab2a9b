"""Make a ground truth on a pool, with a journal: kill it anywhere, and it goes on where it was.

RUN/config.yaml     what it is made of
RUN/images.json     the folder of images, and the digest of all that is in it
RUN/networks/       the architecture of each network; RUN/networks.csv lists them
RUN/journal.jsonl   the truth of the truth: one record per training, as it ended
RUN/accuracy.csv    and truth.json: the results so far, see `search.truth.results`
RUN/run.json        status, sessions with their environments

An accuracy is a function of network, seed, images and recipe: who trains it and when makes no difference.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, final

import uninas
from search.config.schema import PoolConfig
from search.engine import session
from search.engine.scored_by import ScoredBy
from search.engine.session import JOURNAL, STATUS, PoolMaker, Session
from search.engine.session import make_pool as make_any_pool
from search.journal.journal import Journal
from search.journal.records import Header, Kinds
from search.monitor.progress import State, View
from search.training.evaluate import CODE, EVALUATOR, Job
from search.training.images import ImageFolder, describe
from search.truth import results
from search.truth.networks import Network, draw, presets
from search.truth.records import KINDS, Training, TruthRecord
from search.truth.settings import TruthConfig, digest, load, to_yaml
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool, scored
from search.workers.scoring_code import scoring_code
from uninas.errors import InputError
from uninas.files.paths import below
from uninas.files.reading import read_json
from uninas.files.tables import csv_text, read_table
from uninas.files.writing import write_json, write_text

__all__ = ["begin", "results_of", "resume"]

CONFIG, IMAGES, LIST = "config.yaml", "images.json", "networks.csv"
_FIRST = {CONFIG, IMAGES, LIST, results.NETWORKS}  # what is there before a journal; the configuration comes last


def make_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
    """Make the pool that a configuration asks for; it is not started yet."""
    return make_any_pool(config, view, interrupts, EVALUATOR)


def begin(config: TruthConfig, data: Path, folder: Path, *, view: View, pool_maker: PoolMaker = make_pool) -> dict[str, Any]:
    """Make a ground truth in a new folder, to its end. Gives what truth.json holds.

    Args:
        config: checked, as `load` gives it.
        data: folder of images, see `search.training.images`.
        folder: to create.
        view: shows the progress.
        pool_maker: makes the pool.

    Raises:
        InputError: the folder exists, the images are none, no networks in the band, the pool cannot be had, ...
        KeyboardInterrupt: after Ctrl-C or SIGTERM; all workers are gone, and the run can be resumed.
    """
    if folder.exists() and ((folder / CONFIG).exists() or not {path.name for path in folder.iterdir()} <= _FIRST):
        raise InputError(
            f"{folder}: expected a new run folder; it exists: continue with --resume {folder}, or give another --out"
        )
    view.note(f"reading the images of {data}")
    images, notes = describe(data, pixels=config.images.pixels, per_class=config.images.per_class)
    for note in notes:
        view.note(f"warning: {note}")
    task = _Truth(folder, config, images, _networks(config, images, view), view)
    session.begin(folder, task, pool=partial(pool_maker, config.pool, view), view=view)
    return results_of(folder)


def resume(
    folder: Path,
    overrides: Sequence[str] = (),
    *,
    view: View,
    data: Path | None = None,
    pool_maker: PoolMaker = make_pool,
    accept_changes: bool = False,
) -> dict[str, Any]:
    """Train what is left, or what more networks and seeds ask for. Gives what truth.json holds.

    Args:
        folder: of the run.
        overrides: `networks`, `repeated` and `seeds`, each not lower than before, and `pool` keys.
        view: shows the progress.
        data: where the images are now; None: where they were.
        pool_maker: makes the pool.
        accept_changes: go on although the code that trains has changed since.

    Raises:
        InputError: no run, other images, a changed configuration, another code, or as `begin`.
        KeyboardInterrupt: as `begin`.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(f"{folder}: expected the run folder of a ground truth with a {CONFIG}; there is none")
    before, config = load(folder / CONFIG), load(folder / CONFIG, overrides)
    if digest(before) != digest(config):
        raise InputError(
            "--resume: expected at most networks=N, repeated=N, seeds=N and keys of pool after it: the rest is the run's"
        )
    for name in ("networks", "repeated", "seeds"):
        if getattr(config, name) < getattr(before, name):
            raise InputError(f"{name}: expected at least the run's {getattr(before, name)}; got {getattr(config, name)}")
    images = _images_of(folder, data, view)
    if config.networks == before.networks:
        networks = _read_networks(folder)
    else:
        networks = _networks(config, images, view)
        _compare(_listed(folder), networks, folder)
    task = _Truth(folder, config, images, networks, view, accept_changes=accept_changes)
    killed_at_once = not (folder / STATUS).exists()
    pool = partial(pool_maker, config.pool, view)
    session.resume(folder, task, pool=pool, view=view, without_journal=killed_at_once)
    return results_of(folder)


def results_of(folder: Path) -> dict[str, Any]:
    """Read truth.json of a run."""
    found: dict[str, Any] = read_json(folder / results.SUMMARY)
    return found


def _networks(config: TruthConfig, images: ImageFolder, view: View) -> list[Network]:
    """Draw the networks, and say how far it is now and then."""
    state = State(fixed=True)
    state.begin("draw", 0, config.networks)

    def show(found: int) -> None:
        state.done = found
        view.update(state)

    classes = len(images.classes)
    return [*presets(config, classes), *draw(config, classes, show=show)]


def _images_of(folder: Path, data: Path | None, view: View) -> ImageFolder:
    """Read the images of a run again; they may have moved, and must be the same."""
    path = folder / IMAGES
    try:
        kept = ImageFolder.from_dict(read_json(path))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected the description of the images; {error}") from None
    place = Path(kept.folder) if data is None else data
    view.note(f"reading the images of {place}")
    now, _ = describe(place, pixels=kept.pixels, per_class=kept.per_class, held_out=kept.held_out)
    if (now.digest, now.classes) != (kept.digest, kept.classes):
        raise InputError(f"{place}: expected the images that the run began with; they are others")
    return now


def _listed(folder: Path) -> dict[str, dict[str, str]]:
    """Read networks.csv: name -> its row."""
    path = folder / LIST
    try:
        table = read_table(path)
        found = [dict(zip(table.names, row, strict=True)) for row in table.rows]
        return {row["name"]: row for row in found}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: expected the list of the networks; {error}") from None


def _read_networks(folder: Path) -> list[Network]:
    """Read the networks of a run, and check that each is the one that was drawn."""
    size = load(folder / CONFIG).size
    found = []
    for name, row in _listed(folder).items():
        path = below(folder / results.NETWORKS, f"{name}.json")
        architecture = uninas.canonicalise(uninas.load(path))
        if architecture.digest != row["digest"]:
            raise InputError(f"{path}: expected the network {row['digest'][:12]} of {LIST}; got {architecture.digest[:12]}")
        cost = uninas.cost(architecture, (size[0], size[1]))
        found.append(Network(name, row["family"], architecture, cost, row["drawn"] == "yes"))
    return found


def _compare(before: dict[str, dict[str, str]], now: Sequence[Network], folder: Path) -> None:
    """Raise InputError where networks that were drawn before are not among those of now."""
    digests = {network.name: network.architecture.digest for network in now}
    other = next((name for name, row in before.items() if digests.get(name) != row["digest"]), None)
    if other is not None:
        raise InputError(f"{folder}: expected the networks that were drawn before; this version draws another {other}")


@final
class _Truth:
    """The task of a session: the state of one ground truth in this process."""

    kinds: Kinds[TruthRecord] = KINDS
    changed = "expected the configuration and the images that began this run; they were changed since"

    def __init__(
        self,
        folder: Path,
        config: TruthConfig,
        images: ImageFolder,
        networks: Sequence[Network],
        view: View,
        *,
        accept_changes: bool = False,
    ) -> None:
        self._folder, self._config, self._images, self._networks, self._view = folder, config, images, networks, view
        self._scored_by = ScoredBy(scoring_code([], CODE), accepted=accept_changes)
        self._trainings: dict[tuple[str, int], Training] = {}

    @property
    def header(self) -> Header:
        """See `session.Task`."""
        about = {"seed": self._config.seed, "images": self._images.digest, **self._scored_by.about}
        return Header(digest(self._config), about)

    def read(self, record: TruthRecord) -> None:
        """See `session.Task`."""
        if isinstance(record, Training):
            self._trainings[record.network, record.seed] = record
            return
        if isinstance(record, Header) and record.about.get("images") != self._images.digest:
            raise InputError(f"{self._folder}: {self.changed}")
        self._scored_by.read(record)

    def catch_up(self, journal: Journal, check: Callable[[], None]) -> None:
        """See `session.Task`."""
        digests = {network.name: network.architecture.digest for network in self._networks}
        other = next((one for one in self._trainings.values() if digests.get(one.network) != one.digest), None)
        if other is not None:
            raise InputError(
                f"{self._folder / JOURNAL}: expected trainings of the networks of this run; got one of {other.network}, "
                f"{other.digest[:12]}"
            )
        if self._left():
            self._scored_by.settle(journal, where=self._folder, scored=bool(self._trainings), note=self._view.note)

    def _left(self) -> list[tuple[Network, int]]:
        """Give the trainings that are left: networks in their order, all seeds of each."""
        drawn, wanted = 0, []
        for network in self._networks:
            repeated = not network.drawn or drawn < self._config.repeated
            drawn += network.drawn
            wanted += [(network, seed) for seed in range(self._config.seeds if repeated else 1)]
        return [(network, seed) for network, seed in wanted if (network.name, seed) not in self._trainings]

    def write_files(self) -> None:
        """See `session.Task`."""
        (self._folder / results.NETWORKS).mkdir(exist_ok=True)
        for network in self._networks:
            write_text(self._folder / results.NETWORKS / f"{network.name}.json", uninas.to_text(network.architecture))
        write_text(self._folder / LIST, csv_text([_row(network) for network in self._networks]))
        write_json(self._folder / IMAGES, self._images.as_dict())
        write_text(self._folder / CONFIG, to_yaml(self._config))

    def work(self, session: Session[TruthRecord]) -> None:
        """Train what is left, and journal each as it ends."""
        left = self._left()
        if left:
            self._train(session, left)
        results.write(self._folder, self._config, self._images, self._networks, self._trainings)

    def _train(self, session: Session[TruthRecord], left: Sequence[tuple[Network, int]]) -> None:
        pool, before = session.pool(), len(self._trainings)
        state = State(fixed=True)
        state.begin("train", before, before + len(left))

        def show(under_way: int) -> None:
            state.done, state.in_flight = len(self._trainings), under_way
            self._view.update(state)

        jobs: Iterator[Job] = (self._job(network, seed) for network, seed in left)
        for done in scored(pool, jobs, check=session.interrupts.check, show=show, in_order=False):
            network, seed = left[done.ticket]
            record = Training.of(network, seed, done)
            session.journal.append(record)
            self._trainings[network.name, seed] = record
            state.failed += record.status != "ok"
            results.write(self._folder, self._config, self._images, self._networks, self._trainings)

    def _job(self, network: Network, seed: int) -> Job:
        size = (self._config.size[0], self._config.size[1])
        return Job(network.name, uninas.to_text(network.architecture), size, self._images, self._config.recipe, seed)

    def status(self, session: Session[TruthRecord], status: str) -> dict[str, Any]:
        """See `session.Task`."""
        return {
            "format": "uninas-truth-run",
            "version": 1,
            "status": status,
            "config_digest": digest(self._config),
            "networks": len(self._networks),
            "trainings": len(self._trainings),
            "left": len(self._left()),
            "sessions": session.rows,
        }

    def stopped(self) -> str:
        """See `session.Task`."""
        return f"stopped: {len(self._left())} trainings are left; continue with --resume {self._folder}"


def _row(network: Network) -> dict[str, Any]:
    """Give the row of a network in networks.csv."""
    return {
        "name": network.name,
        "family": network.family,
        "drawn": "yes" if network.drawn else "no",
        "digest": network.architecture.digest,
        **dataclasses.asdict(network.cost),
    }
