"""The HTML page of a bench run: everything that was measured stands on it, what was not is said, and it stands alone."""

import json
import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from search.bench.judging.combined import COMBINATIONS
from search.bench.page import write_page
from search.bench.page.charts import _axis
from search.bench.page.data import read_bench
from search.bench.page.derived import combinations, order_by_likeness, toy
from tests.search.bench.page_runs import AGGREGATE, SINGLE, make_ablation, make_run, make_timm
from tests.search.report.html_pages import Page
from uninas import InputError

# In one process, so that the page is made once.
pytestmark = pytest.mark.xdist_group("bench page")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("bench") / "imagenet")


@pytest.fixture(scope="module")
def page(run) -> str:
    return write_page(run).read_text(encoding="utf-8")


def changed(run: Path, folder: Path, change, scores: bool = False) -> Path:
    """A copy of a run whose results.json is changed; with its scores or without."""
    folder.mkdir()
    data = json.loads((run / "results.json").read_text())
    change(data)
    (folder / "results.json").write_text(json.dumps(data))
    if scores:
        (folder / "scores.csv").write_text((run / "scores.csv").read_text())
    return folder


class Words(Page):
    """Visible words by section, and cells of table rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.section = "head"
        self.sections: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if tag == "section":
            self.section = dict(attrs)["id"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.sections[self.section] = self.sections.get(self.section, "") + data
            if self.rows and ("td" in self.open or "th" in self.open):
                self.rows[-1][-1] = " ".join((self.rows[-1][-1] + " " + data).split())

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == name)


def test_the_page_is_well_formed_and_needs_nothing_but_itself(page):
    words = Words(page)
    assert words.open == []
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "url(http" not in page
    for svg in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_every_row_stands_in_the_table_with_interval_and_paper(run, page):
    words = Words(page)
    for row in json.loads((run / "results.json").read_text())["rows"]:
        kendall = row["kendall"]
        cell = words.row(row["proxy"])[1]
        shown = f"{kendall['value']:.3f} [{kendall['low']:.3f}, {kendall['high']:.3f}]".replace("-", "−")
        assert cell.startswith(shown), row["proxy"]
    assert words.row("vkdnw_agg")[1].endswith("◆ 0.743 below")
    assert "◆" not in words.row("ntk_condition")[1]
    assert words.row("vkdnw_zcs_graf_m")[2] == "not measured ◆ 0.963"


def test_the_tally_counts_each_comparison_once(run, page):
    bench = read_bench(run)
    inside, above, below = map(int, re.search(r"(\d+) lie inside our interval; .* above (\d+) and below (\d+)", page).groups())
    compared = [row for row in bench.rows for metric in row.papers if metric in row.metrics]
    assert inside + above + below == len(compared) > 30
    assert below > 0


def test_rows_are_sorted_by_kendall_within_their_kind(page):
    words = Words(page)
    names = [row[0] for row in words.rows if row and row[0] in AGGREGATE]
    taus = [float(words.row(name)[1].split()[0]) for name in names[:3]]
    assert taus == sorted(taus, reverse=True)
    assert page.index("Aggregates of ranks") < page.index("Single proxies") < page.index("Random forests")


def test_scatter_plots_show_every_score_and_no_decile(page):
    chart = re.search(r'<svg role="img" aria-label="Score against.*?</svg>', page, flags=re.DOTALL).group()
    for name in (*SINGLE, *AGGREGATE):
        assert f">{name} " in chart, name
    assert "decile" not in chart


def test_an_axis_is_raw_logarithmic_or_rank_as_the_scores_demand():
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(500)
    assert _axis(normal)[1] == "raw"
    assert _axis(np.exp(4 * normal))[1] == "log"
    hopeless = np.where(np.arange(500) < 5, -1e9, normal)
    values, kind = _axis(hopeless)
    assert kind == "rank"
    assert sorted(values) == [3.0] * 5 + list(range(6, 501))  # ties share their average rank


def test_the_toy_example_is_computed(page):
    damaged, perfect = toy()
    assert (damaged.name, perfect.name) == ("damaged_top", "perfect_top")
    assert damaged.values["ndcg"] == pytest.approx(0.5, abs=0.001)
    assert perfect.values["ndcg"] == 1
    assert damaged.values["kendall"] == pytest.approx(37 / 45)
    assert damaged.values["kendall"] > perfect.values["kendall"]
    assert damaged.p_values["kendall"] < 0.005  # footnote 3 of the paper
    assert 0.15 < damaged.p_values["ndcg"] < 0.35  # footnote 4: about the 75th percentile of random rankings
    assert Words(page).row("damaged_top")[1] == "0.822"


def test_combinations_are_measured_on_the_scores_beside_the_papers(run):
    bench = read_bench(run)
    found = combinations(bench)
    assert [one.paper for one in found] == list(COMBINATIONS)
    averages = [one for one in found if one.paper.combination == "rank_average"]
    assert all(0.3 < one.with_saliency.low < one.with_saliency.high < 0.9 for one in averages)
    products = [one for one in found if one.paper.combination == "t_cet"]
    assert all(one.with_lnwot.value < average.with_lnwot.value for one, average in zip(products, averages, strict=True))


def test_a_combination_that_is_its_part_keeps_all_of_it(run, tmp_path):
    copy = changed(run, tmp_path / "copy", lambda data: None, scores=True)
    table = read_bench(copy).scores
    table["t_cet_snip"] = table["ssnr_snip"]
    table.to_csv(copy / "scores.csv", index=False)
    one = next(one for one in combinations(read_bench(copy)) if one.paper.combination == "t_cet" and "snip" in one.paper.saliency)
    assert one.with_saliency.value == pytest.approx(1.0)


def test_the_heat_map_has_a_number_for_every_pair(run, page):
    bench = read_bench(run)
    section = page[page.index('id="partial"') : page.index("What a combination keeps")]
    rows = {row[0]: row[1:] for row in Words(section).rows if row}
    assert set(rows) - {""} == set(bench.names)
    assert all(len(cells) == len(bench.names) for name, cells in rows.items() if name)
    assert sum(cell == "" for name, cells in rows.items() if name for cell in cells) == len(bench.names)  # the diagonal


def test_proxies_that_correlate_stand_together():
    matrix = np.full((4, 4), 0.1)
    matrix[0, 3] = matrix[3, 0] = 0.9
    matrix[1, 2] = matrix[2, 1] = 0.8
    order = order_by_likeness(tuple(map(tuple, matrix)))
    assert sorted(order) == [0, 1, 2, 3]
    assert abs(order.index(0) - order.index(3)) == 1
    assert abs(order.index(1) - order.index(2)) == 1


def test_failures_time_and_agreement_are_stated(page):
    words = Words(page)
    timed = [row for row in words.rows if row and row[0] == "lnwot"][-1]
    assert timed[-1] == "3 × no layer with a binary code"
    assert timed[1] == "0.338"
    assert "0.980 [0.970, 0.990]" in words.sections["agreement"]


def test_what_was_not_measured_is_said(run, tmp_path):
    def strip(data):
        for key in ("partial", "agreement", "environment", "settings"):
            del data[key]
        for row in data["rows"]:
            for key in ("p_value", "failed", "seconds", "top", "networks", "ndcg"):
                row.pop(key, None)

    sections = Words(write_page(changed(run, tmp_path / "bare", strip)).read_text(encoding="utf-8")).sections
    for name in ("table", "scatter", "partial", "agreement", "time"):
        assert "not measured" in sections[name], name
    assert "none recorded" in sections["settings"]


def test_a_run_without_rows_has_a_page(run, tmp_path):
    page = write_page(changed(run, tmp_path / "empty", lambda data: data.update(rows=[]))).read_text(encoding="utf-8")
    assert "the run has no results yet" in page


def test_numbers_that_do_not_exist_are_dashes(run, tmp_path):
    def blank(data):
        data["rows"][0]["kendall"] = {"value": None, "low": None, "high": None}
        data["rows"][1]["kendall"].update(low=None, high=None)
        data["partial"]["matrix"][0][1] = None

    copy = changed(run, tmp_path / "holes", blank)
    bench = read_bench(copy)
    assert math.isnan(bench.row("vkdnw_single").metrics["kendall"].value)
    assert bench.rows[-1].name == "vkdnw_single"  # unmeasured comes last
    assert bench.row("flops").place("kendall") == ""
    page = write_page(copy).read_text(encoding="utf-8")
    assert not re.search(r"\bnan\b", page, flags=re.IGNORECASE)
    assert Words(page).row("vkdnw_single")[1].startswith("not measured")


def test_a_name_cannot_break_the_page(run, tmp_path):
    def spoil(data):
        data["rows"][0]["proxy"] = data["partial"]["names"][0] = '<b onclick="x">&'
        data["rows"][0]["failed"] = {"<script>alert(1)</script>": 2}

    page = write_page(changed(run, tmp_path / "spoilt", spoil)).read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b onclick" not in page
    assert Words(page).open == []


def test_families_of_timm_have_a_map_and_a_table_each(tmp_path):
    page = write_page(make_timm(tmp_path / "timm")).read_text(encoding="utf-8")
    words = Words(page)
    assert words.open == []
    assert words.row("params")[1].startswith("0.800 [0.600, 0.950]")
    assert "regnet.a1_in1k (12)" in words.sections["families"]
    shown = [row for row in words.rows if row[:1] == ["params"] and len(row) == 4 and "[" not in row[1]]
    assert shown == [["params", "0.90", "0.75", "0.60"]]
    assert "Toy example" not in page
    for family in ("regnet", "vit", "resnet"):
        assert f">{family}</text>" in page  # the legend's colours


def test_an_ablation_stands_beside_its_paper_in_the_papers_order(tmp_path):
    page = write_page(make_ablation(tmp_path / "fim")).read_text(encoding="utf-8")
    words = Words(page)
    labels = [row[0] for row in words.rows if len(row) == 4][1:]
    assert labels == ["8", "16", "32", "64", "128", "256"]
    assert words.row("128")[3] == "0.621 [0.591, 0.651] ◆ 0.611 inside"
    assert "Table VII" in page


def test_an_ablation_by_dataset_finds_the_figure_of_its_dataset(tmp_path):
    folder = make_ablation(tmp_path / "aleph", "aleph", "cifar100")
    row = read_bench(folder).row("vkdnw")
    assert row.papers["kendall"][0].value == -0.090
    assert "spearman" not in row.papers


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "expected the folder of a bench run"),
        ("{", "expected the results of a bench"),
        ("[]", "expected the results of a bench"),
        ('{"benchmark": "nasbench201"}', "no 'rows'"),
        ('{"rows": [{"kind": "single"}]}', "no 'proxy'"),
        ('{"rows": [], "partial": {"names": ["a", "b"], "matrix": [[1, 0]]}}', "2 names need a matrix"),
    ],
)
def test_what_is_no_bench_run_is_refused_by_name(tmp_path, text, says):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(str(tmp_path))) as refused:
        write_page(tmp_path)
    assert says in str(refused.value)
    assert not (tmp_path / "report.html").exists()


def test_scores_without_accuracies_are_refused(run, tmp_path):
    copy = changed(run, tmp_path / "copy", lambda data: None)
    (copy / "scores.csv").write_text("network,flops\na,1\n")
    with pytest.raises(InputError, match="missing: accuracy"):
        write_page(copy)


def test_the_same_run_gives_the_same_page(run, page):
    assert write_page(run).read_text(encoding="utf-8") == page
