"""Several objectives: the algorithm against a naive one, the front of a journal, latency measured, replayed and bounded."""

import itertools
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from search.algorithms import make
from search.algorithms.asktell import Reported
from search.algorithms.candidate import Candidate
from search.algorithms.pareto import Pareto
from search.config import loading
from search.engine.pareto_front import front, spread_over
from search.engine.phase import Entry
from search.ranking.objective import OBJECTIVES, Objective
from search.ranking.ranks import key
from tests.search.conftest import Notes, records, resume_toy, run_toy, stable
from tests.search.fakes import ToySpace
from tests.search.ranking.test_dominance import naive_crowding, naive_fronts

ONE = Objective("one", (("aleph",),))
AGG = OBJECTIVES["vkdnw_agg"]
SMALL = ("algorithm=pareto", "evaluations=60", "window=4", "algorithm_options={population: 10}", "baseline=true")
TIMED = (*SMALL, "objectives=[score, params, latency_ms]")
LIMITED = ("evaluations=60", "budget.latency_ms=8", "baseline=true")


def candidates(folder: Path, phase: str = "search") -> list[dict[str, Any]]:
    return [record for record in records(folder) if record["kind"] == "candidate" and record["phase"] == phase]


small = st.sampled_from([0.0, 1.0, 2.0, 5.0])


@settings(deadline=None)
@given(st.lists(st.tuples(small, small, small, small), min_size=1, max_size=25), st.integers(1, 6), st.integers(1, 2))
def test_the_survivors_are_those_of_sorting_all_anew(rows: list[tuple[float, ...]], limit: int, columns: int) -> None:
    """Each newcomer joins, all are sorted by front, then crowding, then age, and the last one leaves."""
    objective = Objective("some", (("a",), ("b",))[:columns])
    strategy = Pareto(ToySpace(), objective, population=limit, objectives=("params", "score", "latency_ms"))
    members: list[int] = []
    for index, (a, b, params, latency) in enumerate(rows):
        candidate = Candidate(f"{index:064x}", index, {"params": int(params)})
        costs = {**candidate.cost, "latency_ms": latency}
        strategy.learn(Reported(index, candidate, objective.keys({"a": a, "b": b}), costs))
        members.append(index)
        if len(members) > limit:
            values = objective.rank([{"a": rows[m][0], "b": rows[m][1]} for m in members])
            order = sorted({round(float(value), 9) for value in values})
            mean = Counter(round(float(value), 9) for value in values)  # the score's rank, ties averaged
            rank = {v: sum(mean[w] for w in order if w < v) + (mean[v] + 1) / 2 for v in order}
            points = [(-rank[round(float(values[i]), 9)], rows[m][2], rows[m][3]) for i, m in enumerate(members)]
            numbers = naive_fronts(points)
            distances = naive_crowding(points, numbers)
            worst = max(range(len(members)), key=lambda i: (numbers[i], -round(distances[i], 9), members[i]))
            del members[worst]
        assert strategy.survivors == members


def test_a_parent_wins_a_tournament_by_front_then_crowding_then_age() -> None:
    strategy = Pareto(ToySpace(), ONE, population=4, objectives=("score", "params"))

    def learn(index: int, score: float, params: int) -> None:
        candidate = ToySpace().candidate([index] * 6)
        strategy.learn(Reported(index, candidate, (key(score),), {"params": params}))

    for index, (score, params) in enumerate([(1.0, 1), (2.0, 2), (3.0, 3), (0.5, 9)]):
        learn(index, score, params)
    drawn = Counter[str | None]()
    rng = random.Random(0)
    for _ in range(4000):
        child = strategy.propose(9, rng, ())
        if isinstance(child, Candidate):
            drawn[child.parent] += 1
    share = [drawn[ToySpace().candidate([index] * 6).digest] / drawn.total() for index in range(4)]
    # of 16 pairs: 0 beats all (older than 2, which is as far out), then 2, then 1 in the middle, then 3, which is dominated
    assert share == pytest.approx([7 / 16, 3 / 16, 5 / 16, 1 / 16], abs=0.03)


