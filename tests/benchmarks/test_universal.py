"""Searches on equal footing: who is judged, by what, and how many random evaluations a pick is worth."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.search_quality import universal
from search.config import loading
from search.config.plan import SearchPlan
from search.ranking.objective import find
from search.spaces.from_config import from_config
from tests.benchmarks.tiny_search import CONFIG
from tests.search.conftest import Notes
from uninas.errors import InputError

SEEDS = universal.held_out(7, 3)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, universal.Standing]:
    folder = tmp_path_factory.mktemp("universal")
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder / "seed-7", stand(folder)


def stand(folder: Path) -> universal.Standing:
    view, run = Notes().view, folder / "seed-7"
    universal.searched(str(folder / "tiny.yaml"), ["batch=5"], 7, run, view)
    config = loading.load(run / "config.yaml", stored=True)
    assert (config.batch, config.seed, config.baseline) == (5, 7, True)
    return universal.standing(run, SearchPlan.resolve(config), from_config(config), view, 8, SEEDS)


def test_all_are_scored_on_the_same_unseen_seeds(judged: tuple[Path, universal.Standing]) -> None:
    folder, found = judged
    rows = [row for row in universal.rows(folder / universal.FILE) if row["seed"] in SEEDS]
    networks = {row["digest"] for row in rows}
    assert len(networks) == found.networks
    assert {(row["digest"], row["seed"]) for row in rows} == {(digest, seed) for digest in networks for seed in SEEDS}
    assert len(rows) == len(networks) * len(SEEDS)
    seen = {json.loads(line).get("seed") for line in (folder / "journal.jsonl").read_text().splitlines()}
    assert not seen & {*SEEDS}


def test_ranks_are_by_the_mean_over_the_seeds(judged: tuple[Path, universal.Standing]) -> None:
    folder, found = judged
    rows = universal.rows(folder / universal.FILE)
    digests = list(dict.fromkeys(row["digest"] for row in rows if row["seed"] in SEEDS))
    objective = find("nsc x naswot")
    total = np.zeros(len(digests))
    for seed in SEEDS:
        scores = {row["digest"]: row["scores"] for row in rows if row["seed"] == seed}
        total += objective.rank([scores[digest] for digest in digests])
    pick = json.loads((folder / "run.json").read_text())["best"]["digest"]
    assert found.pick == 1 + int((total > total[digests.index(pick)] + 1e-9).sum())
    assert 1 <= found.random <= found.networks
    assert 1 <= found.start <= found.networks


def test_what_was_scored_is_not_scored_again(judged: tuple[Path, universal.Standing]) -> None:
    folder, found = judged
    path = folder / universal.FILE
    before = path.read_bytes()
    assert stand(folder.parent) == found
    assert path.read_bytes() == before
    lines = before.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]) + lines[-3][:20])  # as a kill leaves it
    assert stand(folder.parent) == found
    assert path.read_bytes() == before


def test_random_search_has_the_final_round_that_the_search_has(judged: tuple[Path, universal.Standing]) -> None:
    folder, _ = judged
    seeds = {row["seed"] for row in json.loads((folder / "run.json").read_text())["best"]["rescores"]}
    rows = [row for row in universal.rows(folder / universal.FILE) if row["seed"] in seeds]
    assert len(rows) == 2 * 2  # finalists times held-out seeds
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    assert {row["digest"] for row in rows} <= {line["digest"] for line in lines if line.get("phase") == "random"}


def test_another_search_in_the_folder_is_not_taken_for_this_one(judged: tuple[Path, universal.Standing]) -> None:
    folder = judged[0].parent
    with pytest.raises(InputError, match="expected the search that is asked for; it has another one"):
        universal.searched(str(folder / "tiny.yaml"), ["batch=6"], 7, folder / "seed-7", Notes().view)


def test_random_evaluations_are_counted_as_one_would_by_drawing() -> None:
    rng = np.random.default_rng(0)
    told, worth = rng.normal(size=40), rng.normal(size=40)
    worth += told
    target = 1.2
    needed = universal.reached(told, worth, target)
    assert needed is not None
    draw = random.Random(0)

    def mean(count: int) -> float:
        picks = [max(draw.choices(range(40), k=count), key=lambda place: told[place]) for _ in range(4000)]
        return float(np.mean(worth[picks]))

    assert mean(max(1, int(needed * 0.7))) < target < mean(int(needed * 1.5) + 1)
    assert universal.reached(told, worth, worth.max() + 1) is None
    assert universal.reached(told, worth, worth.min()) == 1


def test_the_page_says_what_was_found(judged: tuple[Path, universal.Standing]) -> None:
    plan = SearchPlan.resolve(loading.load(judged[0] / "config.yaml", stored=True))
    made = partial(universal.page, plan=plan, name="tiny", evaluations=6)
    found = {1: universal.Standing(12, 1, 4, 9, 30), 2: universal.Standing(12, 3, 2, 9, None)}
    text = made(found)
    assert "| 1 | 12 | 1 | 4 | 9 | 30 |" in text
    assert "| 2 | 12 | 3 | 2 | 9 | none of them |" in text
    assert "median 2, worst 3. It is above random search's pick in 1 of 2." in text
    assert "needs 5.0 times the evaluations for the same value (median of 1); under 1 of the seeds no number of them does" in text
