"""What version 0.1.0 wrote is read, resumed and found again by this code: run folders, configurations, digests, scores."""

from __future__ import annotations

import csv
import json
import random
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import proxies
import uninas
from downstream.train.classify import train
from downstream.train.settings import read as read_settings
from search.bench.benchmarks import nasbench201
from search.config import loading
from search.config.schema import PoolConfig
from search.engine import driver
from tests.amounts import slow
from tests.downstream import pictures
from tests.search.bench.fakes import fake_pool
from tests.search.conftest import Notes, stable
from uninas import edits
from uninas.cli import program
from uninas.compile import build
from uninas.errors import InputError
from uninas.spaces import SPACES
from uninas.spaces.choices import canonical_network

HERE = Path(__file__).parent / "written_by_0_1_0"
FACTS = json.loads((HERE / "facts.json").read_text(encoding="utf-8"))
SEARCHES = ("walk", "own", "evolution", "grammar", "pareto", "start")
LONG = ("evolution", "grammar", "pareto")

pytestmark = pytest.mark.filterwarnings("ignore:.* has moved:DeprecationWarning")  # what my_space.py of then imports

ROUNDING = 1e-4
"""Relative: another processor rounds otherwise. On the one that wrote them, they are equal to the digit."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def close(one: Any, other: Any, rounding: float = ROUNDING) -> bool:
    """Whether two JSON values are equal, numbers that are not whole within rounding."""
    if isinstance(one, float) or isinstance(other, float):
        return bool(one == pytest.approx(other, rel=rounding))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key], rounding) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(close(*pair, rounding) for pair in zip(one, other, strict=True))
    return bool(one == other)


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(HERE / name, folder / name))


def uninas_command(*words: str) -> str:
    done = CliRunner().invoke(program, words, catch_exceptions=False, standalone_mode=False)
    return done.output


@pytest.mark.parametrize("name", FACTS["networks"])
def test_named_networks_keep_their_digest_and_cost(name: str) -> None:
    network = uninas.preset(name)
    assert {"digest": network.digest, **uninas.cost(network).as_dict()} == FACTS["networks"][name]


@pytest.mark.parametrize("name", FACTS["walks"])
def test_one_seed_walks_the_same_way(name: str) -> None:
    start = uninas.preset(name, widths=[32, 64, 96, 128], depths=[1, 1, 1, 1], stem=[8, 16], classes=10, input_size=(32, 32))
    current, rng, found = uninas.canonicalise(start), random.Random(7), list[str]()
    while len(found) < len(FACTS["walks"][name]):
        step = edits.mutate(current, rng, edits.Limits(nodes_per_subblock=32))
        if not isinstance(step, uninas.Rejection):
            current = step[0]
            found.append(current.digest)
    assert found == FACTS["walks"][name]


@pytest.mark.parametrize("name", FACTS["spaces"])
def test_published_spaces_give_the_same_samples(name: str) -> None:
    space, rng, found = SPACES[name], random.Random(3), list[list[str]]()
    while len(found) < len(FACTS["spaces"][name]):
        genotype = space.sample(rng)
        try:
            network = canonical_network(space, genotype, 10, (32, 32))
        except InputError:
            continue  # cannot be built
        found.append([space.text(genotype), network.digest])
    assert found == FACTS["spaces"][name]


OF_BEFORE = ("ties=older", "space.regularisers=true", "finalists.controls=[]", "finalists.by_model=0")
"""What 0.1.0 did, said by keys that came later with another default: dropout and drop_path, which no score sees, were inserted
and won ties by rounding; of equal candidates the older was better. Run folders of then mean this without saying so."""


def as_of_then(name: str) -> tuple[str, ...]:
    """The keys that make a configuration of then do what it did; a categorical space has no edits of graphs."""
    return tuple(word for word in OF_BEFORE if not (word.startswith("space.") and name in ("walk", "own")))


REORDERED = ("evolution",)
"""Runs whose finalists come in another order now: they were ranked by mean scores among single ones, today by their values under
each held-out seed."""


CORRECTED = {("coatnet", "gradsign"): [828566.0, 955320.0]}  # without the signs of what rounding left of zeros
"""Values that were wrong, by network and proxy, with what replaced them. Each of these proxies has another revision now."""


IN_DOUBLE = {
    "coatnet": [311.41500104609673, 315.0879546126979],
    "resnet": [207.8320157332516, 209.6006596914793],
    "cell": [547.6774640626835, 547.8136651552768],
}
"""ZiCo of version 0.1.0 in double precision. It divides by the difference of two gradients, which may be nothing but rounding: in
single precision, processors differ by four in a thousand."""


@pytest.mark.parametrize("name", FACTS["scores"])
def test_every_score_is_what_it_was(name: str) -> None:
    fact = FACTS["scores"][name]
    corrected = {proxy: values for (network, proxy), values in CORRECTED.items() if network == name}
    assert all(proxies.REVISIONS[proxy] > 0 for proxy in corrected)
    expected = {**fact["values"], **corrected}
    network = uninas.parse(fact["text"])
    assert network.digest == fact["digest"]
    score = partial(proxies.score_repeats, build(network, classes=10), input_shape=(3, 32, 32), batch=6, seed=5, repeats=2)
    found = {**score(list(fact["values"])), **score(["zico"], dtype=torch.float64)}
    expected["zico"] = IN_DOUBLE[name]
    values = {
        proxy: [value if isinstance(value, float) else {"failed": str(value)} for value in repeats]
        for proxy, repeats in found.items()
    }
    assert {proxy: values[proxy] for proxy in values if not close(values[proxy], expected[proxy])} == {}


@pytest.mark.parametrize("name", [slow(name) if name in (*LONG, "walk") else name for name in SEARCHES])
def test_the_same_configuration_gives_the_same_journal(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    for file in ("my_space.py", "start.json"):
        shutil.copy(HERE / "configs" / file, tmp_path / "src")
    monkeypatch.chdir(tmp_path)
    driver.begin(loading.load(str(HERE / "configs" / f"{name}.yaml"), as_of_then(name)), Path("run"), view=Notes().view)
    ours, theirs = stable(tmp_path / "run"), stable(HERE / name)
    assert close(ours[1:], theirs[1:])  # all but the header, whose digest is of a configuration with this version's defaults


@pytest.mark.parametrize("name", SEARCHES)
def test_a_run_folder_of_before_means_what_it_meant(name: str) -> None:
    stored = loading.load(HERE / name / "config.yaml", stored=True)
    assert stored == loading.load(HERE / name / "config.yaml", as_of_then(name))
    header = json.loads((HERE / name / "journal.jsonl").read_text().partition("\n")[0])
    assert loading.digest(stored) == header["config_digest"]


@pytest.mark.parametrize("name", SEARCHES)
def test_a_whole_run_of_before_is_resumed_to_the_same_end(name: str, tmp_path: Path) -> None:
    check_resumed(name, None, tmp_path)


@pytest.mark.parametrize("name", [slow(name) if name in (*LONG, "walk") else name for name in SEARCHES])
def test_a_run_of_before_that_was_cut_is_resumed_to_the_same_end(name: str, tmp_path: Path) -> None:
    check_resumed(name, 3, tmp_path)


def check_resumed(name: str, kept: int | None, tmp_path: Path) -> None:
    """Resume a run of before of which so many lines are kept."""
    run = copied(name, tmp_path)
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (run / "journal.jsonl").write_bytes(b"".join(lines[:kept]))
    driver.resume(run, view=Notes().view)
    assert (run / "journal.jsonl").read_bytes().splitlines(keepends=True)[:kept] == lines[:kept]
    assert close(stable(run), stable(HERE / name))
    ours, theirs = ([uninas.load(file) for file in sorted((folder / "finalists").iterdir())] for folder in (run, HERE / name))
    if name in REORDERED:
        assert [one.digest for one in ours] != [one.digest for one in theirs]
        ours, theirs = (sorted(networks, key=lambda one: one.digest) for networks in (ours, theirs))
    assert ours == theirs


@pytest.mark.parametrize("name", ["walk", "pareto"])
def test_a_run_of_before_is_watched_resumed_and_reported_by_the_commands(name: str, tmp_path: Path) -> None:
    run = copied(name, tmp_path)
    assert "best" in uninas_command("watch", str(run), "--once")
    assert f"\nnext: uninas refine {run} --data DATA" in uninas_command("search", "--resume", str(run))
    assert (run / "report.html").stat().st_size > 10_000


def test_a_bench_of_before_is_judged_and_resumed_alike(tmp_path: Path) -> None:
    table = tmp_path / "table"
    table.mkdir()
    shutil.copy(HERE / "bench_table.csv", table / "nb201_accuracies.csv")
    theirs = json.loads((HERE / "bench" / "results.json").read_text())
    for number, kept in enumerate((5, None)):
        run = copied("bench", tmp_path / str(number))
        lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
        (run / "journal.jsonl").write_bytes(b"".join(lines[:kept]))
        _, ours = nasbench201.bench(table, run, pool=PoolConfig(kind="serial"), view=Notes().view, pool_maker=fake_pool)
        assert close(json.loads(json.dumps(ours))["rows"], theirs["rows"])
        assert close(stable(run), stable(HERE / "bench"))


def test_a_training_of_before_is_resumed_to_the_same_curve(tmp_path: Path) -> None:
    data, run = pictures.make(tmp_path / "data", train=6, val=4), copied("train", tmp_path)
    train(read_settings(run), data, run, workers=0, resume=True)

    def rows(file: Path, *, judged: bool) -> list[dict[str, float]]:
        times = ("seconds", "pictures_per_second", "images_per_second")
        with file.open() as stream:
            return [
                {name: float(value) for name, value in row.items() if name not in times and (name == "val_loss") == judged}
                for row in csv.DictReader(stream)
            ]

    logs = run / "log.csv", run / "log_of_the_whole.csv"
    assert close(*(rows(log, judged=False) for log in logs))
    # Steps of an optimiser make more of rounding: processors differ by 1.1e-4. With an optimiser that has forgotten it is 5.6e-2.
    assert close(*(rows(log, judged=True) for log in logs), rounding=1e-3)


def test_a_refined_run_of_before_is_reported(tmp_path: Path) -> None:
    run = copied("refined", tmp_path)
    uninas_command("report", str(run))
    page = (run / "report.html").read_text(encoding="utf-8")
    table = json.loads((run / "refine" / "results.json").read_text())
    assert table
    assert all(row["digest"][:12] in page for row in table["finalists"])


def test_a_sweep_of_before_is_resumed(tmp_path: Path) -> None:
    sweep = copied("sweep", tmp_path)
    uninas_command("sweep", "--resume", str(sweep))
    for name in ("000-seed0", "001-seed1"):
        assert close(stable(sweep / name), stable(HERE / "sweep" / name))
    assert (sweep / "results.csv").read_text() == (HERE / "sweep" / "results.csv").read_text()
