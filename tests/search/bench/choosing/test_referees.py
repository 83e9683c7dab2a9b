"""Referees and costs: runs of the same networks are one set, halves share nothing, a pass is paid for once."""

from pathlib import Path

import pandas
import pytest

from search.bench.choosing.choose import REFERENCE
from search.bench.choosing.costs import costs_of, prices_of
from search.bench.choosing.referees import halves, read_sets
from search.ranking.objective import OBJECTIVES
from tests.search.bench.choosing.world import scores, write_run, write_seconds

VKDNW_AGG = OBJECTIVES[REFERENCE]


def renamed(count: int, seed: int, word: str) -> pandas.DataFrame:
    return scores(count, seed).assign(network=[f"{word} {place}" for place in range(count)])


def test_halves_share_nothing_and_depend_on_the_seed() -> None:
    first, second = halves(75, 0)
    assert (len(first), len(second)) == (38, 37)
    assert sorted([*first, *second]) == list(range(75))
    assert sorted(halves(75, 1)[0]) != sorted(first)


def test_runs_of_the_same_networks_are_one_set_whose_halves_are_the_same_networks(tmp_path: Path) -> None:
    shuffled = scores().sample(frac=1, random_state=1).assign(index=range(80))  # the same networks under other numbers
    runs = [
        write_run(tmp_path / "macro", renamed(30, 2, "net"), benchmark="nasbench_macro"),
        write_run(tmp_path / "c10", scores(), dataset="cifar10"),
        write_run(tmp_path / "c100", shuffled.iloc[:60], dataset="cifar100"),
        write_run(tmp_path / "pit", renamed(24, 3, "pit"), benchmark="pit", dataset="c100_kd"),
    ]
    sets = read_sets(runs, VKDNW_AGG)
    assert [(one.name, len(one)) for one in sets] == [
        ("nasbench201", 60),
        ("nasbench_macro/cifar10", 30),
        ("pit/c100_kd", 24),
    ]
    cells = sets[0]
    assert [referee.key for referee in cells.referees] == ["nasbench201/cifar10", "nasbench201/cifar100"]
    names = [[list(table["network"]) for _, table in cells.half(which, 0)] for which in (0, 1)]
    assert names[0][0] == names[0][1]
    assert names[1][0] == names[1][1]
    assert not set(names[0][0]) & set(names[1][0])
    values = {row["network"]: row["jacov"] for row in scores().to_dict("records")}
    assert all(values[row["network"]] == row["jacov"] for row in cells.referees[1].table.to_dict("records"))


def test_runs_that_share_networks_by_way_of_a_third_are_one_set(tmp_path: Path) -> None:
    table = scores(90)
    runs = [
        write_run(tmp_path / "a", table.iloc[:40], dataset="cifar10"),
        write_run(tmp_path / "b", table.iloc[60:], dataset="cifar100"),
        write_run(tmp_path / "c", table, dataset="imagenet16_120"),
    ]
    with pytest.raises(ValueError, match="share 0"):
        read_sets(runs, VKDNW_AGG)


def test_files_of_one_name_in_two_tables_are_not_the_same_network(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / name, scores(30, seed), benchmark="table", dataset="accuracy", population_digest=digest)
        for seed, (name, digest) in enumerate((("one", "a"), ("two", "b"), ("three", "a")))
    ]
    sets = read_sets(runs, VKDNW_AGG)
    assert [[referee.key for referee in one.referees] for one in sets] == [["table/one", "table/three"], ["table/two"]]


# --- costs ------------------------------------------------------------------------------------------------------------------

SECONDS = {"flops": 0.01, "jacov": 0.5, "naswot": 0.001, "near": 0.002, "synflow": 0.2, "t_cet_synflow": 0.3, "meco": 0.04}
SECONDS |= {"dextr": 0.003, "aleph": 0.0, "vkdnw": 2.0, "snip": 0.4}


