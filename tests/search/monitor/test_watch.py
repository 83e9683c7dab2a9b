"""`uninas watch`: records to a snapshot, a journal that grows, the command itself on runs of the serial pool."""

import json
from collections.abc import Sequence
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from search.config import loading
from search.journal.records import Ask, Candidate, Header, Record, Rescore, Unknown
from search.monitor.screen import screen
from search.monitor.snapshot import RECENT, Figures, duration, session_rate
from search.workers.job import Cause
from tests.search.drive import TOY

HEADER = Header("", {"seed": 0, "objective": "vkdnw_agg"})
PROXIES = ("aleph", "vkdnw", "jacov", "expressivity", "trainability", "flops")


def candidate(index: int, **changes: Any) -> Candidate:
    """A journal record whose scores grow with its index; `changes` by the journal's keys."""
    plain = {
        "kind": "candidate",
        "phase": "search",
        "index": index,
        "digest": f"{index:012x}" + "0" * 9,
        "parent": None,
        "edit": None,
        "cost": {"params": 1000 + index, "macs": 2_000_000, "layers": 9, "attention_tokens": 16},
        "status": "ok",
        "reason": None,
        "scores": dict.fromkeys(PROXIES, float(index)),
        "rejected": {"no_site": 1, "over budget: macs": 2},
        "duplicates": 1,
        "seconds": {"build": 0.01, "score": 0.5},
        "worker": f"scorer-{index % 2}",
        "attempts": 1,
    }
    return Candidate.parse({**plain, **changes})


def failed(index: int, reason: str, **changes: Any) -> Candidate:
    return candidate(index, status="failed", reason=reason, scores={}, seconds={"build": 0.01}, **changes)


def rescore() -> Rescore:
    return Rescore("0", 0, 5, "ok", None, {}, {"build": 0.1}, "scorer-7", 1)


def figures(*overrides: str, of: Sequence[Record]) -> Figures:
    made = Figures(loading.parse(TOY, overrides))
    for record in of:
        made.add(record)
    return made


SEEN = [
    HEADER,
    candidate(0),
    candidate(1),
    failed(2, "out of memory", attempts=3),
    failed(3, "deadline: took longer than 60 s (wall clock, not reproducible)"),
    candidate(4, worker="scorer-2", peak_bytes=3 << 29),
    candidate(5, worker="scorer-2", peak_bytes=1 << 20),
]


def test_the_picture_as_text() -> None:
    """Golden: every line that a person reads."""
    snapshot = figures("evaluations=10", of=SEEN).snapshot("demo-0", {"status": "running"}, 2.0, 75.0)
    scores = ", ".join(f"{name} 5" for name in PROXIES)
    assert snapshot.lines()[:6] == [
        "demo-0: running, evolution by vkdnw_agg, seed 0, nothing new for 1 min",
        f"search 6/10  2.00/s  0:00:02 left  rejected 18   duplicates 6   failed 2  best vkdnw_agg: {scores}",
        "search, rejected: over budget: macs 12, no_site 6",
        "search, failed: out of memory 1, deadline 1",
        "search, repeated after a worker's death: 2",
        "workers: scorer-0 1 (1 failed), scorer-1 1 (1 failed), scorer-2 2",
    ]
    assert snapshot.lines()[6:] == [
        "GPU memory: 1.50 GiB at most",
        *(
            f"search {place} {place:012x}  params {1000 + place:,}, macs 2,000,000, layers 9  build 0.01 s, score 0.50 s  "
            + ", ".join(f"{name} {place}" for name in PROXIES)
            for place in (0, 1)
        ),
        "search 2 000000000002  params 1,002, macs 2,000,000, layers 9  build 0.01 s  failed: out of memory",
        "search 3 000000000003  params 1,003, macs 2,000,000, layers 9  build 0.01 s  "
        "failed: deadline: took longer than 60 s (wall clock, not reproducible)",
        *(
            f"search {place} {place:012x}  params {1000 + place:,}, macs 2,000,000, layers 9  build 0.01 s, score 0.50 s  "
            + ", ".join(f"{name} {place}" for name in PROXIES)
            for place in (4, 5)
        ),
    ]


def test_the_picture_on_a_terminal() -> None:
    snapshot = figures("evaluations=10", of=SEEN).snapshot("demo-0", {"status": "running"}, 2.0, 0.0)
    for width, shown in ((70, 1), (100, 2), (200, 6)):
        console = Console(file=StringIO(), width=width)
        console.print(screen(snapshot, width))
        text = console.file.getvalue()  # type: ignore[attr-defined]
        lines = text.splitlines()
        assert max(len(line) for line in lines) <= width
        (head,) = [line for line in lines if line.lstrip().startswith("candidate")]
        assert [name for name in PROXIES if name in head] == list(PROXIES[:shown])
        newest = lines[lines.index(head) + 1]
        assert newest.split()[:2] == ["search", "5"]
        assert newest.split()[-1] == "scorer-2"
        assert "failed: out of memory 1, deadline 1" in text


