"""Tables of accuracies: what is refused, what is said, what is drawn."""

from pathlib import Path

import numpy
import pytest

from search.bench.benchmarks.nasbench201 import SHAPES, read_accuracies
from tests.search.bench.fakes import cells, write_table
from uninas.errors import InputError
from uninas.spaces import nasbench201

COUNT = 12


def changed(column: str, place: int, value: object) -> dict[str, list[object]]:
    """One value of a column of a good table replaced."""
    good: dict[str, list[object]] = {
        "index": list(range(0, 2 * COUNT, 2)),
        "arch_str": list(cells(COUNT)),
        "cifar10": [50.0 + number for number in range(COUNT)],
    }
    return {column: [value if number == place else known for number, known in enumerate(good[column])]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (changed("cifar10", 3, None), "cifar10: expected an accuracy in percent, 0 to 100; 1 of 12 rows .* line 5: 'nan'"),
        (changed("cifar10", 0, "high"), "cifar10: .* line 2: 'high'"),
        (changed("cifar10", 1, 100.5), "cifar10: .* line 3: '100.5'"),
        (changed("cifar10", 1, -1), "cifar10: .* line 3: '-1.0'"),
        (changed("cifar10", 2, float("inf")), "cifar10: .* line 4: 'inf'"),
        (changed("arch_str", 4, "|nor_conv_5x5~0|"), r"arch_str: expected a cell .* 1 of 12 .* line 6: '\|nor_conv_5x5~0\|'"),
        (changed("arch_str", 4, None), "arch_str: expected a cell"),
        (changed("arch_str", 4, cells(COUNT)[0]), "arch_str: expected each architecture once; 1 of 12 .* line 6"),
        (changed("index", 5, 0), "index: expected each index once; 1 of 12 .* line 7: '0'"),
        (changed("index", 5, 1.5), "index: expected a whole number; 1 of 12 .* line 7: '1.5'"),
        (changed("index", 5, -1), "index: expected a whole number"),
    ],
)
def test_a_bad_value_is_refused_with_its_line(tmp_path: Path, changes: dict[str, list[object]], message: str) -> None:
    write_table(tmp_path, COUNT, **changes)
    with pytest.raises(InputError, match=message):
        read_accuracies(tmp_path, "cifar10")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("index,arch_str,cifar10\n1,a,2\n", "missing: cifar100, imagenet16_120"),
        ("index,arch_str,cifar10,cifar100,imagenet16_120\n", "at least one row below the header"),
        ("", "expected a table of accuracies"),
        ('a,b\n"1,2\n3', "expected a table of accuracies"),
    ],
)
def test_a_file_that_is_no_table(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "nb201_accuracies.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_accuracies(tmp_path, "cifar10")
    path.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe\x00")
    with pytest.raises(InputError, match="expected a table of accuracies"):
        read_accuracies(path, "cifar10")
    with pytest.raises(InputError, match="no such file"):
        read_accuracies(tmp_path / "nowhere", "cifar10")


def test_fractions_are_rejected_and_some_among_percents_suspected(tmp_path: Path) -> None:
    write_table(tmp_path, COUNT, cifar10=[number / COUNT for number in range(COUNT)])
    with pytest.raises(InputError, match=r"cifar10: expected accuracies in percent; got fractions, the largest is 0\.9"):
        read_accuracies(tmp_path, "cifar10")
    write_table(tmp_path, COUNT, cifar10=[0.93 if number % 4 == 0 else 93.0 for number in range(COUNT)])
    (said,) = read_accuracies(tmp_path, "cifar10").warnings
    assert f"{len(range(0, COUNT, 4))} of {COUNT} cifar10 accuracies are below chance, 10 percent: are they fractions?" in said


def test_the_rule_decides_who_is_reachable(tmp_path: Path) -> None:
    """A stored cell with a dead edge is in the population of all forms alone, whatever the column says."""
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
    assert not nasbench201.is_reachable(dead)
    write_table(tmp_path, COUNT, **changed("arch_str", 0, dead), reachable=[1] * COUNT)
    reachable = read_accuracies(tmp_path, "cifar10")
    assert len(reachable.table) == COUNT - 1
    assert "1 values of column reachable differ from the rule" in reachable.warnings[0]
    every = read_accuracies(tmp_path, "cifar10", all_forms=True)
    assert len(every.table) == COUNT
    assert every.warnings == ()
    assert every.digest != reachable.digest


def test_the_accuracies_are_those_of_the_dataset(tmp_path: Path) -> None:
    table = write_table(tmp_path, COUNT)
    for dataset in SHAPES:
        population = read_accuracies(tmp_path, dataset)
        assert numpy.allclose(population.table["accuracy"], table[dataset])
    with pytest.raises(InputError, match="expected one of cifar10"):
        read_accuracies(tmp_path, "mnist")


def test_samples_are_the_beginnings_of_one_order(tmp_path: Path) -> None:
    write_table(tmp_path, COUNT)
    population = read_accuracies(tmp_path, "cifar10")
    whole = list(population.draw(None, 7)["index"])
    assert sorted(whole) == list(population.table["index"])
    assert whole != sorted(whole)
    for count in (2, 5, COUNT):
        assert list(population.draw(count, 7)["index"]) == whole[:count]
    assert list(population.draw(None, 8)["index"]) != whole


def test_the_real_table(data_folder: Path) -> None:
    """9,445 reachable cells by rule, as the column has it; 15,625 in all."""
    folder = data_folder / "nasbench201"
    population = read_accuracies(folder, "cifar10")
    assert len(population.table) == 9445
    assert population.warnings == ()
    assert population.table["accuracy"].max() == pytest.approx(94.37, abs=0.005)
    assert len(read_accuracies(folder, "cifar10", all_forms=True).table) == 15625
