"""Whole toy runs with the serial pool: determinism, resume, extension, refusals, finalists."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from search.config import loading
from search.config.schema import PoolConfig
from search.engine import driver
from search.engine.finals.finalists import held_out_seeds, rebuild
from search.journal.journal import JournalError
from search.journal.lines import sealed
from search.monitor.progress import View
from search.ranking.objective import OBJECTIVES
from search.workers.interrupts import Interrupts
from search.workers.pool import Pool, SerialPool
from tests.search.conftest import Notes, records, resume_toy, run_toy, stable
from tests.search.drive import FAKES, toy_pool
from tests.search.fakes import ToySpace, toy_scores
from tests.search.finite import FiniteToySpace
from uninas.errors import InputError

SMALL = ("evaluations=60", "baseline=true")


def candidates(folder: Path, phase: str = "search") -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["kind"] == "candidate" and record["phase"] == phase]


def test_a_run_leaves_what_its_contract_says(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = run_toy(folder, *SMALL)
    assert {path.name for path in folder.iterdir()} == {"config.yaml", "journal.jsonl", "run.json", "best.json", "finalists"}
    assert json.loads((folder / "run.json").read_text()) == run
    assert run["status"] == "complete"
    for phase in ("search", "random"):
        lines = candidates(folder, phase)
        assert [line["index"] for line in lines] == list(range(60))
        assert len({line["digest"] for line in lines}) == 60
        counts = run["counts"][phase]
        assert counts["ok"] == 60
        assert counts["duplicates"] == sum(line["duplicates"] for line in lines)
        assert sum(counts["rejected"].values()) == sum(sum(line["rejected"].values()) for line in lines)
    known = {line["digest"]: line["scores"] for line in candidates(folder)}
    reused = [line for line in candidates(folder, "random") if line["worker"] == "reused"]
    assert all(line["scores"] == known[line["digest"]] for line in reused)
    assert loading.load(folder / "config.yaml").evaluations == 60


@pytest.mark.parametrize("algorithm", ["random", "walk", "evolution", "aging_evolution"])
def test_one_seed_one_journal(tmp_path: Path, algorithm: str) -> None:
    overrides = (*SMALL, f"algorithm={algorithm}", *([] if "evolution" in algorithm else ["algorithm_options={}"]))
    run_toy(tmp_path / "a", *overrides)
    run_toy(tmp_path / "b", *overrides)
    run_toy(tmp_path / "c", *overrides, "seed=1")
    assert stable(tmp_path / "a") == stable(tmp_path / "b")
    assert stable(tmp_path / "a")[1:] != stable(tmp_path / "c")[1:]


def test_finalists_are_ranked_by_their_values_under_held_out_seeds(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = run_toy(folder, *SMALL)
    objective, lines = OBJECTIVES["vkdnw_agg"], candidates(folder)
    values = objective.rank([line["scores"] for line in lines])
    chosen = sorted(range(60), key=lambda place: -values[place])[:3]
    assert {row["index"] for row in run["finalists"]} == set(chosen)
    seeds = held_out_seeds(0, 2)
    assert 0 not in seeds
    assert len(set(seeds)) == 2
    architectures = rebuild(folder / "journal.jsonl", ToySpace(), [row["digest"] for row in run["finalists"]])
    under: list[list[Any]] = [[line["scores"] for line in lines] for _ in seeds]
    for row in run["finalists"]:
        scores = [toy_scores(architectures[row["digest"]].body, seed) for seed in seeds]
        assert [item["scores"] for item in row["rescores"]] == scores
        assert row["mean"] == pytest.approx({name: (scores[0][name] + scores[1][name]) / 2 for name in scores[0]})
        for population, found in zip(under, scores, strict=True):
            population[row["index"]] = found
    values = np.mean([objective.rank(population) for population in under], axis=0)
    assert [row["value"] for row in run["finalists"]] == pytest.approx(sorted((values[i] for i in chosen), reverse=True))
    assert [row["place"] for row in run["finalists"]] == [1, 2, 3]
    assert (folder / "best.json").read_text() == (folder / "finalists" / "01.json").read_text()
    assert json.loads((folder / "best.json").read_text())["metadata"]["digest"] == run["best"]["digest"]


@pytest.mark.parametrize(
    ("order", "options"),
    [("ask", ()), ("completion", ()), ("ask", ("algorithm_options.crossover=0.6", "algorithm_options.niche=1"))],
)
def test_a_run_cut_anywhere_is_continued_as_if_nothing_had_happened(tmp_path: Path, order: str, options: tuple[str, ...]) -> None:
    """Cut the journal behind every line (and in the middle of the next one) and resume."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    overrides = ("evaluations=12", "baseline=true", "window=3", f"order={order}", "algorithm_options.population=4", *options)
    run_toy(whole, *overrides)
    assert bool(options) == any("donor" in (line["edit"] or {}) for line in candidates(whole))
    run_toy(cut, *overrides)
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(len(lines)):
        (cut / "journal.jsonl").write_bytes(b"".join(lines[:count]) + lines[count][: count % len(lines[count])])
        resume_toy(cut)
        assert stable(cut) == stable(whole), count
        assert (cut / "best.json").read_bytes() == (whole / "best.json").read_bytes()


