"""Model-driven ranking on made-up tables: what a forest sees, what it must not see, and what it refuses."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from search.bench.judging.forest import MODELS, SPECTRUM, Columns, columns_of, evaluate_model, fit_predict, train_size
from search.ranking.correlation import kendall
from uninas.analysis.features import graph_features
from uninas.errors import InputError
from uninas.spaces import nasbench201

COUNT = 300
ROWS = np.arange(COUNT)


def table(seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]:
    """Scores, graph features and accuracies that depend on one of each."""
    rng = np.random.default_rng(seed)
    scores = {name: rng.random(COUNT) for name in (*SPECTRUM, "snip")}
    graphs = {"depth": rng.integers(0, 9, COUNT).astype(float), "count.skip": rng.integers(0, 3, COUNT).astype(float)}
    accuracies = 40 * scores["flops"] + 30 * scores["snip"] + 3 * graphs["depth"]
    return scores, graphs, accuracies


def test_models_see_the_features_of_the_paper() -> None:
    scores, graphs, _ = table()
    assert (*(f"vkdnw_decile_{number}" for number in range(1, 10)), "aleph", "flops") == SPECTRUM
    assert list(columns_of("vkdnw_m", scores, {})) == list(SPECTRUM)
    assert list(columns_of("vkdnw_zcs_m", scores, {})) == [*SPECTRUM, "snip"]
    assert list(columns_of("vkdnw_zcs_graf_m", scores, graphs)) == [*SPECTRUM, "snip", "graph.depth", "graph.count.skip"]
    assert list(columns_of("graf_m", {}, graphs)) == ["graph.depth", "graph.count.skip"]


def test_more_features_that_matter_rank_better_and_permuted_accuracies_not_at_all() -> None:
    scores, graphs, accuracies = table()
    found = {name: evaluate_model(name, scores, graphs, accuracies, seed=0, splits=2, trees=20, resamples=40) for name in MODELS}
    tau = {name: result.metrics["kendall"].value for name, result in found.items()}
    assert tau["vkdnw_zcs_graf_m"] > tau["vkdnw_zcs_m"] + 0.05 > tau["vkdnw_m"] + 0.1
    assert tau["graf_m"] > 0.2
    for result in found.values():
        for metric, estimate in result.metrics.items():
            assert estimate.value == pytest.approx(np.mean(result.splits[metric]))
            assert estimate.low < estimate.value < estimate.high
        assert (result.train, result.held_out, result.missing) == (150, 150, 0.0)
    permuted = np.random.default_rng(1).permutation(accuracies)
    chance = evaluate_model("vkdnw_zcs_graf_m", scores, graphs, permuted, seed=0, splits=2, trees=20, resamples=40)
    assert chance.metrics["kendall"].low < 0 < chance.metrics["kendall"].high


def test_splits_and_forests_repeat_and_differ_by_seed() -> None:
    scores, _, accuracies = table()
    first, again, other = (fit_predict(scores, accuracies, train=100, seed=seed, trees=5) for seed in (4, 4, 5))
    assert first.rows.tolist() == again.rows.tolist() != other.rows.tolist()
    assert first.values.tolist() == again.values.tolist()
    assert len(first.rows) == len(set(first.rows.tolist())) == COUNT - 100


def test_no_held_out_accuracy_is_looked_at() -> None:
    scores, _, accuracies = table()
    found = fit_predict(scores, accuracies, train=100, seed=1, trees=5)
    spoilt = accuracies.copy()
    spoilt[found.rows] = -1e6
    assert fit_predict(scores, spoilt, train=100, seed=1, trees=5).values.tolist() == found.values.tolist()


def test_scores_of_any_size_do() -> None:
    """SynFlow reaches 1e300, beyond scikit-learn's float32; the order and the gaps between training values are what counts."""
    scores, _, accuracies = table()
    huge = {name: column * 1e300 for name, column in scores.items()}
    expected = fit_predict(scores, accuracies, train=100, seed=1, trees=5).values
    assert fit_predict(huge, accuracies, train=100, seed=1, trees=5).values == pytest.approx(expected, rel=1e-6)


