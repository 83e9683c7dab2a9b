"""The last phase's arithmetic: places on held-out seeds, the share of pairs that the search wins, and the words for both."""

from __future__ import annotations

import numpy as np
import pytest

from search.engine.finals.finalists import settle
from search.engine.finals.verdict import in_words, of, outranks
from search.engine.phase import Entry
from search.journal.records import Rescore
from search.ranking.objective import find

OBJECTIVE = find("flops x jacov")
SINGLE = find("jacov")


def entry(index: int, flops: float, jacov: float | None = None) -> Entry:
    scores = {"flops": flops} | ({} if jacov is None else {"jacov": jacov})
    return Entry(index, f"{index:04x}", scores)


def rescore(digest: str, repeat: int, flops: float, jacov: float) -> Rescore:
    return Rescore(digest, repeat, 7 + repeat, "ok", None, {"flops": flops, "jacov": jacov}, {}, "w", 1)


def population(count: int, seed: int = 0) -> list[Entry]:
    drawn = np.random.default_rng(seed).normal(size=(count, 2))
    return [entry(index, *map(float, row)) for index, row in enumerate(drawn)]


def test_values_are_those_of_the_search_with_all_that_is_compared_as_scored_under_one_seed() -> None:
    entries, again = population(30), np.random.default_rng(1).normal(size=(4, 2, 2))
    finalists, digests = entries[3:6], {"start": "ffff"}
    field = [*(one.digest for one in finalists), "ffff"]
    rescores = [rescore(digest, repeat, *map(float, again[row, repeat])) for row, digest in enumerate(field) for repeat in (0, 1)]
    found, controls = settle(entries, finalists, digests, rescores, OBJECTIVE)
    expected: dict[str, list[float]] = {digest: [] for digest in field}
    for repeat in (0, 1):
        scores = {one.digest: dict(one.scores) for one in entries}
        for row, digest in enumerate(field):
            scores[digest] = dict(zip(("flops", "jacov"), again[row, repeat], strict=True))
        values = dict(zip(scores, OBJECTIVE.rank(list(scores.values())), strict=True))
        for digest in field:
            expected[digest].append(float(values[digest]))
    for one in (*found, *controls):
        digest = one.digest if hasattr(one, "digest") else one.entry.digest
        assert one.values == pytest.approx(expected[digest])
        assert one.value == pytest.approx(np.mean(expected[digest]))
    places = sorted(((one.value, one.place) for one in (*found, *controls)), reverse=True)
    assert [place for _, place in places] == [1, 2, 3, 4]


def test_the_score_that_selected_a_finalist_counts_nothing() -> None:
    """The same held-out scores give the same places, whatever the search saw of the finalists."""
    entries = population(20)
    lucky = [entry(one.index, 99.0, 99.0) if one.index == 4 else one for one in entries]
    rescores = [rescore(f"{index:04x}", 0, float(index), float(index)) for index in (4, 5, 6)]
    plain, told = (settle(of, of[4:7], {}, rescores, OBJECTIVE)[0] for of in (entries, lucky))
    assert [(one.entry.digest, one.place, one.values) for one in plain] == [
        (one.entry.digest, one.place, one.values) for one in told
    ]
    assert [one.entry.index for one in plain] == [6, 5, 4]


def test_trained_networks_are_ranked_by_their_mean_accuracy() -> None:
    """By logarithms of ranks, as scores are compared, the steady one of 50% came before the one of 67%."""
    top1 = find("top1")
    entries = [Entry(index, f"{index:04}", {"top1": 30.0}) for index in range(3)]
    accuracies = {"0000": (66.7, 33.3), "0001": (33.3, 100.0), "0002": (50.0,)}  # whose second training failed
    rescores = [
        Rescore(digest, repeat, 7 + repeat, "ok", None, {"top1": value}, {}, "w", 1)
        for digest, values in accuracies.items()
        for repeat, value in enumerate(values)
    ]
    rescores.append(Rescore("0002", 1, 8, "failed", "loss is nan", {}, {}, "w", 1))
    finalists, (control,) = settle(entries, entries[:2], {"start": "0002"}, rescores, top1)
    assert [(one.entry.digest, one.place, one.value) for one in finalists] == [("0001", 1, 66.65), ("0000", 2, 50.0)]
    assert (control.place, control.values) == (3, (50.0, 0.0))


def test_a_finalist_that_is_a_control_has_one_place() -> None:
    entries = population(10)
    rescores = [rescore(entries[index].digest, 0, float(index), 0.0) for index in (0, 1)]
    finalists, controls = settle(entries, entries[:2], {"start": entries[0].digest}, rescores, SINGLE)
    assert [one.place for one in finalists] == [1, 1]
    assert controls[0].place == 1


