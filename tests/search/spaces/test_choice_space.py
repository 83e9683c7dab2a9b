"""Searches over spaces of choices: every algorithm, resumes, duplicates, budgets, shipped configurations, a user's own file."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import uninas
from search.algorithms.candidate import Candidate, Rejected
from search.commands.report import command as report
from search.config import loading
from search.engine import driver
from search.engine.finals.finalists import rebuild
from search.ranking.objective import find
from search.report.data import read_run
from search.spaces.choice_space import GenotypeSpace
from search.spaces.from_config import from_config
from search.workers.evaluate import evaluate
from search.workers.job import Job
from tests.search.conftest import ROOT, Notes, records, stable
from tests.search.counted import counted_pool
from uninas.errors import InputError
from uninas.spaces import SPACES, architecture_of

CHOSEN = [path for path in sorted((ROOT / "configs" / "search").glob("*.yaml")) if loading.load(path).space.name] + [
    ROOT / "docs" / "examples" / "my_space.yaml"
]
TINY = """
space: nats_bench_size
objective: params
evaluations: 10
window: 3
size: 8
classes: 10
batch: 2
pool: {kind: serial}
finalists: {count: 2, seeds: 1, controls: []}
baseline: true
"""
MINE = (ROOT / "docs" / "examples" / "my_space.py").read_text()


def run(folder: Path, *overrides: str, text: str = TINY) -> dict[str, Any]:
    return driver.begin(loading.parse(text, overrides), folder, view=Notes().view, pool_maker=counted_pool)


def resume(folder: Path) -> dict[str, Any]:
    return driver.resume(folder, view=Notes().view, pool_maker=counted_pool)


def candidates(folder: Path, phase: str = "search") -> list[dict[str, Any]]:
    return [line for line in records(folder) if line["kind"] == "candidate" and line["phase"] == phase]


# --- the space, as the algorithms see it -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_candidates_are_replayed_from_the_journal_alone(name: str) -> None:
    space = from_config(loading.parse(f"space: {name}\nsize: 32\nclasses: 10"))
    rng, start = random.Random(0), space.starts()[0]
    current = start
    for step in range(12):
        child = space.sample(rng) if step % 4 == 0 else space.mutate(current, rng)
        assert isinstance(child, Candidate)
        assert child.parent == (start if step % 4 == 0 else current).digest
        again = space.replay(start, json.loads(json.dumps(child.edit)))
        assert (again.digest, space.text(again), again.cost) == (child.digest, space.text(child), child.cost)
        built = uninas.parse(space.document(child, {"place": 1}))
        assert built.digest == child.digest == uninas.parse(space.text(child)).digest
        assert uninas.cost(built).as_dict() == child.cost
        metadata = json.loads(space.document(child, {"place": 1}))["metadata"]
        assert metadata["place"] == 1
        assert architecture_of(SPACES[metadata["space"]], metadata["genotype"], 10, (32, 32)).digest == child.digest
        current = child


def test_the_budget_bounds_every_candidate_and_the_start() -> None:
    space = from_config(loading.parse("space: nats_bench_size\nsize: 32\nclasses: 10\nbudget: {params: 30000}"))
    rng, tries = random.Random(0), []
    for _ in range(60):
        tries += [space.sample(rng), space.mutate(space.starts()[0], rng)]
    kept = [one for one in tries if isinstance(one, Candidate)]
    assert kept
    assert all(one.cost["params"] <= 30_000 for one in kept)
    assert {one.reason for one in tries if isinstance(one, Rejected)} == {"over budget: params"}
    with pytest.raises(InputError, match="nats_bench_size: its start: expected a start within the budget; params 11,714 > 9,000"):
        from_config(loading.parse("space: nats_bench_size\nbudget: {params: 9000}\nsize: 32\nclasses: 10"))


def test_a_start_of_ones_own_begins_the_search() -> None:
    space = from_config(loading.parse("space: {name: nats_bench_size, start: '16:8:8:24:8'}\nsize: 32\nclasses: 10"))
    assert space.starts()[0].digest == architecture_of(SPACES["nats_bench_size"], "16:8:8:24:8").digest
    with pytest.raises(InputError, match="expected five widths"):
        from_config(loading.parse("space: {name: nats_bench_size, start: '16:8'}\nsize: 32"))


class Faulty:
    """A space that breaks its word: `mutate` gives what it calls illegal, `build` fails."""

    name, size, classes, input_size = "faulty", None, 10, (32, 32)

    def __getattr__(self, name: str) -> Any:
        return getattr(SPACES["nats_bench_size"], name)

    def mutate(self, genotype: Any, rng: random.Random) -> Any:
        return {**genotype, "channels1": 12}

    def sample(self, rng: random.Random) -> Any:
        return {**self.start(), "channels1": 16}

    def build(self, genotype: Any, classes: int, size: tuple[int, int]) -> uninas.Architecture:
        if genotype["channels1"] == 16:
            raise InputError("no such network")
        return SPACES["nats_bench_size"].build(genotype, classes, size)


def test_a_space_that_breaks_its_word_is_told_so() -> None:
    space = GenotypeSpace.of(Faulty(), loading.parse(TINY).budget, classes=10, size=(32, 32))
    assert space.mutate(space.starts()[0], random.Random(0)) == Rejected("illegal genotype")
    assert space.sample(random.Random(0)) == Rejected("cannot be built")
    told = "faulty: expected to build 16:8:8:8:8, which it calls legal; no such network"
    with pytest.raises(InputError, match=told):
        GenotypeSpace.of(Faulty(), loading.parse(TINY).budget, classes=10, size=(32, 32), start="16:8:8:8:8")
    with pytest.raises(ValueError, match="expected to be legal in faulty as it once was; channels1: expected one of"):
        space.replay(space.starts()[0], {"genotype": {**SPACES["nats_bench_size"].start(), "channels1": 12}})


# --- whole runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["random", "walk", "evolution", "aging_evolution", "pareto"])
def test_a_run_cut_anywhere_is_continued_as_if_nothing_had_happened(tmp_path: Path, algorithm: str) -> None:
    options = {"evolution": ["population=4"], "aging_evolution": ["population=4", "tournament=2"], "pareto": ["population=4"]}
    overrides = [f"algorithm={algorithm}", *(f"algorithm_options.{option}" for option in options.get(algorithm, []))]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(whole, *overrides)
    run(cut, *overrides)
    assert stable(cut) == stable(whole)
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines), 4):
        (cut / "journal.jsonl").write_bytes(b"".join(lines[:count]))
        resume(cut)
        assert stable(cut) == stable(whole), count
        assert (cut / "best.json").read_bytes() == (whole / "best.json").read_bytes()
    assert all(line["parent"] is None or set(line["edit"]) == {"genotype"} for line in candidates(whole))


def test_no_network_is_scored_twice(tmp_path: Path) -> None:
    """Many of NAS-Bench-Macro's genotypes are one network."""
    told = run(tmp_path / "run", "space=nasbench_macro", "algorithm=random", "evaluations=150", "baseline=false")
    digests = [line["digest"] for line in candidates(tmp_path / "run")]
    assert len(set(digests)) == len(digests) == 150
    assert told["counts"]["search"]["duplicates"] > 0
    space = from_config(loading.load(tmp_path / "run" / "config.yaml"))
    made = rebuild(tmp_path / "run" / "journal.jsonl", space, digests[:5])
    assert [space.text(made[digest]) for digest in digests[:5]] == [
        uninas.to_text(uninas.canonicalise(uninas.parse(space.text(made[digest])))) for digest in digests[:5]
    ]


