"""Run folders of somebody else's making: links in them are not followed by what is written, cut or removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.search.conftest import resume_toy, run_toy
from uninas.errors import InputError


@pytest.mark.parametrize("name", ["finalists", "front"])
def test_a_folder_that_leads_elsewhere_is_neither_written_nor_tidied(name: str, tmp_path: Path) -> None:
    objectives = ["algorithm=pareto"] if name == "front" else []
    run_toy(tmp_path / "run", "evaluations=20", *objectives)
    (tmp_path / "run" / name).rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "99.json").write_text("mine")
    (tmp_path / "run" / name).symlink_to(tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()}
    with pytest.raises(InputError, match=rf"{name}: expected a file or folder of its own; it is a link"):
        resume_toy(tmp_path / "run", evaluations=40)
    assert {path: path.read_bytes() for path in (tmp_path / "elsewhere").iterdir()} == before


def test_a_journal_that_is_a_link_is_not_cut(tmp_path: Path) -> None:
    run_toy(tmp_path / "run", "evaluations=20")
    journal, victim = tmp_path / "run" / "journal.jsonl", tmp_path / "victim"
    victim.write_bytes(journal.read_bytes() + b"a line of mine without an end")
    before = victim.read_bytes()
    journal.unlink()
    journal.symlink_to(victim)
    with pytest.raises(InputError, match=r"journal\.jsonl: expected a file of its own; it is a link"):
        resume_toy(tmp_path / "run", evaluations=40)
    assert victim.read_bytes() == before


def test_what_is_written_beside_a_link_replaces_it(tmp_path: Path) -> None:
    run_toy(tmp_path / "run", "evaluations=20")
    victim = tmp_path / "victim"
    victim.write_text("mine")
    for name in ("run.json", "best.json", "config.yaml"):
        (tmp_path / "run" / f".{name}.part").symlink_to(victim)
    (tmp_path / "run" / "finalists" / ".01.json.part").symlink_to(victim)
    assert resume_toy(tmp_path / "run", evaluations=40)["status"] == "complete"
    assert victim.read_text() == "mine"
    assert not any(path.is_symlink() for path in (tmp_path / "run").rglob("*"))