def test_a_score_without_a_cost_that_is_an_objective_is_refused() -> None:
    run = make("pareto", ToySpace(), ONE, seed=0, window=1, objectives=("score", "latency_ms"))
    run.tell(run.ask().index, {"aleph": 1.0})
    with pytest.raises(ValueError, match="tell 0: expected latency_ms beside the score; got none"):
        run.ask()
    with pytest.raises(ValueError, match="expected none beside walk, which has one objective; got score, params"):
        make("walk", ToySpace(), ONE, seed=0, objectives=("score", "params"))


def naive_front(entries: list[Entry], objective: Objective, objectives: tuple[str, ...]) -> set[int]:
    values = [round(float(value), 9) for value in objective.rank([entry.scores for entry in entries])]
    points = {
        entry.index: [-value if name == "score" else entry.costs[name] for name in objectives]
        for entry, value in zip(entries, values, strict=True)
        if entry.scores
    }

    def beaten(point: list[float]) -> bool:
        return any(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in points.values())

    return {index for index, point in points.items() if not beaten(point)}


def entries_of(lines: list[dict[str, Any]]) -> list[Entry]:
    return [
        Entry(line["index"], line["digest"], line["scores"], {**line["cost"], "latency_ms": line.get("latency_ms", 0.0)})
        for line in lines
    ]


