"""Tables of accuracies: what is refused, what is said, what is drawn."""

from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from search.bench.benchmarks.nasbench201 import PUBLISHED, SHAPES, published_scores, read_accuracies
from tests.amounts import amount
from tests.search.bench.fakes import cells, write_table
from uninas.errors import InputError
from uninas.files.tables import read_numbers
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


def test_fractions_are_rejected(tmp_path: Path) -> None:
    write_table(tmp_path, COUNT, cifar10=[number / COUNT for number in range(COUNT)])
    with pytest.raises(InputError, match=r"cifar10: expected accuracies in percent; got fractions, the largest is 0\.9"):
        read_accuracies(tmp_path, "cifar10")


def test_fractions_beside_percent_are_suspected(tmp_path: Path) -> None:
    """A merge of two files; chance itself, which NAS-Bench-201 has in hundreds of rows, is no reason for doubt."""
    for dataset, chance in (("cifar10", 10.0), ("cifar100", 1.0), ("imagenet16_120", 0.8333)):
        good = [chance, *(50.0 + number for number in range(COUNT - 1))]
        write_table(tmp_path, COUNT, **{dataset: good})
        assert read_accuracies(tmp_path, dataset).warnings == ()
        write_table(
            tmp_path, COUNT, **{dataset: [value / 100 if number in (3, 5) else value for number, value in enumerate(good)]}
        )
        warning = read_accuracies(tmp_path, dataset).warnings[0]
        assert f"2 of 12 {dataset} accuracies are below chance" in warning
        assert "the first is line 5: 0.52: are these fractions" in warning


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize(("separator", "decimal"), [(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ",")])
def test_tables_of_other_programs(tmp_path: Path, separator: str, decimal: str, start: str) -> None:
    table = write_table(tmp_path, COUNT)
    expected = read_accuracies(tmp_path, "cifar10")
    path = tmp_path / "other.csv"
    path.write_text(start + table.to_csv(index=False, sep=separator, decimal=decimal), encoding="utf-8")
    found = read_accuracies(path, "cifar10")
    assert numpy.allclose(found.table["accuracy"], expected.table["accuracy"])
    assert found.digest == expected.digest
    numbers = tmp_path / "numbers.csv"
    numbers.write_text(start + table[["index", "cifar10"]].to_csv(index=False, sep=separator, decimal=decimal), encoding="utf-8")
    assert read_numbers(numbers) == table[["index", "cifar10"]].to_dict("records")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda line: line + ",7", "expected a table of accuracies .*; 5 cells in each row, .*; 12 of 12 .* line 2 with 6$"),
        (lambda line: line.rsplit(",", 1)[0], "; 5 cells in each row, as in the header; 12 of 12 rows .* line 2 with 4$"),
        (lambda line: line.replace(".", ","), "; 5 cells in each row"),
    ],
)
def test_rows_of_another_length_are_no_shifted_columns(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    write_table(tmp_path, COUNT)
    path = tmp_path / "nb201_accuracies.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *map(change, rows)]))
    with pytest.raises(InputError, match=message):
        read_accuracies(tmp_path, "cifar10")
    path.write_text("\n".join([head + ",cifar10", *(row + ",1" for row in rows)]))
    with pytest.raises(InputError, match="each column once; got cifar10 twice"):
        read_accuracies(tmp_path, "cifar10")


def test_published_scores_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / PUBLISHED
    path.write_text("index,c10_synflow\n0,1.5\n2,\n")
    found = published_scores(tmp_path, "cifar10")
    assert found is not None
    assert found.table["c10_synflow"].isna().tolist() == [False, True]
    wrong = {"0,high": "c10_synflow: expected numbers", "x,1": "index: expected numbers", "2,1": "each index once"}
    for text, message in wrong.items():
        path.write_text(f"index,c10_synflow\n2,1.5\n{text}\n")
        with pytest.raises(InputError, match=message):
            published_scores(tmp_path, "cifar10")


CELLS = ("", "high", "nan", "inf", "-5", "1e400", "0x10", "True", "93,25", "100.01", '"', "\0", "9" * 30)


def mutated(lines: list[str], stream: numpy.random.Generator) -> None:
    """Damage a cell, a row or the header, as merges, programs and hands do."""
    place, kind = int(stream.integers(len(lines))), int(stream.integers(6))
    cells = lines[place].split(",")
    column = int(stream.integers(3))
    if kind == 0:
        lines.insert(place, lines[place])
    elif kind == 1:
        del cells[column]
    elif kind == 2:
        cells.insert(column, "7")
    elif kind == 3 and place:
        cells[2] = str(float(cells[2]) / 100)  # another unit
    else:
        cells[column] = CELLS[int(stream.integers(len(CELLS)))]
    lines[place] = ",".join(cells)


def test_no_mutation_of_a_table_changes_a_result_in_silence(tmp_path: Path) -> None:
    """Each is rejected in one line, or reads as before, or is warned of."""
    write_table(tmp_path, COUNT)
    path = tmp_path / "nb201_accuracies.csv"
    good, expected = path.read_text(), read_accuracies(tmp_path, "cifar10").table
    stream, ends = numpy.random.default_rng(0), {"rejected": 0, "warned": 0, "same": 0}
    for number in range(amount(400)):
        lines = good.splitlines()
        for _ in range(number % 3):
            if len({line.count(",") for line in lines}) == 1:
                mutated(lines, stream)
        start = "\ufeff" if number % 2 else ""
        path.write_text(start + "\n".join(lines).replace(",", ";" if number % 5 == 0 and '"' not in "".join(lines) else ","))
        try:
            found = read_accuracies(path, "cifar10")
        except InputError as error:
            one_line(error)
            ends["rejected"] += 1
            continue
        same = found.table.shape == expected.shape and found.table.equals(expected)
        assert same or found.warnings, lines
        ends["same" if same else "warned"] += 1
    assert all(ends.values()), ends


def one_line(error: InputError) -> None:
    assert "\n" not in str(error)
    assert "expected " in str(error)


def test_damaged_bytes_of_a_table_end_in_one_line(tmp_path: Path) -> None:
    write_table(tmp_path, COUNT)
    path = tmp_path / "nb201_accuracies.csv"
    good, stream, rejected = path.read_bytes(), numpy.random.default_rng(1), 0
    for number in range(amount(200)):
        some = bytearray(good)
        for place in stream.integers(len(some), size=1 + number % 3):
            some[place] = int(stream.integers(256))
        path.write_bytes(bytes(some[: int(stream.integers(len(some)))]) if number % 5 == 0 else bytes(some))
        try:
            read_accuracies(path, "cifar10")
        except InputError as error:
            one_line(error)
            rejected += 1
    assert rejected > amount(200) // 2


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