def test_a_finished_run_is_resumed_without_a_pool(tmp_path: Path) -> None:
    run_toy(tmp_path / "run", *SMALL)
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()

    def no_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
        raise AssertionError("there is nothing to score")

    driver.resume(tmp_path / "run", view=Notes().view, space=ToySpace(), pool_maker=no_pool)
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before


def test_an_extended_run_has_the_candidates_of_the_long_run(tmp_path: Path) -> None:
    run_toy(tmp_path / "short", *SMALL)
    run = resume_toy(tmp_path / "short", evaluations=90)
    run_toy(tmp_path / "long", "evaluations=90", "baseline=true")
    assert run["evaluations"] == 90
    assert loading.load(tmp_path / "short" / "config.yaml").evaluations == 90

    def asked(folder: Path, phase: str) -> list[Any]:
        return [{key: line[key] for key in ("digest", "parent", "edit", "scores")} for line in candidates(folder, phase)]

    for phase in ("search", "random"):
        assert asked(tmp_path / "short", phase) == asked(tmp_path / "long", phase)
    assert (tmp_path / "short" / "best.json").read_bytes() == (tmp_path / "long" / "best.json").read_bytes()


def test_fewer_evaluations_than_before_are_refused(tmp_path: Path) -> None:
    run_toy(tmp_path / "run", *SMALL)
    with pytest.raises(InputError, match="at least the run's 60; got 30"):
        resume_toy(tmp_path / "run", evaluations=30)