@pytest.mark.parametrize("path", CHOSEN, ids=lambda path: path.stem)
def test_shipped_configurations_run_at_a_reduced_size(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    settings = loading.load(path)
    small = ["evaluations=20", "batch=4", "classes=10", "pool.kind=serial", "pool.workers=1", "pool.gpus_per_worker=0"]
    small += ["size=32" if settings.size[0] > 32 else "size=16", "finalists={count: 1, seeds: 1}", "window=4"]
    small += [
        f"algorithm_options.{name}={value}"
        for name, value in (("population", 8), ("tournament", 3))
        if name in settings.algorithm_options
    ]
    reduced = loading.load(path, small)
    told = driver.begin(reduced, tmp_path / "run", view=Notes().view, pool_maker=counted_pool)
    assert told["counts"]["search"]["ok"] == 20
    space = from_config(reduced)
    start, proxies = space.starts()[0], find(reduced.objective).proxies
    job = Job(start.digest, space.text(start), (reduced.size[0], reduced.size[1]), 10, 4, 1, 0, proxies)
    scored = evaluate(job)
    assert scored.status == "ok", scored.reason
    assert set(scored.scores) == set(proxies)
    metadata = json.loads((tmp_path / "run" / "best.json").read_text())["metadata"]
    assert metadata["space"] == (settings.space.name or "my_space")


# --- a space of the user's own -----------------------------------------------------------------------------------------------


def own(folder: Path, *more: str) -> list[str]:
    (folder / "mine.py").write_text(MINE)
    return [f"space={{file: {folder / 'mine.py'}}}", "size=32", "baseline=false", *more]


def test_a_run_keeps_the_space_that_it_began_with(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, *own(tmp_path))
    assert (folder / "space.py").read_text() == MINE
    whole = stable(folder)
    (tmp_path / "mine.py").unlink()
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:4]))
    resume(folder)
    assert stable(folder) == whole
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:4]))
    (folder / "space.py").write_text(MINE.replace('"width": (16, 24, 32)', '"width": (32, 24)'))
    with pytest.raises(InputError, match="expected the replay to give"):
        resume(folder)


