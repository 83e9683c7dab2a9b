"""The page of all referees: a heat map, the figures with intervals, and the referees that have no page of their own."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.results.pages import results_pages
from tests.search.bench.page_runs import make_run, make_timm

pytestmark = pytest.mark.xdist_group("results pages")


def estimate(value: float | None) -> dict[str, float | None]:
    return {"value": value, "low": None if value is None else value - 0.05, "high": None if value is None else value + 0.05}


def row(name: str, kendall: float, at_budget: float | None, kind: str = "single") -> dict[str, Any]:
    figures = {metric: estimate(kendall) for metric in ("kendall", "spearman", "ndcg")}
    more = {"networks": 6561, "failed": {}, "seconds": 0.5, "p_value": 0.01, "top": 10}
    return {"proxy": name, "kind": kind, **figures, "at_budget": estimate(at_budget), **more}


def make_referee(
    folder: Path, benchmark: str, dataset: str, population: str, networks: int, *rows: dict[str, Any], **more: Any
) -> Path:
    """A folder with the results of a referee."""
    folder.mkdir(parents=True)
    about = {"benchmark": benchmark, "dataset": dataset, "population": population, "sample": networks, "seed": 0}
    settings = {"batch": 64, "repeats": 1}
    data = {"format": "uninas-bench-results", "version": 1, **about, "settings": settings, "rows": list(rows), **more}
    (folder / "results.json").write_text(json.dumps(data), encoding="utf-8")
    return folder


KINDS = [
    {"family": "gate", "tag": "", "networks": 6, "rows": [row("mine", 0.5, None)]},
    {"family": "mixer", "tag": "", "networks": 8, "rows": [row("mine", 0.7, None), row("flops", 0.1, None)]},
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        make_run(folder / "c10", dataset="cifar10", networks=40),
        make_timm(folder / "timm"),
        make_referee(
            folder / "few", "nasbench_macro", "cifar10", "nasbench_macro", 600, row("flops", 0.1, None), row("snip", 0.4, 0.3)
        ),
        make_referee(folder / "all", "nasbench_macro", "cifar10", "nasbench_macro", 6561, row("flops", 0.556, None)),
        make_referee(folder / "pit", "pit", "c100_kd", "pit", 100, row("flops", 0.695, None), row("forest", 0.99, 0.9, "model")),
        make_referee(
            folder / "mine", "table", "trained", "table", 14, row("flops", 0.165, None), row("mine", 0.9, 0.8), families=KINDS
        ),
        make_referee(folder / "another_one", "table", "trained", "table", 14, row("flops", 0.2, None)),
    ]
    results_pages(runs, folder / "docs")
    return folder / "docs"


def table(text: str, title: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    section = text.split(f"## {title}\n", 1)[1].split("\n##", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|") and not line.startswith("|---")]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


def test_every_proxy_stands_beside_every_referee(out: Path) -> None:
    text = (out / "referees.md").read_text(encoding="utf-8")
    first, *rows = table(text, "Kendall’s τ, with intervals")
    assert first == [
        "proxy",
        "NAS-Bench-201, CIFAR-10 (40)",
        "NAS-Bench-Macro, CIFAR-10 (6,561)",
        "PiT networks, CIFAR-100, distilled (100)",
        "ImageNet networks (timm) (36)",
        "mine (14)",  # tables have the names of their runs, whatever their columns are called
        "another one (14)",
    ]
    found = {row[0]: row[1:] for row in rows}
    assert found["flops"][1] == "0.556 [0.506, 0.606]"  # of the run with most networks
    assert found["snip"][1] == "0.400 [0.350, 0.450] of 600"
    assert found["mine"][:3] == ["–", "–", "–"]
    assert found["mine"][4:] == ["0.900 [0.850, 0.950]", "–"]
    assert "forest" not in found  # a model knows accuracies
    assert rows[0][0] == "mine"  # the largest mean is first


def test_at_equal_budget_what_is_taken_out_has_no_figure(out: Path) -> None:
    text = (out / "referees.md").read_text(encoding="utf-8")
    found = {row[0]: row[1:] for row in table(text, "ρ at equal budget")[1:]}
    assert found["snip"][1] == "0.300 [0.250, 0.350] of 600"
    assert set(found["flops"]) <= {"–", "– of 600"}


def test_a_referee_without_a_page_is_shown_beside_its_papers(out: Path) -> None:
    text = (out / "referees.md").read_text(encoding="utf-8")
    rows = {row[0]: row for row in table(text, "NAS-Bench-Macro, CIFAR-10")}
    assert rows["flops"][-1] == "0.56 inside"
    assert rows["snip"][-1] == "0.50 **below**"
    assert "- `snip`: below the paper’s figure" in text
    assert "- T-CET measured: NAS-Bench-Macro on CIFAR-10" in text
    assert "## ImageNet networks" not in text


def test_families_of_a_table_have_figures_of_their_own(out: Path) -> None:
    first, *rows = table((out / "referees.md").read_text(encoding="utf-8").split("## mine\n")[1], "Kendall’s τ within families")
    assert first == ["proxy", "gate (6)", "mixer (8)"]
    assert {row[0]: row[1:] for row in rows} == {
        "mine": ["0.500 [0.450, 0.550]", "0.700 [0.650, 0.750]"],
        "flops": ["–", "0.100 [0.050, 0.150]"],
    }


def test_pages_that_were_made_before_keep_their_line_in_the_list(out: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Results\n\n- [timm: a title](timm.md): 3 families.\n", encoding="utf-8")
    for name in ("timm", "sampler"):
        (tmp_path / f"{name}.md").write_text("# A page\n", encoding="utf-8")
    results_pages([out.parent / "pit"], tmp_path)
    lines = (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()
    assert "- [timm: a title](timm.md): 3 families." in lines
    assert "- [sampler](sampler.md)" in lines
    assert any(line.startswith("- [Referees: which proxy to trust") for line in lines)


def test_the_picture_is_drawn_and_the_list_names_the_page(out: Path) -> None:
    ElementTree.fromstring((out / "referees.svg").read_text(encoding="utf-8"))
    assert "(referees.md)" in (out / "README.md").read_text(encoding="utf-8")
    assert {path.name for path in out.glob("*.md")} == {"README.md", "nasbench201.md", "timm.md", "referees.md"}