def priced(tmp_path: Path, **changes: object) -> Path:
    return write_seconds(write_run(tmp_path / "run", scores().assign(**dict.fromkeys(SECONDS, 1.0)), **changes), SECONDS)


def test_a_pass_is_paid_for_once_by_whoever_needs_it(tmp_path: Path) -> None:
    (referee,) = read_sets([priced(tmp_path)], VKDNW_AGG)[0].referees
    components = ("jacov", "naswot", "near", "synflow", "t_cet_synflow", "meco", "dextr", "flops", "vkdnw_single")
    prices = prices_of(read_sets([referee.run], VKDNW_AGG), components)
    assert prices is not None
    for chosen, expected in (
        (("flops",), 0.01),
        (("jacov",), 0.5),
        (("naswot",), 0.501),  # the training pass, which jacov was charged with
        (("naswot", "near"), 0.503),
        (("jacov", "naswot", "near"), 0.503),
        (("dextr",), 0.043),  # the circle, which meco was charged with
        (("t_cet_synflow",), 0.5),  # the linear pass, which synflow was charged with
        (("synflow", "t_cet_synflow", "dextr"), 0.543),
        (("vkdnw_single",), 2.0),  # a pair of scores
    ):
        assert prices.total(chosen) == pytest.approx(expected), chosen
        assert prices.each(chosen) == {"nasbench201/cifar10": pytest.approx(expected)}


def test_a_pass_over_pictures_is_another_than_one_over_noise(tmp_path: Path) -> None:
    pictures = {"digest": "x"}
    (referee,) = read_sets([priced(tmp_path, pictures=pictures)], VKDNW_AGG)[0].referees
    costs = costs_of(referee, ("naswot", "near", "t_cet_synflow"))
    assert costs is not None
    prices = prices_of(read_sets([referee.run], VKDNW_AGG), ("naswot", "near", "t_cet_synflow"))
    assert prices is not None
    assert prices.total(("naswot",)) == pytest.approx(0.501)  # of pictures, as jacov
    assert prices.total(("near",)) == pytest.approx(0.002)  # of noise, which it alone asked for
    assert prices.total(("t_cet_synflow",)) == pytest.approx(0.3)


def test_what_costs_most_somewhere_is_the_cost_and_data_sets_of_one_set_are_averaged(tmp_path: Path) -> None:
    runs = []
    for name, benchmark, dataset, factor in (
        ("a", "nasbench201", "cifar10", 1.0),
        ("b", "nasbench201", "cifar100", 3.0),
        ("c", "nasbench_macro", "cifar10", 1.5),
    ):
        table = renamed(30, 1, benchmark).assign(**dict.fromkeys(SECONDS, 1.0))
        run = write_run(tmp_path / name, table, benchmark=benchmark, dataset=dataset)
        runs.append(write_seconds(run, {label: factor * spent for label, spent in SECONDS.items()}))
    prices = prices_of(read_sets(runs, VKDNW_AGG), ("flops", "meco"))
    assert prices is not None
    assert prices.total(("flops", "meco")) == pytest.approx(2 * 0.05)
    assert prices.each(("flops",))["nasbench201/cifar100"] == pytest.approx(0.03)


def test_the_first_network_of_a_worker_which_loads_libraries_does_not_count(tmp_path: Path) -> None:
    run = priced(tmp_path)
    journal = (run / "journal.jsonl").read_text().splitlines()
    slow = journal[1].replace('"flops": 0.01', '"flops": 9.0')
    (run / "journal.jsonl").write_text("\n".join([journal[0], slow, *journal[2:]]) + "\n")
    prices = prices_of(read_sets([run], VKDNW_AGG), ("flops",))
    assert prices is not None
    assert prices.total(("flops",)) == pytest.approx(0.01)


def test_a_run_that_does_not_say_what_a_score_costs_has_no_costs(tmp_path: Path) -> None:
    sets = read_sets([priced(tmp_path)], VKDNW_AGG)
    assert prices_of(sets, ("flops", "zico")) is None