def test_a_genotype_that_is_no_network_or_has_no_neighbour_is_counted_and_passed_over(tmp_path: Path) -> None:
    """18 channels, times four, do not fall into heads of 16: nobody has to foresee that in `legal`."""
    (tmp_path / "mine.py").write_text(MINE.replace('"width": (16, 24, 32)', '"width": (16, 18)'))
    mine = [f"space={{file: {tmp_path / 'mine.py'}}}", "size=32", "evaluations=20", "algorithm=random", "baseline=false"]
    told = run(tmp_path / "run", *mine)
    assert told["status"] == "complete"
    assert told["counts"]["search"]["rejected"]["cannot be built"] > 0
    alone = MINE.replace(
        "def legal(genotype):",
        "def legal(genotype):\n    return None if genotype['width'] == 16 else 'no'\n\n\ndef other(genotype):",
    )
    alone = alone.replace('"depths": (', '"depths": ([1, 1, 1, 1],) or (').replace("tuple(BLOCKS)", "('resnet',)")
    (tmp_path / "mine.py").write_text(alone)
    space = from_config(loading.parse(TINY, own_file(tmp_path)))
    assert space.mutate(space.starts()[0], random.Random(0)) == Rejected("no legal neighbour")


def own_file(folder: Path) -> list[str]:
    return [f"space={{file: {folder / 'mine.py'}}}", "size=32", "baseline=false"]


def test_a_mistake_in_a_branch_that_is_seldom_taken_is_fixed_in_the_run(tmp_path: Path) -> None:
    """The run says where, keeps what it has, and goes on with its own copy of the file once that is fixed."""
    good = MINE.replace('"depths": (', '"depths": (')
    bad = good.replace("    kinds = ", "    if genotype['width'] == 32:\n        genotype['heigth']\n    kinds = ")
    (tmp_path / "mine.py").write_text(bad)
    folder = tmp_path / "run"
    mine = [*own_file(tmp_path), "algorithm=random", "evaluations=12"]
    with pytest.raises(InputError) as caught:
        run(folder, *mine)
    message = str(caught.value)
    assert re.search(r"mine\.py, line \d+: build of \{.*'width': 32.*\}: expected to run; got KeyError: 'heigth'; fix", message)
    assert f"fix {folder / 'space.py'}, the run's own copy, then: uninas search --resume" in message
    assert "\n" not in message
    assert json.loads((folder / "run.json").read_text())["status"] == "failed"
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"space\.py, line \d+: build of"):
        resume(folder)
    (folder / "space.py").write_text(good)
    assert resume(folder)["status"] == "complete"
    assert (folder / "journal.jsonl").read_bytes().startswith(before)
    (tmp_path / "mine.py").write_text(good)
    run(tmp_path / "whole", *mine)
    assert [line["digest"] for line in candidates(folder)] == [line["digest"] for line in candidates(tmp_path / "whole")]