def test_the_share_of_pairs_is_counted() -> None:
    search, random = [entry(0, 0, 3.0), entry(1, 0, 5.0)], [entry(2, 0, 1.0), entry(3, 0, 4.0)]
    assert outranks(search, random, SINGLE) == {"value": 0.75, "low": 0.057, "high": 1.0, "search": 2, "random": 2}
    rng = np.random.default_rng(0)
    ours, theirs = (np.round(rng.normal(shift, 1.0, size), 1) for shift, size in ((0.5, 60), (0.0, 50)))
    found = outranks([entry(0, 0, float(v)) for v in ours], [entry(0, 0, float(v)) for v in theirs], SINGLE)
    assert found is not None
    pairs = ours[:, None] - theirs[None, :]
    assert found["value"] == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean(), abs=1e-4)
    assert found["low"] < found["value"] < found["high"]


def test_the_interval_is_as_wide_as_resampling_says() -> None:
    rng = np.random.default_rng(3)
    ours, theirs = rng.normal(0.4, 1.0, 80), rng.normal(0.0, 1.0, 100)
    found = outranks([entry(0, 0, float(v)) for v in ours], [entry(0, 0, float(v)) for v in theirs], SINGLE)
    assert found is not None
    draws = [(rng.choice(ours, len(ours))[:, None] > rng.choice(theirs, len(theirs))[None, :]).mean() for _ in range(2000)]
    low, high = np.quantile(draws, [0.025, 0.975])
    assert found["high"] - found["low"] == pytest.approx(high - low, rel=0.1)


def test_candidates_without_a_score_are_left_out() -> None:
    search, random = [entry(0, 1.0, 3.0), entry(1, 1.0), entry(2, 2.0, 4.0)], population(5)
    found = outranks(search, random, OBJECTIVE)
    assert found is not None
    assert found["search"] == 2
    assert outranks(search[:2], random, OBJECTIVE) is None


def verdict(**changes: object) -> dict[str, object]:
    controls = {
        "efficientnet": {"place": 1, "ahead": 0},
        "random": {"place": 2, "ahead": 1},
        "start": {"place": 5, "ahead": 3},
    }
    chance = {"value": 0.641, "low": 0.58, "high": 0.702, "search": 200, "random": 200}
    found = {"outranks": chance, "seeds": 3, "networks": 7, "place": 2, "controls": controls, "is": [], "left_out": {}}
    return {"objective": "vkdnw_agg", "verdict": {**found, **changes}}


def test_what_is_said() -> None:
    standing, chance = in_words(verdict())
    assert standing == (
        "on 3 held-out seeds, the same for all, the pick has rank 2 of 7 finalists and controls; behind efficientnet (0 of 3); "
        "level with the random search's best (1 of 3); ahead of the start (3 of 3) "
        "(in brackets: seeds on which the pick is above)"
    )
    assert chance.startswith("a candidate of the search outranks a random one with probability 0.64 [0.58, 0.70] by vkdnw_agg")
    (only,) = in_words(verdict(outranks=None, **{"is": ["start"]}))
    assert only == "the best of the search is the start: nothing better was found"
    assert in_words(verdict(left_out={"vit": "too small"}))[-1] == "vit is not among them: too small"
    assert in_words({"objective": "vkdnw"}) == []


def test_a_pick_that_is_a_control_is_not_compared_with_itself() -> None:
    entries = population(10)
    rescores = [rescore(entries[index].digest, 0, float(index), float(index)) for index in (0, 1, 2)]
    finalists, controls = settle(entries, entries[1:3], {"random": "0002", "start": "0000"}, rescores, SINGLE)
    found = of(entries, [], finalists, controls, {}, SINGLE)
    assert found["is"] == ["random"]
    assert list(found["controls"]) == ["start"]
    assert found["networks"] == 3


def test_who_was_stopped_ranks_lowest_and_who_failed_says_nothing() -> None:
    """Of five candidates two were stopped and one failed: two of four win against each random one."""
    random = [Entry(index, f"{index:04x}", {"jacov": 1.0 + index / 10}) for index in range(3)]
    good = [Entry(10, "000a", {"jacov": 5.0}), Entry(11, "000b", {"jacov": 6.0})]
    low = [Entry(index, f"{index:04x}", {"rung 1": 1.0}, stopped=True) for index in (12, 13)]
    failed = Entry(14, "000e", {"rung 1": 1.0})
    found = outranks([*good, *low, failed], random, SINGLE)
    assert found is not None
    assert (found["value"], found["search"], found["random"]) == (0.5, 4, 3)
