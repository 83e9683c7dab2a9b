"""The papers' figures: typed right, found by name, compared within their digits."""

import re
from pathlib import Path

import pytest

from search.bench.judging import papers, papers_on_spaces
from search.bench.judging.combined import COMBINATIONS
from search.bench.judging.papers import ABLATIONS, DATASETS, METRICS, Figure, paper_figure, paper_figures, rows_of

ROWS = {
    "flops": "FLOPs",
    "grad_norm": "GradNorm",
    "grasp": "GraSP",
    "snip": "SNIP",
    "synflow": "SynFlow",
    "jacov": "Jacov",
    "naswot": "NASWOT",
    "zen": "ZenNAS",
    "gradsign": "GradSign",
    "zico": "ZiCo",
    "te_nas": "TE-NAS",
    "az_nas": "AZ-NAS",
    "aleph": "No. of trainable layers",
    "vkdnw_single": "VKDNW <sub>single</sub>",
    "vkdnw_agg": "VKDNW <sub>agg</sub>",
    "graf_m": "GRAF",
    "vkdnw_m": "VKDNW <sub>m</sub>",
    "vkdnw_zcs_m": "(VKDNW+ZCS) <sub>m</sub>",
    "vkdnw_zcs_graf_m": "(VKDNW+ZCS+GRAF) <sub>m</sub>",
}


@pytest.fixture(scope="module")
def texts(data_folder) -> Path:
    folder = data_folder.parent / "papers"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there: no text to read the figures again from")
    return folder