def test_the_front_of_a_run_is_that_of_its_journal_and_the_finalists_are_spread_over_it(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run = run_toy(folder, *TIMED)
    lines, objectives = candidates(folder), ("score", "params", "latency_ms")
    entries = entries_of(lines)
    assert run["objectives"] == list(objectives)
    assert {row["index"] for row in run["front"]} == naive_front(entries, AGG, objectives)
    values = AGG.rank([line["scores"] for line in lines])
    for row in run["front"]:
        line = lines[row["index"]]
        assert row["costs"] == {"params": line["cost"]["params"], "latency_ms": line["latency_ms"]}
        assert (row["device"], row["scores"], row["digest"]) == (line["device"], line["scores"], line["digest"])
        assert row["place"] == 1 + int((values > values[row["index"]] + 1e-8).sum())
        document = json.loads((folder / row["file"]).read_text())
        assert document["metadata"]["digest"] == row["digest"]
        assert ToySpace().candidate(document["digits"]).digest == row["digest"]
    assert [row["place"] for row in run["front"]] == sorted(row["place"] for row in run["front"])
    assert len(list((folder / "front").iterdir())) == len(run["front"]) > 3
    members = front(entries, AGG, objectives)
    assert {row["digest"] for row in run["finalists"]} == {member.entry.digest for member in spread_over(members, 3)}
    assert run["front"][0]["digest"] in {row["digest"] for row in run["finalists"]}, "the best by the objective is among them"
    assert (folder / "best.json").read_text() == (folder / "finalists" / "01.json").read_text()
    assert run["best"]["value"] == max(row["value"] for row in run["finalists"])


def test_a_front_of_nothing_and_of_failures_only() -> None:
    assert front([], AGG, ("score", "params")) == []
    assert front([Entry(0, "a", {}, {"params": 1})], AGG, ("score", "params")) == []
    assert spread_over([], 3) == []


def hypervolume(points: list[tuple[float, float]], reference: tuple[float, float]) -> float:
    """The area that points, to be maximised and minimised, dominate within a reference point; a strip a point."""
    area, highest = 0.0, reference[0]
    for score, cost in sorted(points, key=lambda point: (point[1], -point[0])):
        if score > highest and cost < reference[1]:
            area += (score - highest) * (reference[1] - cost)
            highest = score
    return area


def test_the_fronts_hypervolume_never_shrinks_and_beats_random_search(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run_toy(
        folder, *SMALL, "objective=vkdnw", "objectives=[score, params]", "evaluations=200", "algorithm_options={population: 16}"
    )
    final = {}
    for phase in ("search", "random"):
        entries, areas = entries_of(candidates(folder, phase)), []
        for count in range(1, len(entries) + 1):
            members = front(entries[:count], Objective("vkdnw", (("vkdnw",),)), ("score", "params"))
            points = [(member.entry.scores["vkdnw"], member.entry.costs["params"]) for member in members]
            every = [(entry.scores["vkdnw"], entry.costs["params"]) for entry in entries[:count]]
            areas.append(hypervolume(points, (0.0, 41.0)))
            assert areas[-1] == pytest.approx(hypervolume(every, (0.0, 41.0))), "the front dominates what all dominate"
        assert all(later >= earlier for earlier, later in itertools.pairwise(areas))
        assert areas[-1] > areas[0]
        final[phase] = areas[-1]
    assert final["search"] > 1.05 * final["random"]


def test_one_seed_one_journal(tmp_path: Path) -> None:
    run_toy(tmp_path / "a", *SMALL)
    run_toy(tmp_path / "b", *SMALL)
    run_toy(tmp_path / "c", *SMALL, "seed=1")
    assert stable(tmp_path / "a") == stable(tmp_path / "b")
    assert stable(tmp_path / "a")[1:] != stable(tmp_path / "c")[1:]
    assert not any("latency_ms" in line for line in candidates(tmp_path / "a")), "nobody asked for it"


@pytest.mark.parametrize("order", ["ask", "completion"])
@pytest.mark.parametrize("objectives", ["[score, params, macs]", "[score, params, latency_ms]"])
def test_a_run_cut_anywhere_is_continued_as_if_nothing_had_happened(tmp_path: Path, order: str, objectives: str) -> None:
    """The toy's latencies are the same each time here, so even they may be compared."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    overrides = (*SMALL, "evaluations=14", "window=3", f"order={order}", "algorithm_options={population: 4}")
    for folder in (whole, cut):
        run_toy(folder, *overrides, f"objectives={objectives}")
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for count in range(0, len(lines), 2):
        (cut / "journal.jsonl").write_bytes(b"".join(lines[:count]) + lines[count][: count % len(lines[count])])
        resume_toy(cut)
        assert stable(cut) == stable(whole), count
        for name in ("best.json", "front/01.json"):
            assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_resume_takes_latencies_from_the_journal_and_measures_none_again(tmp_path: Path) -> None:
    """No two measurements are equal here: the asks that see journalled latencies only are those of the first time."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    window, space = 4, ToySpace(behaviour={"jitter": 3.0})
    for folder in (whole, cut):
        run_toy(folder, *TIMED, space=space)
    digests = [line["digest"] for line in candidates(whole)]
    assert digests != [line["digest"] for line in candidates(cut)], "the jitter matters, or this test shows nothing"
    lines = (whole / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for count in (1, 17, 30, 45):
        (cut / "journal.jsonl").write_bytes(b"".join(lines[: 1 + count]))
        resume_toy(cut, space=space)
        assert (cut / "journal.jsonl").read_bytes().startswith(b"".join(lines[: 1 + count]))
        assert [line["digest"] for line in candidates(cut)][: count + window] == digests[: count + window]
    run = resume_toy(cut, space=space)  # of a finished run: nothing is measured
    again = resume_toy(cut, space=space)
    assert run["front"] == again["front"]


@pytest.mark.parametrize("algorithm", ["pareto", "evolution", "aging_evolution", "walk", "random"])
def test_what_is_over_the_latency_budget_is_recorded_and_never_chosen(tmp_path: Path, algorithm: str) -> None:
    folder = tmp_path / "run"
    run = run_toy(folder, *LIMITED, f"algorithm={algorithm}", "algorithm_options={}")
    lines = candidates(folder)
    slow = {line["digest"] for line in lines if line["status"] == "over_budget"}
    assert slow
    assert run["counts"]["search"]["over_budget"] == len(slow)
    assert run["counts"]["search"]["failed"] == 0
    assert run["counts"]["search"]["done"] == 60
    for line in (*lines, *candidates(folder, "random")):
        assert line["device"] == "toy: quick"
        assert (line["latency_ms"] > 8) == (line["status"] == "over_budget") == (line["scores"] == {})
        if line["status"] == "over_budget":
            assert line["reason"] == f"latency {line['latency_ms']:.4g} ms > 8 ms on toy: quick"
        else:
            assert line["status"] == "ok"
            assert line["reason"] is None
    assert not {row["digest"] for row in run["finalists"]} & slow
    assert all(row["latency_ms"] <= 8 and row["device"] == "toy: quick" for row in run["finalists"])
    if algorithm != "random":
        assert not {line["parent"] for line in lines} & slow, "reported as infeasible, it is no parent"
    assert run["latency"] == {"batch": 1, "runs": 10, "warmup": 3, "precision": "float32", "devices": {"toy: quick": 120}}
    reused = [line for line in candidates(folder, "random") if line["worker"] == "reused"]
    known = {line["digest"]: line for line in lines}
    for line in reused:
        assert all(line[name] == known[line["digest"]][name] for name in ("status", "reason", "scores", "latency_ms", "device"))


def test_latencies_of_two_device_models_are_told_apart(tmp_path: Path) -> None:
    notes = Notes()
    space = ToySpace(behaviour={"slow_device": ["0", "1", "2", "3"]})
    run = run_toy(tmp_path / "run", *TIMED, space=space, view=notes.view)
    assert set(run["latency"]["devices"]) == {"toy: quick", "toy: slow"}
    assert sum(run["latency"]["devices"].values()) == 120
    for line in candidates(tmp_path / "run"):
        assert line["device"] == ("toy: slow" if line["digest"][0] in "0123" else "toy: quick")
    assert any(note.startswith("warning: latencies of 2 device models are in this run") for note in notes.notes)


def test_an_old_run_still_resumes(tmp_path: Path) -> None:
    """Its config.yaml has none of the younger keys, and its header has the digest that the program of then wrote."""
    folder, long = tmp_path / "run", tmp_path / "long"
    of_then = ("ties=older", "space.regularisers=true", "finalists.by_model=0")  # what was done before there were these keys
    run_toy(folder, "evaluations=30", *of_then)
    run_toy(long, "evaluations=40", *of_then)
    path, journal = folder / "config.yaml", folder / "journal.jsonl"
    stored = yaml.safe_load(path.read_text())
    del stored["latency"], stored["objectives"], stored["budget"]["latency_ms"], stored["ties"], stored["space"]["regularisers"]
    del stored["finalists"]["by_model"], stored["ladder"]
    path.write_text(yaml.safe_dump(stored))
    lines = journal.read_bytes().splitlines(keepends=True)
    written_then = "393f4b640106112632f292f4f498e5aa10cf5d80025d6aca77e8ae52ef77233c"
    assert json.loads(lines[0])["config_digest"] == written_then
    resume_toy(folder, evaluations=40)
    assert [line["digest"] for line in candidates(folder)] == [line["digest"] for line in candidates(long)]
    assert loading.load(path).objectives is None


@pytest.mark.slow
def test_the_journal_is_the_same_with_ray(tmp_path: Path, ray_address: str) -> None:
    """Latencies travel back from the actors, too; the toy's are the same each time."""
    for name, overrides in (("plain", SMALL), ("timed", TIMED), ("limited", (*SMALL, *LIMITED))):
        run_toy(tmp_path / f"{name}-serial", *overrides)
        run_toy(tmp_path / f"{name}-ray", *overrides, "pool.kind=ray", "pool.workers=3", space=ToySpace(behaviour={"delay": 2.0}))
        assert stable(tmp_path / f"{name}-ray") == stable(tmp_path / f"{name}-serial")
