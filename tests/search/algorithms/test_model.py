"""Search by a model: the Gaussian process against its closed form, and what the algorithm does with it."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from search.algorithms import make
from search.algorithms.model import Model
from search.algorithms.surrogate import LENGTHS, NOISES, Surrogate, normal_scores
from search.ranking.objective import Objective
from search.testing import DigitSpace
from tests.search.algorithms.test_exhausted import Road
from uninas.errors import InputError

Floats = NDArray[np.float64]
ONE = Objective("one", (("vkdnw",),))


def closed_form(length: float, noise: float, x: Floats, y: Floats, other: Floats) -> tuple[Floats, Floats, float]:
    """Mean, deviation and log marginal likelihood of a Gaussian process (Rasmussen and Williams, 2006), naively."""

    def kernel(one: Floats, two: Floats) -> Floats:
        distance = np.sqrt(((one[:, None] - two[None]) ** 2).sum(-1)) / (length * math.sqrt(x.shape[1])) * math.sqrt(5)
        found: Floats = (1 + distance + distance**2 / 3) * np.exp(-distance)
        return found

    covariance = kernel(x, x) + (noise + 1e-9) * np.eye(len(x))
    inverse = np.linalg.inv(covariance)
    across = kernel(other, x)
    mean: Floats = across @ inverse @ y
    variance = 1.0 - (across @ inverse * across).sum(1)
    likelihood = -0.5 * (y @ inverse @ y + np.linalg.slogdet(covariance)[1] + len(x) * math.log(2 * math.pi))
    return mean, np.sqrt(np.maximum(variance, 0)), float(likelihood)


def sample(count: int, noise: float, seed: int = 0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, 3))
    return features, normal_scores(np.sin(2 * features[:, 0]) + features[:, 1] + noise * rng.standard_normal(count))


def test_the_model_is_the_closed_form_of_the_likeliest_length_and_noise() -> None:
    features, values = sample(40, 0.3)
    other = np.random.default_rng(1).standard_normal((7, 3))
    model = Surrogate()
    model.fit(features, values)
    mean, deviation = model.predict(other)
    centre, scale = features.mean(0), features.std(0)
    x, z = (features - centre) / scale, (other - centre) / scale
    found = {(a, b): closed_form(a, b, x, values, z) for a in LENGTHS for b in NOISES}
    expected = max(found.values(), key=lambda one: one[2])
    np.testing.assert_allclose(mean, expected[0], atol=2e-6)
    np.testing.assert_allclose(deviation, expected[1], atol=2e-6)
    np.testing.assert_allclose(model.mean(other), mean, atol=1e-12)


def test_noise_is_told_from_what_the_networks_are_worth() -> None:
    chosen = []
    for noise in (0.01, 5.0):
        model = Surrogate()
        features, values = sample(80, noise)
        model.fit(features, values)
        chosen.append(np.abs(model.mean(features) - values).mean())
    assert chosen[0] < 0.1  # it passes through what it has seen
    assert chosen[1] > 0.4  # and does not believe what is luck


def test_features_that_do_not_vary_say_nothing_and_none_that_vary_is_no_error() -> None:
    features, values = sample(20, 0.1)
    plain, padded = Surrogate(), Surrogate()
    plain.fit(features, values)
    padded.fit(np.hstack([features, np.full((20, 2), 7.0)]), values)
    np.testing.assert_allclose(padded.mean(np.hstack([features, np.full((20, 2), 9.0)])), plain.mean(features), atol=1e-12)
    alike = Surrogate()
    alike.fit(np.ones((5, 2)), normal_scores([1.0, 2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_allclose(alike.mean(np.ones((3, 2))), 0.0, atol=1e-9)


def test_a_fit_that_is_not_anew_keeps_length_and_noise() -> None:
    features, values = sample(30, 0.3)
    kept, anew = Surrogate(), Surrogate()
    kept.fit(features[:10], values[:10])
    kept.fit(features, values, anew=False)
    anew.fit(features, values)
    assert kept._chosen != anew._chosen
    assert not np.allclose(kept.mean(features), anew.mean(features))


def test_normal_scores_are_quantiles_of_ranks() -> None:
    found = normal_scores([3.0, -math.inf, 7.0, 3.0])
    assert found[1] < found[0] == found[3] < found[2]
    assert found[2] == pytest.approx(1.1503493803760079)  # the quantile of 7/8
    assert found.sum() == pytest.approx(0.0, abs=0.2)


# --- the algorithm ----------------------------------------------------------------------------------------------------------


def worth(digits: tuple[int, ...]) -> float:
    """Something that digits say, with a best of 30 at (9, 0, 9, 0, 9, 3) within a sum of 30."""
    return float(digits[0] + digits[2] + digits[4] - digits[1] - digits[3] + min(digits[5], 3))


def best_after(name: str, asks: int, seed: int, **options: int) -> float:
    run, best = make(name, DigitSpace(30), ONE, seed=seed, window=4, options=options), -math.inf
    for index in range(asks):
        value = worth(run.ask().candidate.body)
        best = max(best, value)
        run.tell(index, {"vkdnw": value})
    return best


def test_it_finds_what_other_algorithms_need_longer_for() -> None:
    options = {"initial": 12, "looked_at": 32, "parents": 4, "memory": 100}
    by_model = [best_after("model", 60, seed, **options) for seed in range(4)]
    by_evolution = [best_after("evolution", 60, seed, population=10) for seed in range(4)]
    assert min(by_model) >= 28
    assert sum(by_model) > sum(by_evolution)


def test_a_lucky_score_is_no_parent() -> None:
    """Of two hundred alike, one scored high by luck: the model takes children of what is good as a rule."""
    space = DigitSpace(60)
    model = Model(space, ONE, initial=2, looked_at=8, parents=1, memory=500)
    rng = random.Random(0)
    run = make("random", space, ONE, seed=0, window=1)
    lucky = None
    for index in range(200):
        candidate = run.ask().candidate
        value = float(sum(candidate.body)) + rng.gauss(0, 3)
        if lucky is None and sum(candidate.body) < 15:
            lucky, value = candidate, 59.0
        run.tell(index, {"vkdnw": value})
        model.learn(_reported(index, candidate, value))
    assert lucky is not None
    model.propose(200, random.Random(0), ())
    assert model._best[0].digest != lucky.digest
    assert sum(model._best[0].body) > 35


def _reported(index: int, candidate, value: float):  # type: ignore[no-untyped-def]
    from search.algorithms import Reported

    return Reported(index, candidate, ONE.keys({"vkdnw": value}))


def test_a_lucky_score_is_not_what_is_expected() -> None:
    """Estimates follow the worth, which a score does with an error of 3 and one stroke of luck."""
    space, rng = DigitSpace(60), random.Random(0)
    model, run = Model(space, ONE, initial=2, looked_at=8, parents=1, memory=500), make("random", space, ONE, seed=0, window=1)
    worths, told = [], []
    for index in range(200):
        candidate = run.ask().candidate
        worths.append(sum(candidate.body))
        told.append(59.0 if index == 7 else worths[-1] + rng.gauss(0, 3))
        run.tell(index, {"vkdnw": told[-1]})
        model.learn(_reported(index, candidate, told[-1]))
    found = model.estimates(())
    assert list(found) == list(range(200))
    estimates = [found[index] for index in range(200)]
    assert stats.kendalltau(estimates, worths).statistic > stats.kendalltau(told, worths).statistic + 0.05
    assert sum(other > estimates[7] for other in estimates) > 10, "the lucky one is none of the best ten"


@pytest.mark.parametrize("order", ["ask", "completion"])
def test_estimates_know_every_result_and_change_nothing(order: str) -> None:
    """Those too that no ask has seen; in the order of the asks they are the same however the results came."""

    def search(early: bool, shuffled: bool) -> tuple[dict[int, float], list[str]]:
        run = make("model", DigitSpace(30), ONE, seed=0, window=4, order=order, options={"initial": 6, "looked_at": 8})
        asked, rng = [], random.Random(1)
        while len(asked) < 24:
            waiting = []
            while run.ready():
                waiting.append(run.ask())
            asked += [one.candidate.digest for one in waiting]
            if early:
                run.estimates()
            if shuffled:
                rng.shuffle(waiting)
            for one in waiting:
                run.tell(one.index, {"vkdnw": worth(one.candidate.body)} if one.index % 5 else {})
        return dict(run.estimates()), asked

    found, asked = search(early=False, shuffled=False)
    assert set(found) == set(range(len(asked)))
    assert (found, asked) == search(early=True, shuffled=False)
    if order == "ask":
        assert (found, asked) == search(early=True, shuffled=True)
    assert max(found[index] for index in found if index % 5 == 0) < max(found.values()), "a failure is the lowest"


def test_an_algorithm_without_a_model_expects_nothing() -> None:
    run = make("random", DigitSpace(30), ONE, seed=0, window=1)
    run.tell(run.ask().index, {"vkdnw": 1.0})
    assert run.estimates() == {}
    assert make("model", DigitSpace(30), ONE, seed=0).estimates() == {}


def test_it_remembers_the_best_and_the_latest() -> None:
    model = Model(DigitSpace(), ONE, initial=2, looked_at=8, parents=1, memory=4)
    values = np.array([9.0, 1.0, 8.0, 2.0, 3.0, 10.0, 0.0])
    assert model._remembered(values) == [0, 2, 5, 6]
    assert model._remembered(values[:4]) == [0, 1, 2, 3]


def test_what_was_looked_at_and_rejected_is_counted() -> None:
    run = make("model", DigitSpace(20), ONE, seed=0, window=1, options={"initial": 5, "looked_at": 40})
    rejected = 0
    for index in range(12):
        proposal = run.ask()
        rejected += sum(proposal.rejected.values()) if index > 5 else 0
        run.tell(index, {"vkdnw": worth(proposal.candidate.body)})
    assert rejected > 20


def test_a_space_that_does_not_describe_its_candidates_is_an_error() -> None:
    with pytest.raises(InputError, match="expected a space that describes its candidates by numbers"):
        make("model", Road(), ONE, seed=0)