@pytest.fixture(scope="module")
def vkdnw(texts) -> list[str]:
    return (texts / "vkdnw_paper.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def t_cet(texts) -> list[str]:
    return (texts / "tcet_paper.txt").read_text(encoding="utf-8").splitlines()


def cells(line: str) -> tuple[float | None, ...]:
    """The cells after the first one that are numbers; a lone dot is an empty one."""
    plain = [re.sub(r"</?b>", "", cell).strip() for cell in line.split("\t")[1:]]
    return tuple(None if cell == "." else float(cell) for cell in plain if re.fullmatch(r"-?\d*\.\d*|\d+", cell))


def until_caption(lines: list[str], caption: str, back: int) -> list[str]:
    end = next(number for number, line in enumerate(lines) if line.startswith(caption))
    return lines[end - back : end]


@pytest.mark.parametrize(("table", "caption"), [(papers._TABLE_I, "TABLE I:"), (papers._TABLE_VI, "TABLE VI:")])
def test_the_large_tables_say_what_the_paper_says(vkdnw, table, caption):
    printed = {line.split("\t")[0]: cells(line) for line in until_caption(vkdnw, caption, 25) if len(line.split("\t")) == 11}
    typed = rows_of(table)
    assert typed.keys() == ROWS.keys()
    for proxy, row in typed.items():
        name = next(one for one in printed if one.startswith(ROWS[proxy]))
        assert printed.pop(name) == row, proxy
    assert not [name for name, row in printed.items() if len(row) == 9]  # nothing is left out


@pytest.mark.parametrize(("table", "caption"), [(papers._TABLE_VII, "TABLE VII:"), (papers._TABLE_VIII, "TABLE VIII:")])
def test_the_small_tables_say_what_the_paper_says(vkdnw, table, caption):
    printed = [cells(line) for line in until_caption(vkdnw, caption, 18)]
    rows = [row for row in printed if len(row) == 3]
    assert list(rows_of(table).values()) == rows[-len(rows_of(table)) :]


def test_batch_size_and_input(vkdnw):
    printed = {}
    for line in until_caption(vkdnw, "TABLE V:", 8):
        if len(row := cells(line)) == 6:
            batch = line.split("\t")[0]
            printed[f"random,{batch}"], printed[f"real,{batch}"] = row[:3], row[3:]
    assert rows_of(papers._TABLE_V) == printed
    assert len(printed) == 10


def test_correlation_with_layers(vkdnw):
    printed = {line.split("\t")[0].lower(): cells(line) for line in until_caption(vkdnw, "TABLE IV:", 6)}
    assert rows_of(papers._TABLE_IV) == {name: row for name, row in printed.items() if len(row) == 3}


def test_subsets_are_all_31_and_their_figures_stand_in_the_papers_order(vkdnw):
    typed = rows_of(papers._TABLE_IX)
    printed = [row for line in until_caption(vkdnw, "TABLE IX:", 35) if len(row := cells(line)) == 3]
    assert list(typed.values()) == printed
    assert len({frozenset(label) for label in typed}) == 31
    assert set("".join(typed)) == set("VJETF")


def test_subsets_agree_with_the_eleven_that_table_iii_marks_clearly(vkdnw):
    typed = {frozenset(label): row for label, row in rows_of(papers._TABLE_IX).items()}
    seen = 0
    for line in until_caption(vkdnw, "TABLE III:", 14):
        parts = line.split("\t")
        if len(row := cells("-\t" + "\t".join(parts[5:]))) == 3:
            marked = frozenset(letter for letter, mark in zip("VJETF", parts, strict=False) if mark == "✓")
            assert typed[marked] == row, marked
            seen += 1
    assert seen == 11


def test_t_cets_table_2(t_cet):
    names = {
        "flops": "FLOPS",
        "params": "#Params",
        "grad_norm": "Grad-Norm",
        "grasp": "GraSP",
        "synflow": "Synflow",
        "snip": "SNIP",
        "zico": "ZiCo",
        "zen": "Zen-Score",
        "naswot": "NASWOT",
        "lnwot": "Lnwot",
        "ssnr_synflow": "Synflow-SNR",
    }
    start = next(number for number, line in enumerate(t_cet) if line.startswith("Benchmark Task"))
    body = t_cet[start : start + 75]
    for proxy, name in names.items():
        line = next(line for line in body if line.split("\t")[0] == name)
        assert cells(line)[:3] == rows_of(papers._TCET_2)[proxy], proxy
    loose = [float(line) for line in body if re.fullmatch(r"0\.\d\d", line)]  # the last three rows, printed by columns
    columns = [tuple(loose[start : start + 3]) for start in range(0, len(loose), 3)]
    last = [rows_of(papers._TCET_2)[proxy] for proxy in ("ssnr_snip", "t_cet_synflow", "t_cet_snip")]
    for column in zip(*last, strict=True):
        assert column in columns


def test_t_cets_tables_1_and_a1(t_cet):
    x = next(line for line in t_cet if "rho_{XA_" in line)
    y = next(line for line in t_cet if "rho_{YA_" in line)
    typed_x = tuple(one.with_saliency[dataset] for one in COMBINATIONS for dataset in DATASETS)
    typed_y = tuple(one.with_lnwot[dataset] for one in COMBINATIONS for dataset in DATASETS)
    assert cells(x) == typed_x
    assert cells(y) == typed_y
    start = next(number for number, line in enumerate(t_cet) if "NATSBe\tench-TSS" in line)
    block = [re.sub(r"\t-?\t?\.59", "\t.59", line) for line in t_cet[start + 2 : start + 6]]
    for line, row in zip(block, rows_of(papers._TCET_A1).values(), strict=True):
        legible = [cell for cell in row if cell is not None]
        assert list(cells(line.replace("\t\t\t", "\t\t"))[: len(legible)]) == legible, line


MACRO_ROWS = {
    "FLOPS": "flops",
    "#Params": "params",
    "NASWOT": "naswot",
    "Lnwot": "lnwot",
    "Synflow": "synflow",
    "SNIP": "snip",
    "Synflow-SNR": "ssnr_synflow_log",
    "SNIP-SNR": "ssnr_snip_log",
    "T-CET(Synflow)": "t_cet_synflow_log",
    "T-CET(SNIP)": "t_cet_snip_log",
}


def test_nasbench_macro_is_the_last_column_of_table_3(t_cet):
    start = next(number for number, line in enumerate(t_cet) if line.startswith("Table 3"))
    found = {}
    for line in t_cet[start + 2 : start + 19]:
        name, _, last = re.sub(r"</?b>", "", line).split("\t")[-3:]  # behind NATS-Bench-SSS: a proxy, BLOX, NB-Macro
        if name in MACRO_ROWS:
            found[MACRO_ROWS[name]] = float(last)
    assert found == {name: paper_figure(name, "cifar10", "kendall", papers.MACRO).value for name in rows_of(papers._TCET_3)}
    assert set(found) == set(MACRO_ROWS.values())


SPACE_ROWS = {name: proxy.removesuffix("_log") for name, proxy in MACRO_ROWS.items()} | {"ZiCo": "zico"}


def test_blox_is_the_column_before_it(t_cet):
    start = next(number for number, line in enumerate(t_cet) if line.startswith("Table 3"))
    found = {}
    for line in t_cet[start + 2 : start + 19]:
        name, figure, _ = re.sub(r"</?b>", "", line).split("\t")[-3:]
        if name in MACRO_ROWS:
            found[SPACE_ROWS[name]] = float(figure)
    assert found == {name: row[0] for name, row in rows_of(papers_on_spaces.TABLE_3).items()}
    assert paper_figure("snip", "cifar100", "kendall", "blox") == Figure(-0.35, "T-CET", "Table 3", digits=2)


def test_transnas_is_the_first_three_columns_of_table_4(t_cet):
    start = next(number for number, line in enumerate(t_cet) if line.startswith("Table 4"))
    lines = [line for line in t_cet[start : start + 16] if line.split("\t")[0] in SPACE_ROWS]
    found = {SPACE_ROWS[line.split("\t")[0]]: cells(line)[:3] for line in lines}
    assert found == rows_of(papers_on_spaces.TABLE_4)
    assert paper_figure("t_cet_snip", "jigsaw", "kendall", "transnas_micro") == Figure(0.41, "T-CET", "Table 4", digits=2)


def test_a_figure_is_found_by_proxy_dataset_metric_and_population():
    found = paper_figure("vkdnw_agg", "imagenet16_120", "ndcg", "reachable")
    assert found == Figure(0.664, "VKDNW", "Table I")
    assert found.source == "VKDNW, Table I"
    assert paper_figure("t_cet_snip", "cifar10", "kendall", "all_forms") == Figure(0.69, "T-CET", "Table 2", digits=2)
    assert [one.paper for one in paper_figures("synflow", "cifar10", "kendall", "all_forms")] == ["VKDNW", "T-CET"]
    assert paper_figure("t_cet_snip", "cifar10", "kendall", "reachable") is None
    assert paper_figure("gradsign", "cifar10", "kendall", "reachable") is None  # the paper prints its SPR only
    assert paper_figure("gradsign", "cifar10", "spearman", "reachable") is not None
    assert paper_figure("expressivity", "imagenet16_120", "kendall", "reachable") == Figure(0.588, "VKDNW", "Table IX")


def test_an_interval_is_compared_within_the_printed_digits():
    figure = Figure(0.65, "T-CET", "Table 2", digits=2)
    assert figure.place(0.60, 0.70) == "inside"
    assert figure.place(0.6549, 0.70) == "inside"  # .6549 is printed as .65
    assert figure.place(0.6551, 0.70) == "above"
    assert figure.place(0.60, 0.6449) == "below"
    assert Figure(0.65, "VKDNW", "Table I").place(0.6549, 0.70) == "above"


def test_every_ablation_names_its_source_and_its_figures():
    for name, ablation in ABLATIONS.items():
        columns = DATASETS if ablation.by_dataset else METRICS
        assert ablation.rows, name
        for label, row in ablation.rows.items():
            assert set(row) <= set(columns), (name, label)
            assert all(-1 < value < 1 for value in row.values())
    assert ABLATIONS["weights"].figure("per_layer=2", "kendall") == Figure(0.634, "VKDNW", "Table VIII")
    assert ABLATIONS["ssnr_log"].figure("ssnr_snip_log", "cifar100") is None
