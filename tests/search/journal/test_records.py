"""The journal's records: what is written is read again, a line that lacks something is an error that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.algorithms import Proposal
from search.algorithms.candidate import Candidate as Network
from search.bench.scoring import records as bench_records
from search.journal import journal
from search.journal.journal import JournalError
from search.journal.records import KINDS, Ask, Candidate, Header, Rescore, Unknown
from search.workers.job import Cause, Outcome, outcome_of, too_slow
from search.workers.pool import Done, deadline_outcome

GOLDEN = Path(__file__).parents[2] / "golden" / "written_by_0_1_0"
COST = {"params": 5, "macs": 7}


def candidate(outcome: Outcome, attempts: int = 1) -> Candidate:
    proposal = Proposal(4, Network("d" * 64, None, COST, "p" * 64, {"kind": "insert"}), {"no_site": 2}, 1)
    return Candidate.of("search", proposal, Done(4, outcome, "scorer-0", attempts))


OUTCOMES = [
    Outcome({"flops": 3.0}, None, {"build": 0.123456}),
    Outcome({"flops": 3.0}, None, {"build": 0.1}, latency_ms=1.5, device="a GPU", peak_bytes=9),
    outcome_of({"flops": 3.0, "zico": {"failed": "too_few_weights"}}, {}),
    outcome_of({"flops": float("nan")}, {}),
    too_slow(12.0, "a GPU", 10.0, {"build": 0.1}),
    deadline_outcome(60.0),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=["ok", "timed", "partly", "not finite", "too slow", "deadline"])
def test_a_record_is_read_as_it_was_written(outcome: Outcome) -> None:
    for record in (candidate(outcome), Rescore.of("d" * 64, 1, 99, Done(0, outcome, "scorer-1"))):
        line = json.loads(json.dumps(record.as_dict(), allow_nan=False))
        assert KINDS[line["kind"]](line) == record
        assert record.scores == {name: value for name, value in record.results.items() if isinstance(value, float)}


def test_the_keys_of_a_line_keep_their_order() -> None:
    plain = ["kind", "phase", "index", "digest", "parent", "edit", "cost", "status", "reason", "scores", "rejected", "duplicates"]
    assert list(candidate(OUTCOMES[0]).as_dict()) == [*plain, "seconds", "worker", "attempts"]
    timed = [*plain[:10], "latency_ms", "device", *plain[10:], "seconds", "worker", "attempts", "peak_bytes"]
    assert list(candidate(OUTCOMES[1]).as_dict()) == timed
    assert candidate(OUTCOMES[0]).as_dict()["seconds"] == {"build": 0.1235}


@pytest.mark.parametrize("name", ["walk", "own", "evolution", "grammar", "pareto", "start"])
def test_a_journal_of_before_is_written_again_to_the_byte(name: str) -> None:
    path = GOLDEN / name / "journal.jsonl"
    lines = [json.dumps(record.as_dict(), separators=(",", ":")) for record in journal.records(path, KINDS)]  # type: ignore[union-attr]
    assert "\n".join(lines) + "\n" == path.read_text(encoding="utf-8")


def test_the_journal_of_a_bench_of_before_is_written_again_to_the_byte() -> None:
    path = GOLDEN / "bench" / "journal.jsonl"
    found = journal.records(path, bench_records.KINDS)
    lines = [json.dumps(record.as_dict(), separators=(",", ":")) for record in found]  # type: ignore[union-attr]
    assert "\n".join(lines) + "\n" == path.read_text(encoding="utf-8")


def test_a_cause_is_written_of_failures_alone() -> None:
    assert [candidate(outcome).as_dict().get("cause") for outcome in OUTCOMES] == [
        None,
        None,
        None,
        "not_finite",
        None,
        "deadline",
    ]
    assert [candidate(outcome).cause for outcome in OUTCOMES[3:]] == [Cause.NOT_FINITE, Cause.OVER_BUDGET, Cause.DEADLINE]


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"vkdnw": float("inf"), "jacov": {"failed": "no_weight: none"}}, Cause.NOT_FINITE),
        ({"jacov": {"failed": "non_finite: the input gradients hold NaN or infinity"}}, Cause.NOT_FINITE),
        ({"grasp": {"failed": "raised: RuntimeError: twice"}}, Cause.ERROR),
        ({"grasp": {"failed": "raised: RuntimeError: twice"}, "zico": {"failed": "too_few_weights"}}, Cause.NO_SCORE),
        ({"vkdnw": 1.0, "jacov": float("nan")}, None),
    ],
)
def test_a_network_without_a_score_has_the_cause_of_its_proxies(values: dict[str, Any], cause: Cause | None) -> None:
    assert outcome_of(values, {}).cause is cause


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cost": None}, "TypeError: cost: expected an object; got NoneType"),
        ({"scores": [1]}, "TypeError: scores: expected an object; got list"),
        ({"phase": "third"}, "ValueError: phase: expected search or random; got 'third'"),
        ({"cause": "boredom", "status": "failed", "reason": "tired"}, "ValueError: 'boredom' is not a valid Cause"),
    ],
)
def test_a_record_that_is_not_one_names_file_line_and_fault(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = tmp_path / "journal.jsonl"
    lines = [Header("").as_dict(), candidate(OUTCOMES[0]).as_dict(), {**candidate(OUTCOMES[0]).as_dict(), **changes}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(JournalError) as caught:
        list(journal.records(path, KINDS))
    assert str(caught.value) == f"{path}, line 3, candidate 4: expected a record of this version; {message}"


def test_kinds_of_a_later_version_are_known_as_unknown(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text(json.dumps(Header("d", {"seed": 3}).as_dict()) + '\n{"kind": "note", "text": "x"}\n')
    assert list(journal.records(path, KINDS)) == [Header("d", {"seed": 3}), Unknown("note")]
    ask = Ask("random", 0, "d", 2)
    assert KINDS["ask"](ask.as_dict()) == ask
