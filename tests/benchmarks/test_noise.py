"""Ways to meet noise at equal evaluations: without noise all find the best; what counts is said on the page."""

from __future__ import annotations

import random

import numpy as np
import pytest

from benchmarks.search_quality import noise
from tests.benchmarks.test_search_quality import SIDE, world


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "EVALUATIONS", SIDE**3)


@pytest.mark.parametrize("algorithm", ["evolution", "model"])
def test_without_noise_the_best_is_picked(algorithm: str) -> None:
    found = noise.plain_and_final(world(), algorithm, 0.0, seed=0)
    assert found.pop("each candidate once, the best score is picked") == 0.0
    assert len(found) == (3 if algorithm == "model" else 1)
    by_score = found[f"final round of {noise.COUNT}, chosen by score"]
    assert by_score == min(found.values()), "told the truth, its own score is the best to choose by"


@pytest.mark.parametrize("again", [noise.again_by_evolution, noise.again_by_model])
def test_leaders_are_scored_again_within_the_same_evaluations(again, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    made: list[noise.Told] = []

    class Kept(noise.Told):
        def __init__(self, *given) -> None:  # type: ignore[no-untyped-def]
            super().__init__(*given)
            made.append(self)

    monkeypatch.setattr(noise, "Told", Kept)
    regret = again(world(), 0.5, 0)
    (told,) = made
    counts = [len(scores) for scores in told.scores.values()]
    assert sum(counts) == SIDE**3
    assert max(counts) > 1
    pick = max(told.scores, key=told.cautious)
    assert regret == told.world.truth.max() - told.world.truth[pick]


def test_one_lucky_score_does_not_displace_what_is_proven() -> None:
    told = noise.Told(world(), 1.0, random.Random(0), {0: [5.0, 5.2, 4.8, 5.0], 1: [5.4]})
    assert told.mean(1) > told.mean(0)
    assert told.cautious(1) < told.cautious(0)


def test_the_more_noise_the_less_two_seeds_agree() -> None:
    found = [noise.agreement(world(), error) for error in (0.01, 1.0, 5.0)]
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.95


def test_the_page_has_every_way_with_its_interval() -> None:
    searches = [{("model", "one way"): 1.0, ("model", "another"): float(seed)} for seed in (1, 3)]
    text = noise.page({0.5: searches, 1.0: searches}, world(), "    the command")
    assert "| `model`: one way | 1.000 [1.000, 1.000] | 1.000 [1.000, 1.000] |" in text
    assert "| `model`: another | 2.000 [1.000, 3.000] |" in text
    assert f"error 0.5, two scores agree by {noise.agreement(world(), 0.5):.2f}" in text
    assert np.isfinite(noise.agreement(world(), 0.5))