def test_a_missing_value_stands_below_all_others_and_an_infinite_one_above() -> None:
    score = np.random.default_rng(2).random(COUNT)
    accuracies = 50 + 50 * score
    held = fit_predict({"score": score}, accuracies, train=100, seed=0, trees=10).rows

    def predicted(value: float | None) -> float:
        column: list[float | None] = [float(number) for number in score]
        column[held[7]] = value
        return float(fit_predict({"score": column}, accuracies, train=100, seed=0, trees=10).values[7])

    assert predicted(math.nan) == predicted(-math.inf) == predicted(None) == predicted(-5.0) < 51
    assert predicted(math.inf) == predicted(5.0) > 98


def test_a_forest_learns_from_what_is_missing() -> None:
    score = np.random.default_rng(2).random(COUNT)
    column = [None if row % 3 == 0 else float(score[row]) for row in ROWS]
    truth = np.where(ROWS % 3 == 0, 10.0, 50 + 50 * score)
    found = fit_predict({"score": column}, truth, train=100, seed=0, trees=10)
    gone = found.rows % 3 == 0
    assert set(found.values[gone]) == {10.0}
    assert found.values[~gone].min() > 45


def test_constant_repeated_and_absent_features_change_nothing() -> None:
    scores, _, accuracies = table()
    columns: Columns = {"flops": scores["flops"]}
    expected = fit_predict(columns, accuracies, train=100, seed=0, trees=10).values.tolist()
    more = {**columns, "constant": np.ones(COUNT), "again": scores["flops"], "absent": [None] * COUNT}
    assert fit_predict(more, accuracies, train=100, seed=0, trees=10).values.tolist() == expected
    alone = fit_predict({"constant": np.ones(COUNT)}, accuracies, train=100, seed=0, trees=10).values
    assert len(set(alone)) == 1


def test_graph_features_rank_real_networks(data_folder: Path) -> None:
    """A sample of NAS-Bench-201: better than counts of operations alone, and not by knowing the test's accuracies."""
    with (data_folder / "nasbench201" / "nb201_accuracies.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["reachable"] == "1"][::16]
    described = [graph_features(nasbench201.architecture(row["arch_str"])) for row in rows]
    graphs = {name: np.array([features[name] for features in described]) for name in described[0]}
    counts = {name: column for name, column in graphs.items() if name.startswith("count.")}
    accuracies = np.array([float(row["cifar10"]) for row in rows])
    tau = []
    for columns in (graphs, counts):
        found = fit_predict(columns, accuracies, train=len(rows) // 2, seed=0, trees=20)
        tau.append(kendall(found.values, accuracies[found.rows]))
    assert tau[0] > 0.75
    assert tau[0] > tau[1] + 0.08


def test_how_many_to_fit_on() -> None:
    assert [train_size(count) for count in (9445, 1100, 1099, 300)] == [1024, 1024, 549, 150]
    scores, _, accuracies = table()
    with pytest.raises(InputError, match=r"got 1024 of 300 to fit on \(`train_size` gives 150\)"):
        fit_predict(scores, accuracies, seed=0)


def test_bad_input_is_named() -> None:
    scores, _, accuracies = table()
    with pytest.raises(InputError, match="missing: vkdnw_decile_1, aleph"):
        columns_of("vkdnw_m", {name: scores[name] for name in SPECTRUM if name not in ("vkdnw_decile_1", "aleph")}, {})
    with pytest.raises(InputError, match="one of vkdnw_m, vkdnw_zcs_m, vkdnw_zcs_graf_m, graf_m; got 'graf'"):
        columns_of("graf", scores, {})
    with pytest.raises(InputError, match="graf_m: expected features of the architectures' graphs; got none"):
        columns_of("graf_m", scores, {})
    with pytest.raises(InputError, match="at least one feature"):
        fit_predict({}, accuracies, seed=0, train=10)
    with pytest.raises(ValueError, match=r"expected 300 values of the feature short, got an array of shape \(2,\)"):
        fit_predict({"short": [1.0, 2.0]}, accuracies, seed=0, train=10)


def test_a_forest_orders_what_it_has_not_seen() -> None:
    scores, _, accuracies = table()
    found = fit_predict({"flops": scores["flops"], "snip": scores["snip"]}, accuracies, train=150, seed=0, trees=20)
    assert kendall(found.values, accuracies[found.rows]) > 0.5
