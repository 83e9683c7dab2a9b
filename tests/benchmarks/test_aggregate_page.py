"""The page of a choice: the figures of the half that did not choose, beside those of the reference, and what was tried."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.results.pages import results_pages
from search.bench.choosing.choice import Choice, Split, Tried
from search.bench.choosing.criterion import ALL
from search.bench.judging.aggregates import METRICS, Comparison
from search.ranking.correlation import Estimate
from tests.search.bench.page_runs import make_timm
from uninas import InputError

REFEREES = ("nasbench201/cifar10", "nasbench201/imagenet16_120", "pit/c100_kd")


def figures(gain: float, where: tuple[str, ...] = REFEREES) -> tuple[Comparison, ...]:
    """Comparisons whose difference is `gain`, its interval .03 to either side, behind the first one .01."""
    made = []
    for place, name in enumerate(where):
        half = 0.01 if place else 0.03
        for metric in METRICS:
            difference = Estimate(gain, gain - half, gain + half)
            made.append(Comparison(name, metric, Estimate(0.7 + gain, 0.6, 0.8), Estimate(0.7, 0.65, 0.75), difference))
    return tuple(made)


def choice(networks: int = 100, timm: bool = True, splits: bool = True, costs: bool = True) -> Choice:
    price: dict[str, Any] = {"cost": 0.25, "costs": dict(zip(REFEREES, (0.2, 0.3, 0.125), strict=True))} if costs else {}
    chosen = Tried(("vkdnw_single", "jacov"), 2.0, figures(0.03), figures(0.02, (*REFEREES, ALL)), **price)
    other = Tried(("flops", "zico"), 0.666, figures(0.01), figures(-0.02, (*REFEREES, ALL)))
    single = Tried(("nsc",), 0.3, figures(0.01), figures(0.01), **({"cost": 0.001} if costs else {}))
    return Choice(
        settings={
            "runs": {name: f"run-{name}" for name in REFEREES},
            "sets": {"nasbench201": list(REFEREES[:2]), REFEREES[2]: [REFEREES[2]]},
            "timm": None,
            "reference": "vkdnw_agg",
            "components": ["jacov"],
            "left_out": {"params": "orders as flops"},
            "largest": 2,
            "cost": None,
            "deciding": ["kendall", "ndcg"],
            "candidates": 1234,
            "shortlist": 119,
            "shortlist_resamples": 100,
            "seed": 4,
            "resamples": 1000,
            "networks": {"nasbench201": networks, REFEREES[2]: 20},
            "chosen_on": {"nasbench201": networks // 2, REFEREES[2]: 10},
            "reported_on": {"nasbench201": networks - networks // 2, REFEREES[2]: 10},
            "weights": {metric: {"nasbench201": 0.75, REFEREES[2]: 0.25} for metric in ("kendall", "ndcg")},
            "spread": {"kendall": 0.05, "ndcg": 0.0625},
            "top": dict(zip(REFEREES, (5, 5, 1), strict=True)),
            "population": dict.fromkeys(REFEREES, "reachable"),
            "batch": dict.fromkeys(REFEREES, 64),
            "probes": dict.fromkeys(REFEREES),
        },
        explanation="One sentence. And another.",
        chosen=chosen,
        single=single,
        frontier=(single, chosen) if costs else (),
        sizes=(single, chosen),
        runners_up=(other,),
        splits=(Split(5, other),) if splits else (),
        families={"regnet.a": 12} if timm else {},
        within=figures(-0.04, ("regnet.a",)) if timm else (),
        mean=figures(-0.05, ("mean",)) if timm else (),
        environment={"numpy": "2"},
    )


def write(folder: Path, **options: Any) -> Path:
    folder.mkdir(parents=True)
    choice(**options).write(folder)
    return folder


@pytest.fixture
def text(tmp_path: Path) -> str:
    results_pages([write(tmp_path / "choice"), make_timm(tmp_path / "timm")], tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("*.md")} == {"README.md", "timm.md", "aggregate.md"}
    return (tmp_path / "out" / "aggregate.md").read_text(encoding="utf-8")


def test_the_figures_are_those_of_the_half_that_did_not_choose(text: str) -> None:
    figures = "| 0.720 [0.600, 0.800] | 0.700 [0.650, 0.750] |"
    assert f"| NAS-Bench-201, CIFAR-10 | Kendall’s τ {figures} 0.020 [−0.010, 0.050] |" in text
    assert f"| NAS-Bench-201, ImageNet16-120 | nDCG {figures} **0.020 [0.010, 0.030]** |" in text
    assert f"| PiT networks, CIFAR-100, distilled | ρ at equal budget {figures} **0.020 [0.010, 0.030]** |" in text
    assert f"| mean of the sets of networks | Kendall’s τ {figures} **0.020 [0.010, 0.030]** |" in text
    assert (
        "better than `vkdnw_agg` with 95 % confidence on 12 of 16 figures and worse on 0; the difference is positive on" in text
    )
    assert "Chosen on half of the networks (50 of NAS-Bench-201; 10 of PiT networks, CIFAR-100, distilled); on the other" in text
    assert "One sentence. And another." in text


def test_what_was_tried_is_shown_with_what_it_is_worth(text: str) -> None:
    rows = [line for line in text.splitlines() if line.startswith("| `flops` × `zico`")]
    assert rows == ["| `flops` × `zico` | 0.67 | 0 of 16 | 12 | −0.020 | −0.020 | −0.020 | −0.020 |"]
    assert "| **`vkdnw_single` × `jacov`** | 2.00 | 12 of 16 | 0 | 0.020 |" in text
    assert "all 1,234 sets" in text
    assert "| Kendall’s τ | 0.050 | 75% | 25% |" in text


def test_what_it_costs(text: str) -> None:
    assert "takes at most 0.25 CPU-seconds a network where it is dearest, the best single score, `nsc`, at most 0.001" in text
    assert "| NAS-Bench-201, ImageNet16-120 | 0.3 |" in text
    assert text.count("| `nsc` | 0.001 | 0.30 | 0 of 12 | 0 |") == 2


def test_stability_and_families(text: str) -> None:
    assert "| 5 | `flops` × `zico` | 0 of 16 | 12 |" in text
    assert re.search(r"of splits, of 2, that chose each component: (`\w+` 1(, )?){4}\.", text)
    assert "| mean of families | Kendall’s τ | 0.650" in text
    assert "| regnet.a (12) | nDCG | 0.660" in text
    assert "(('aleph', 'vkdnw'), ('jacov',))" in text


def test_the_picture_stands_alone(tmp_path: Path) -> None:
    results_pages([write(tmp_path / "choice")], tmp_path / "out")
    picture = (tmp_path / "out" / "aggregate.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(picture)
    assert "var(--" not in picture
    assert "timm, mean of families" in picture
    assert "ImageNet16-120" in picture


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    results_pages([write(tmp_path / "choice", timm=False, splits=False, costs=False)], tmp_path / "out")
    text = (tmp_path / "out" / "aggregate.md").read_text(encoding="utf-8")
    assert "Not measured: no run of timm was given." in text
    assert "Not measured: no further splits were asked for." in text
    assert "Not measured: no run has the seconds of its scores." in text
    assert "mean of families" not in (tmp_path / "out" / "aggregate.svg").read_text(encoding="utf-8")


def test_two_choices_the_one_from_most_networks_first(tmp_path: Path) -> None:
    results_pages([write(tmp_path / "small", networks=40), write(tmp_path / "large")], tmp_path / "out")
    text = (tmp_path / "out" / "aggregate.md").read_text(encoding="utf-8")
    assert text.index("(50 of NAS-Bench-201;") < text.index("(20 of NAS-Bench-201;")
    assert (tmp_path / "out" / "aggregate_1.svg").is_file()


def test_remarks(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.toml").write_text('[aggregate]\npage = "A word."\njacov = "of one batch"\nzen = "not chosen"\n')
    results_pages([write(tmp_path / "choice")], tmp_path / "out")
    text = (tmp_path / "out" / "aggregate.md").read_text(encoding="utf-8")
    assert "A word." in text
    assert "- `jacov`: of one batch" in text
    assert "not chosen" not in text


def test_a_broken_choice_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "choice")
    data = json.loads((folder / "choose.json").read_text())
    del data["chosen"]["second"]
    (folder / "choose.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="no 'second'"):
        results_pages([folder], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_choice_of_before_is_refused_by_its_version(tmp_path: Path) -> None:
    folder = write(tmp_path / "choice")
    data = json.loads((folder / "choose.json").read_text())
    (folder / "choose.json").write_text(json.dumps({**data, "version": 1}))
    with pytest.raises(InputError, match="got version 1: choose again"):
        results_pages([folder], tmp_path / "out")
