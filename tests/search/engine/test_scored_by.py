"""A search goes on with the code that scored it: other code is refused, or accepted and written down."""

import json
from pathlib import Path
from typing import Any

import pytest

import proxies
from search.engine import driver
from search.journal.lines import sealed
from search.journal.records import KINDS
from search.workers import scoring_code
from search.workers.pool import SerialPool
from tests.search.conftest import Notes, records, resume_toy, run_toy, stable
from uninas.errors import InputError

SMALL = ("evaluations=12", "window=3", "algorithm_options.population=4")


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """A run of which half is left to do, and beside it the whole."""
    run_toy(tmp_path / "whole", *SMALL)
    run_toy(tmp_path / "cut", *SMALL)
    shorten(tmp_path / "cut")
    return tmp_path / "cut"


def shorten(folder: Path, lines: int = 7) -> None:
    journal = folder / "journal.jsonl"
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:lines]))


def other_code(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Let the code be another: digest, version, or revisions by proxy."""
    if "digest" in changes:
        monkeypatch.setattr(scoring_code, "digest", lambda places: changes["digest"])
    if "version" in changes:
        monkeypatch.setattr(scoring_code, "version", lambda: changes["version"])
    if "revisions" in changes:
        monkeypatch.setattr(proxies, "REVISIONS", changes["revisions"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"digest": "f" * 64}, r"the scoring code is ffffffffffff now and was [0-9a-f]{12}: resume"),
        ({"digest": "f" * 64, "version": "0.9.0"}, r"was [0-9a-f]{12} \(uninas 0\.9\.0 now, 0\.1\.0 then\): resume"),
        ({"revisions": {"jacov": 3}}, r"jacov is revision 3 now and was 0: resume"),
    ],
)
def test_other_scoring_code_is_refused_and_changes_nothing(
    cut: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    other_code(monkeypatch, **change)
    before = {path.name: path.read_bytes() for path in cut.iterdir() if path.is_file()}
    with pytest.raises(InputError, match=rf"expected the code that scored this run.*{said}.*--accept-changes") as raised:
        resume_toy(cut, evaluations=20)
    assert "\n" not in str(raised.value)
    assert {path.name: path.read_bytes() for path in cut.iterdir() if path.is_file()} == before


def test_accepted_code_goes_on_and_the_journal_says_from_where(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_code(monkeypatch, digest="f" * 64)
    notes = Notes()
    resume_toy(cut, view=notes.view, accept_changes=True)
    assert any("the scoring code is ffffffffffff now" in note for note in notes.notes)
    found = records(cut)
    place = next(place for place, record in enumerate(found) if record["kind"] == "code")
    assert place == 7
    assert found[place]["digest"] == "f" * 64
    assert found[0]["code"]["digest"] != "f" * 64
    assert stable(cut) == stable(cut.parent / "whole")
    shorten(cut, 12)
    resume_toy(cut)  # with the code that was accepted: nothing to accept any more
    monkeypatch.undo()
    shorten(cut, 12)
    with pytest.raises(InputError, match="and was ffffffffffff"):
        resume_toy(cut)


def test_another_version_alone_is_told_and_written_down(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_code(monkeypatch, version="0.9.0")
    notes = Notes()
    resume_toy(cut, view=notes.view)
    assert any(note.startswith("uninas is 0.9.0 now and was 0.1.0; what decides") for note in notes.notes)
    assert [record["version"] for record in records(cut) if record["kind"] == "code"] == ["0.9.0"]


def test_the_same_code_adds_nothing_to_the_journal(cut: Path) -> None:
    resume_toy(cut)
    assert stable(cut) == stable(cut.parent / "whole")
    assert len(records(cut)) == len(stable(cut))


def test_a_finished_run_is_resumed_by_any_code(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other_code(monkeypatch, digest="f" * 64)
    whole = cut.parent / "whole"
    before = (whole / "journal.jsonl").read_bytes()
    resume_toy(whole)
    assert (whole / "journal.jsonl").read_bytes() == before
    shorten(whole, -1)  # a finalist of it is to be scored again
    with pytest.raises(InputError, match="--accept-changes"):
        resume_toy(whole)


def test_a_journal_without_the_code_is_resumed_with_a_line_that_says_so(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (cut / "journal.jsonl").read_bytes().splitlines(keepends=True)
    header = {key: value for key, value in json.loads(lines[0]).items() if key not in ("code", "crc")}
    (cut / "journal.jsonl").write_bytes(b"".join([sealed(header), *lines[1:]]))
    notes = Notes()
    resume_toy(cut, view=notes.view)
    assert sum("cannot be checked" in note for note in notes.notes) == 1
    assert [record["kind"] for record in records(cut)].count("code") == 1
    shorten(cut, 12)
    other_code(monkeypatch, digest="f" * 64)
    with pytest.raises(InputError, match="--accept-changes"):
        resume_toy(cut)


def test_a_record_of_the_code_comes_back_from_its_line(cut: Path) -> None:
    code = scoring_code.scoring_code(["vkdnw", "gradsign"])
    assert KINDS["code"](json.loads(json.dumps(code.as_dict()))) == code
    assert driver.KINDS is KINDS


@pytest.mark.parametrize(("theirs", "warned"), [(None, 0), ("ours", 0), ("0123456789ab", 1)])
def test_workers_that_score_by_other_code_are_told(
    theirs: str | None, warned: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Ray the workers may run on machines with another version."""
    start = SerialPool.start
    said = {"ours": {"code": scoring_code.digest()[:12]}, None: {}}.get(theirs, {"code": theirs})
    monkeypatch.setattr(SerialPool, "start", lambda pool: {**start(pool), **said})
    notes = Notes()
    run_toy(tmp_path / "run", *SMALL, view=notes.view)
    assert sum("the workers' scoring code is 0123456789ab" in note for note in notes.notes) == warned