def test_code_of_the_users_cannot_change_what_is_searched(tmp_path: Path) -> None:
    """Options that are tuples, and a `network` that changes its genotype: the journal says what was built."""
    text = MINE.replace(
        "[1, 1, 1, 1], [1, 1, 2, 1], [1, 2, 3, 1], [2, 2, 4, 2]", "(1, 1, 1, 1), (1, 1, 2, 1), (1, 2, 3, 1), (2, 2, 4, 2)"
    )
    text = text.replace(
        "    stages = []\n", "    stages = []\n    genotype['depths'][-1] += 1\n    genotype.setdefault('note', 1)\n"
    )
    assert text.count("(1, 1, 1, 1)") == text.count("+= 1") == 1
    (tmp_path / "mine.py").write_text(text)
    folder = tmp_path / "run"
    assert run(folder, *own_file(tmp_path), "algorithm=evolution", "algorithm_options.population=4")["status"] == "complete"
    whole = stable(folder)
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:5]))
    resume(folder)
    assert stable(folder) == whole
    known = {(1, 1, 1, 1), (1, 1, 2, 1), (1, 2, 3, 1), (2, 2, 4, 2)}
    for line in candidates(folder):
        if line["edit"] is not None:
            assert tuple(line["edit"]["genotype"]["depths"]) in known
            assert set(line["edit"]["genotype"]) == {"width", "depths", "third", "fourth"}


def test_a_report_runs_no_code_of_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder, *own(tmp_path))
    for path in (folder / "space.py", tmp_path / "mine.py"):
        path.write_text("raise SystemExit('the code of the run has been run')")
    best = read_run(folder).best
    assert best is not None
    assert best.digest == json.loads((folder / "best.json").read_text())["metadata"]["digest"]
    (folder / "best.json").unlink()
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:5]))
    assert read_run(folder).best is None
    done = CliRunner().invoke(report, [str(folder)])
    assert done.exit_code == 0, done.output
    assert f"walk in the space {tmp_path / 'mine.py'}" in (folder / "report.html").read_text()


# --- configurations ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "start"),
    [
        ("nats_bench_size", "16:16:32:32:48"),
        ("nasbench_macro", "12201201"),
        ("nasbench201", "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"),
    ],
)
def test_a_start_is_given_on_the_command_line_as_its_space_writes_it(space: str, start: str) -> None:
    assert loading.parse(f"space: {space}", [f"space.start={start}"]).space.start == start
    assert loading.parse(f"space: {space}", [f"space.start='{start}'"]).space.start == start
    assert loading.parse(f"space: {space}", ["space.start=null"]).space.start is None
    if ":" in start:  # text in a file too, and no number of base 60
        assert loading.parse(f"space: {{name: {space}, start: {start}}}").space.start == start
    elif start[0] != "|":
        with pytest.raises(InputError, match=r"space.start: expected text; got int '\d+': put it in quotes"):
            loading.parse(f"space: {{name: {space}, start: {start}}}")


def test_the_short_form_names_a_space_as_well() -> None:
    assert loading.parse("space: mobilenetv2").space.name == "mobilenetv2"
    assert loading.parse("evaluations: 9\nfinalists: {count: 1}", ["space=nasbench101"]).space.name == "nasbench101"
    assert loading.parse("space: mobilenetv2_100").space.preset == "mobilenetv2_100"
    for change in ("space=zennas", "space.start=x"):
        assert loading.digest(loading.parse("space: mobilenetv2", [change])) != loading.digest(
            loading.parse("space: mobilenetv2")
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "space: {name: mobilenet}",
            "space.name: expected one of autoformer, .*mobi.*; got 'mobilenet', nearest is 'mobilenetv2'",
        ),
        (
            "space: {name: zennas, preset: vit}",
            "space: expected one of preset, architecture, name and file, or fitted; got preset and name",
        ),
        ("space: {file: a.py, name: zennas}", "got name and file"),
        ("space: {}", "one of preset, architecture, name and file, or fitted; got none"),
        ("space: {name: zennas, widths: [1, 2, 3, 4]}", "space: expected no widths beside name"),
        ("space: {file: a.py, random_edits: 3}", "space: expected no random_edits beside file"),
        ("space: {preset: vit, start: x}", "space.start: expected it beside name or file"),
        ("space: zennas\nsize: 7", "size: expected at least 8 pixels each way; got 7x7"),
        ("space: vit\nsize: 16", r"size: expected at least 32 pixels each way \(five halvings\); got 16x16"),
    ],
)
def test_what_a_configuration_cannot_say(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        loading.parse(text)


def test_a_file_that_is_not_there_is_told_before_anything_begins(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.py: expected a Python file that defines SPACE; no such file"):
        run(tmp_path / "run", f"space={{file: {tmp_path / 'none.py'}}}")
    assert not (tmp_path / "run").exists()