def test_an_existing_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it exists: resume it with --resume"):
        run_toy(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a run folder with a config\.yaml"):
        resume_toy(tmp_path)


def test_a_changed_configuration_is_refused(tmp_path: Path) -> None:
    run_toy(tmp_path / "run", *SMALL)
    path = tmp_path / "run" / "config.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "seed": 5}))
    with pytest.raises(JournalError, match=r"expected the config\.yaml that began this run"):
        resume_toy(tmp_path / "run")


def test_a_program_that_replays_differently_is_refused_with_the_index(tmp_path: Path) -> None:
    run_toy(tmp_path / "run", *SMALL)
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()
    with pytest.raises(JournalError, match="search 0: expected the replay to give"):
        resume_toy(tmp_path / "run", ToySpace(salt="another program"))
    lines = before.splitlines(keepends=True)
    lines[20], lines[21] = lines[21], lines[20]
    (tmp_path / "run" / "journal.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(JournalError, match="search: expected candidate 19 next in the journal; got 20"):
        resume_toy(tmp_path / "run")
    edited = before.splitlines(keepends=True)
    record = json.loads(edited[30])
    del record["crc"]
    record["scores"] = dict.fromkeys(record["scores"], 1e6)
    edited[30] = sealed(record)
    (tmp_path / "run" / "journal.jsonl").write_bytes(b"".join(edited))
    with pytest.raises(JournalError, match=r"search \d+: expected the replay to give"):
        resume_toy(tmp_path / "run")


def test_failures_are_results_with_their_reasons(tmp_path: Path) -> None:
    run = run_toy(tmp_path / "run", *SMALL, space=ToySpace(behaviour={"nan": ["0", "1"]}))
    failed = [line for line in candidates(tmp_path / "run") if line["digest"][0] in "01"]
    assert failed
    assert len(failed) == run["counts"]["search"]["failed"]
    for line in failed:
        assert line["status"] == "failed"
        assert "vkdnw: non-finite value nan" in line["reason"]
        assert line["scores"]["vkdnw"] == {"failed": "non-finite value nan"}
    assert not {row["digest"] for row in run["finalists"]} & {line["digest"] for line in failed}


def test_a_run_without_any_score_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        InputError,
        match=r"of the first 16 candidates; all failed \(not finite\): aleph: ",
    ):
        run_toy(tmp_path / "run", *SMALL, space=ToySpace(behaviour={"nan": [""]}))


def test_a_pool_that_cannot_start_leaves_no_folder(tmp_path: Path) -> None:
    def broken(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
        return SerialPool(evaluator="no_such_module_at_all")

    with pytest.raises(ModuleNotFoundError):
        run_toy(tmp_path / "run", maker=broken)
    assert not (tmp_path / "run").exists()


def test_options_without_effect_are_warned_about(tmp_path: Path) -> None:
    notes = Notes()
    run_toy(tmp_path / "run", *SMALL, "algorithm_options.population=60", view=notes.view)
    assert any("a population of 60 holds all 60 candidates" in note for note in notes.notes)


def test_the_deadline_of_the_serial_pool_ends_a_candidate(tmp_path: Path) -> None:
    run = run_toy(tmp_path / "run", "evaluations=20", "pool.deadline_s=0.2", space=ToySpace(behaviour={"hang": ["3", "7"]}))
    hung = [line for line in candidates(tmp_path / "run") if line["digest"][0] in "37"]
    assert hung
    assert len(hung) == run["counts"]["search"]["failed"]
    assert all(line["reason"].startswith("deadline: took longer than 0.2 s (wall clock") for line in hung)


def test_the_plain_log_shows_every_phase(tmp_path: Path) -> None:
    notes = Notes()
    run_toy(tmp_path / "run", *SMALL, view=notes.view)
    for phase, total in (("search", 60), ("random", 60), ("finalists", 6)):
        assert any(note.startswith(f"{phase} {total}/{total}") for note in notes.notes)
    assert any("best vkdnw_agg: aleph" in note for note in notes.notes)
    assert FAKES  # the scorer of these runs


# --- a finite space -------------------------------------------------------------------------------------------------------


def finite_run(folder: Path, *overrides: str) -> dict[str, Any]:
    wanted = ("evaluations=50", "baseline=true", "window=3", "algorithm_options.population=4", *overrides)
    return run_toy(folder, *wanted, space=FiniteToySpace(budget=1))


def test_a_space_that_has_been_seen_whole_ends_a_run_as_complete(tmp_path: Path) -> None:
    run = finite_run(tmp_path / "run")
    assert run["status"] == "complete"
    assert run["seen_whole"] == ["search", "random"]
    assert [run["counts"][phase]["done"] for phase in ("search", "random")] == [7, 7]
    assert len(run["finalists"]) == 3


@pytest.mark.parametrize("order", ["ask", "completion"])
def test_a_run_that_sees_its_space_whole_is_cut_anywhere_and_continued(tmp_path: Path, order: str) -> None:
    finite_run(tmp_path / "whole", f"order={order}")
    finite_run(tmp_path / "cut", f"order={order}")
    lines = (tmp_path / "whole" / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert sum(b'"exhausted"' in line for line in lines) == 2
    for count in range(len(lines)):
        (tmp_path / "cut" / "journal.jsonl").write_bytes(b"".join(lines[:count]))
        driver.resume(tmp_path / "cut", view=Notes().view, space=FiniteToySpace(budget=1), pool_maker=toy_pool)
        assert stable(tmp_path / "cut") == stable(tmp_path / "whole"), count


def test_more_evaluations_of_a_space_seen_whole_score_nothing(tmp_path: Path) -> None:
    finite_run(tmp_path / "run")
    before = (tmp_path / "run" / "journal.jsonl").read_bytes()

    def no_pool(config: PoolConfig, view: View, interrupts: Interrupts) -> Pool:
        raise AssertionError("there is nothing to score")

    space = FiniteToySpace(budget=1)
    run = driver.resume(tmp_path / "run", {"evaluations": 90}, view=Notes().view, space=space, pool_maker=no_pool)
    assert run["status"] == "complete"
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == before
