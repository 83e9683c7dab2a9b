"""Journals with one flipped bit: no result changes in silence, and nothing ends in a traceback."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from search.monitor.follow import Follower, RunFollower
from tests.amounts import amount
from tests.search.conftest import records, resume_toy, run_toy
from uninas.errors import InputError

FLIPS = 1000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run_toy(folder, "evaluations=12", "finalists={count: 2, seeds: 1}")
    return folder


def results(folder: Path) -> dict[str, bytes]:
    """What a run found."""
    return {path.name: path.read_bytes() for path in [folder / "best.json", *sorted((folder / "finalists").iterdir())]}


def flipped(data: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def outcome(use: Callable[[], object]) -> str:
    """How it ended: "read", or the one line that was said. Anything but an InputError is the test's end."""
    try:
        use()
    except InputError as error:
        return str(error)
    return "read"


def test_a_flipped_bit_changes_no_result_in_silence(whole: Path, tmp_path: Path) -> None:
    data, expected, rng = (whole / "journal.jsonl").read_bytes(), results(whole), random.Random(0)
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    read = 0
    for number in range(amount(FLIPS)):
        bad = flipped(data, rng)
        (run / "journal.jsonl").write_bytes(bad)
        said = outcome(lambda: list(Follower(run / "journal.jsonl").gained()))
        assert said.isprintable()
        if said != "read" and number % 16:
            continue  # a resume reads with the same reader; it takes its time, so that some are enough
        (run / "best.json").unlink(missing_ok=True)
        if said == "read":
            read += 1
            resume_toy(run)
            assert results(run) == expected
            assert bad[:-1] == data[:-1]  # the last newline, without which its line is none yet: it is scored again
        else:
            assert outcome(lambda: resume_toy(run)) == said
            assert (run / "journal.jsonl").read_bytes() == bad
    assert read < 10


def test_a_flipped_bit_of_before_there_were_checksums_ends_in_no_traceback(whole: Path, tmp_path: Path) -> None:
    data, rng = "".join(json.dumps(one, separators=(",", ":")) + "\n" for one in records(whole)).encode(), random.Random(1)
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    (run / "journal.jsonl").write_bytes(data)
    resume_toy(run)
    assert results(run) == results(whole)
    said = set()
    for _ in range(amount(FLIPS // 4)):
        (run / "journal.jsonl").write_bytes(flipped(data, rng))
        outcome(RunFollower(run).look)
        said.add(outcome(lambda: resume_toy(run)))
    assert len(said) > 3
    assert all(map(str.isprintable, said))