def test_the_picture_as_data() -> None:
    data = figures("evaluations=10", of=SEEN).snapshot("demo-0", {"status": "running"}, 2.0, 0.04).as_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    chosen = ("run", "status", "phase", "done", "total", "rate", "left_seconds", "silent_seconds", "in_flight", "peak_bytes")
    assert [data[name] for name in chosen] == ["demo-0", "running", "search", 6, 10, 2.0, 2.0, 0.0, None, 3 << 29]
    assert data["best"] == dict.fromkeys(PROXIES, 5.0)
    assert data["phases"] == {
        "search": {
            "total": 10,
            "done": 6,
            "ok": 4,
            "failed": 2,
            "over_budget": 0,
            "duplicates": 6,
            "rejected": {"no_site": 6, "over budget: macs": 12},
            "seconds": {"build": 0.06, "score": 2.0},
            "failures": {"out of memory": 1, "deadline": 1},
            "repeats": 2,
        }
    }
    assert data["workers"]["scorer-0"] == {"ok": 1, "failed": 1}
    assert [row["index"] for row in data["recent"]] == [0, 1, 2, 3, 4, 5]


def test_a_network_over_the_latency_budget_is_no_failure() -> None:
    slow = candidate(0, status="over_budget", reason="latency 12.3 ms > 10 ms on a toy", scores={})
    snapshot = figures(of=[HEADER, slow, candidate(1)]).snapshot("x", {}, None, 0.0)
    assert (snapshot.state.done, snapshot.state.failed, snapshot.state.over_budget) == (2, 0, 1)
    assert snapshot.as_dict()["phases"]["search"]["failures"] == {}
    assert "over budget: latency 12.3 ms > 10 ms on a toy" in "\n".join(snapshot.lines())
    assert "failed:" not in "\n".join(snapshot.lines())


def test_only_the_last_candidates_and_workers_are_shown() -> None:
    many = [HEADER, *(candidate(index, worker=f"scorer-{index}") for index in range(50))]
    snapshot = figures(of=many).snapshot("x", {}, None, 0.0)
    assert [row.index for row in snapshot.recent] == list(range(50 - RECENT, 50))
    (workers,) = [text for kind, text in snapshot.details() if kind == "workers"]
    assert workers.endswith("scorer-48 1, scorer-49 1, and 38 earlier ones")
    assert (snapshot.status, snapshot.as_dict()["rate"], snapshot.state.left()) == ("starting", None, "-:--:--")


def test_the_phases_follow_each_other() -> None:
    seen = figures("evaluations=2", "finalists.count=2", "baseline=true", of=[HEADER, candidate(0)])

    def now() -> tuple[str, int, int]:
        state = seen.snapshot("x", {}, 1.0, 0.0).state
        return state.phase, state.done, state.total

    assert now() == ("search", 1, 2)
    seen.add(candidate(1))
    assert now() == ("random", 0, 2)
    seen.add(candidate(0, phase="random", worker="reused", attempts=0))
    seen.add(candidate(1, phase="random"))
    assert now() == ("finalists", 0, 4)
    for _ in range(4):
        seen.add(rescore())
    seen.add(Unknown("something of a later version"))
    assert now() == ("finalists", 4, 4)
    snapshot = seen.snapshot("x", {"status": "complete"}, 1.0, 1e6)
    assert snapshot.heading == "x: complete, evolution by vkdnw_agg, seed 0"
    assert snapshot.as_dict()["left_seconds"] == 0.0
    assert set(snapshot.workers) == {"scorer-0", "scorer-1", "scorer-7"}  # a score that was reused has no worker


def test_in_flight_is_known_in_completion_order_alone() -> None:
    asks = [Ask("search", index, "", 0) for index in range(4)]
    snapshot = figures("order=completion", of=[HEADER, *asks, candidate(1)]).snapshot("x", {}, None, 0.0)
    assert snapshot.as_dict()["in_flight"] == 3
    assert "in flight 3" in snapshot.lines()[1]
    assert "in flight" not in figures(of=[HEADER, candidate(0)]).snapshot("x", {}, None, 0.0).lines()[1]


def test_the_rate_that_files_alone_tell() -> None:
    session = {"started": "2026-01-01T00:00:00+00:00", "wall_seconds": 0.0}
    info = {"status": "running", "sessions": [session], "counts": {"search": {"done": 40}, "random": {"done": 3}}, "rescored": 2}
    began = 1767225600.0
    assert session_rate(info, 65, began + 10.0) == pytest.approx(2.0)
    assert session_rate(info, 45, began + 10.0) is None
    assert session_rate({}, 45, began) is None
    ended = {"status": "complete", "sessions": [{"wall_seconds": 10.0}, {"wall_seconds": 15.0}]}
    assert session_rate(ended, 100, began) == pytest.approx(4.0)


def test_durations_in_words() -> None:
    assert [duration(seconds) for seconds in (45.2, 60, 3599, 12_000)] == ["45 s", "1 min", "59 min", "3 h 20 min"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("out of memory", Cause.OUT_OF_MEMORY),
        ("deadline: took longer than 60 s (wall clock, not reproducible)", Cause.DEADLINE),
        ("quarantined: killed 3 fresh workers while running alone", Cause.QUARANTINED),
        ("vkdnw: non-finite value nan; jacov: non-finite value inf", Cause.NOT_FINITE),
        ("ZeroDivisionError: by nothing", Cause.ERROR),
        ("IllTyped: expected (8, 8); got (4, 4)", Cause.ERROR),
        ("TooSymmetric: 5,000 leaves", Cause.ERROR),
        ("AssertionError:", Cause.ERROR),
        ("vkdnw: no layer has a weight", Cause.NO_SCORE),
    ],
)
def test_a_failure_of_a_journal_without_causes_is_sorted_by_its_words(reason: str, expected: Cause) -> None:
    assert failed(0, reason).cause is expected
    assert failed(0, reason, cause="quarantined").cause is Cause.QUARANTINED  # what is written counts
