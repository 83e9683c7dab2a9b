"""How far a score can be trusted: agreement of seeds, as one number with an interval."""

import numpy
import pytest
from scipy import stats

from search.ranking.correlation import Estimate
from search.ranking.objective import find
from search.ranking.reliability import NOISE, is_noise, of_objective, reliability
from uninas.errors import InputError


def noisy(seeds, networks=400, share=0.5, seed=0):
    """Scores of which `share` of the variance belongs to the networks."""
    rng = numpy.random.default_rng(seed)
    worth = rng.normal(size=networks) * share**0.5
    return [worth + rng.normal(size=networks) * (1 - share) ** 0.5 for _ in range(seeds)]


def test_two_seeds_are_spearmans_rho():
    first, second = noisy(2)
    assert reliability([first, second]).value == pytest.approx(stats.spearmanr(first, second).statistic)


def test_several_seeds_are_the_mean_over_their_pairs():
    columns = noisy(4)
    expected = numpy.mean([stats.spearmanr(columns[a], columns[b]).statistic for a in range(4) for b in range(a)])
    assert reliability(columns).value == pytest.approx(expected)


def test_the_interval_holds_the_share_of_variance_that_is_the_networks():
    found = reliability(noisy(2, networks=1500, share=0.6))
    expected = 6 / numpy.pi * numpy.arcsin(0.6 / 2)  # Spearman's rho of two normals with Pearson correlation 0.6
    assert found.low < expected < found.high


def test_the_mean_of_three_repeats_is_as_reliable_as_spearman_and_brown_say():
    columns = noisy(6, networks=4000, share=0.3)
    expected = 3 * 0.3 / (1 + 2 * 0.3)
    assert reliability(columns, repeats=3).value == pytest.approx(6 / numpy.pi * numpy.arcsin(expected / 2), abs=0.03)


def test_a_count_is_perfectly_reliable():
    assert reliability([[1, 5, 3, 3], [1, 5, 3, 3]]).value == pytest.approx(1)


def test_what_a_seed_failed_on_is_left_out():
    first, second = [1.0, 2.0, 3.0, None, -9.0], [1.0, 3.0, 2.0, 7.0, float("nan")]
    assert reliability([first, second]).value == pytest.approx(stats.spearmanr(first[:3], second[:3]).statistic)


@pytest.mark.parametrize("columns", [[[1.0, 2.0], [1.0, 2.0]], [[1.0, 1.0, 1.0], [1.0, 2.0, 3.0]]])
def test_where_there_is_no_correlation_there_is_no_number(columns):
    assert numpy.isnan(reliability(columns).value)


def test_an_objective_is_ranked_within_the_population_of_each_seed():
    objective = find("jacov x synflow")
    columns = {name: noisy(2, networks=40, seed=place) for place, name in enumerate(objective.proxies)}
    tables = [
        [dict(zip(columns, row, strict=True)) for row in zip(*(columns[name][seed] for name in columns), strict=True)]
        for seed in range(2)
    ]
    ranked = [objective.rank(table) for table in tables]
    assert of_objective(objective, tables).value == pytest.approx(stats.spearmanr(*ranked).statistic)


def test_an_objective_leaves_out_networks_that_lack_one_of_its_scores():
    objective = find("jacov")
    tables = [[{"jacov": value} for value in column] for column in ([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, None])]
    assert of_objective(objective, tables).value == pytest.approx(0.5)


@pytest.mark.parametrize(("seeds", "repeats", "least"), [(1, 1, "at least 2 seeds; got 1"), (5, 3, "at least 6 seeds; got 5")])
def test_too_few_seeds_are_an_error(seeds, repeats, least):
    with pytest.raises(InputError, match=least):
        reliability([[1.0, 2.0, 3.0]] * seeds, repeats=repeats)


def test_seeds_must_have_scored_the_same_networks():
    with pytest.raises(InputError, match="the same networks under each seed; got 3 and 4"):
        reliability([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0]])


def test_noise_is_what_surely_lies_below_the_threshold():
    assert is_noise(Estimate(0.1, -0.2, NOISE - 0.01))
    assert not is_noise(Estimate(0.1, -0.2, NOISE + 0.01))  # too few networks to say
    assert not is_noise(Estimate(float("nan"), float("nan"), float("nan")))
