"""A search by an objective of which a score is missing: its candidates are not ok, and it ends early and says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.search.conftest import Notes, records, resume_toy, run_toy
from tests.search.fakes import ToySpace
from uninas.errors import InputError

FEW = ("evaluations=40", "finalists.count=2", "finalists.seeds=1", "algorithm=random", "algorithm_options={}")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["kind"] == "candidate"]


def spoilt(*prefixes: str) -> ToySpace:
    """A space of whose networks those have no vkdnw whose digests begin so."""
    return ToySpace(behaviour={"incomplete": prefixes})


def test_a_candidate_without_one_score_is_not_ok_and_never_the_best(tmp_path: Path) -> None:
    notes = Notes()
    space = spoilt(*"01234567")
    run = run_toy(tmp_path / "run", *FEW, space=space, view=notes.view)
    found = lines(tmp_path / "run")
    without = {line["digest"] for line in found if isinstance(line["scores"]["vkdnw"], dict)}
    assert 0 < len(without) < 40
    for line in found:
        assert (line["status"] == "failed") == (line["digest"] in without)
        assert line.get("cause") == ("incomplete" if line["digest"] in without else None)
    assert run["counts"]["search"]["failed"] == len(without)
    assert all(row["digest"] not in without for row in run["finalists"])
    assert any(f"failed {len(without)} (vkdnw too_few_rows {len(without)})" in line for line in notes.notes), notes.notes[-3:]


@pytest.mark.parametrize(("evaluations", "looked"), [(40, 16), (5, 5)])
def test_a_search_whose_first_candidates_all_fail_in_one_way_ends_and_says_why(
    tmp_path: Path, evaluations: int, looked: int
) -> None:
    space = spoilt("")
    said = (
        rf"search: expected a score of at least one of the first {looked} candidates; all failed \(vkdnw too_few_rows\): vkdnw: "
    )
    with pytest.raises(InputError, match=said):
        run_toy(tmp_path / "run", *FEW, f"evaluations={evaluations}", space=space)
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"
    assert not (tmp_path / "run" / "best.json").exists()
    assert looked <= len(lines(tmp_path / "run")) < 40


def test_one_score_among_the_first_is_enough_to_go_on(tmp_path: Path) -> None:
    run_toy(tmp_path / "whole", *FEW)
    last = lines(tmp_path / "whole")[15]["digest"]
    others = tuple(line["digest"] for line in lines(tmp_path / "whole") if line["digest"] != last)
    assert run_toy(tmp_path / "run", *FEW, space=spoilt(*others))["best"]["digest"] == last


def test_a_resume_looks_at_its_own_first_candidates(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the first 16"):
        run_toy(tmp_path / "run", *FEW, space=spoilt(""))
    done = resume_toy(tmp_path / "run", space=ToySpace())
    assert done["status"] == "complete"
    assert done["counts"]["search"]["failed"] >= 16
