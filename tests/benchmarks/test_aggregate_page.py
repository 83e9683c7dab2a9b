"""The page of a choice: the figures of the half that did not choose, beside those of the reference, and what was tried."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.results.pages import results_pages
from search.bench.choosing.choice import Choice, Split, Tried
from search.bench.judging.aggregates import Comparison
from search.ranking.correlation import METRICS, Estimate
from tests.search.bench.page_runs import make_timm
from uninas import InputError

DATASETS = ("cifar10", "imagenet16_120")


def figures(gain: float, where: tuple[str, ...] = DATASETS) -> tuple[Comparison, ...]:
    """Comparisons whose difference is `gain`, its interval .03 to either side, on the last dataset .01."""
    made = []
    for place, name in enumerate(where):
        half = 0.01 if place else 0.03
        for metric in METRICS:
            difference = Estimate(gain, gain - half, gain + half)
            made.append(Comparison(name, metric, Estimate(0.7 + gain, 0.6, 0.8), Estimate(0.7, 0.65, 0.75), difference, half / 2))
    return tuple(made)


def choice(networks: int = 100, timm: bool = True, splits: bool = True) -> Choice:
    other = Tried(("flops", "zico"), figures(0.01), figures(-0.02))
    return Choice(
        settings={
            "runs": {name: f"run-{name}" for name in DATASETS},
            "timm": None,
            "reference": "vkdnw_agg",
            "components": ["jacov"],
            "left_out": {"params": "orders as flops"},
            "largest": 2,
            "sets": 1234,
            "shortlist": 119,
            "shortlist_resamples": 100,
            "seed": 4,
            "resamples": 1000,
            "networks": networks,
            "population": "reachable",
            "chosen_on": networks // 2,
            "reported_on": networks - networks // 2,
            "top": 5,
            "batch": {"cifar10": 64},
            "probes": {"cifar10": None},
        },
        explanation="One sentence. And another.",
        chosen=Tried(("vkdnw_single", "jacov"), figures(0.03), figures(0.02)),
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
    assert "| CIFAR-10 | Kendall’s τ | 0.720 [0.600, 0.800] | 0.700 [0.650, 0.750] | 0.020 [−0.010, 0.050] |" in text
    assert "| ImageNet16-120 | nDCG | 0.720 [0.600, 0.800] | 0.700 [0.650, 0.750] | **0.020 [0.010, 0.030]** |" in text
    assert (
        "better than `vkdnw_agg` with 95 % confidence on 3 of 6 figures and worse on 0; the difference is positive on 6." in text
    )
    assert "One sentence. And another." in text


def test_what_was_tried_is_shown_with_what_it_is_worth(text: str) -> None:
    rows = [line for line in text.splitlines() if line.startswith("| `flops` × `zico`")]
    assert rows == ["| `flops` × `zico` | 0.67 | 0 of 6 | 3 | −0.020 | −0.020 | −0.020 |"]
    assert "| **`vkdnw_single` × `jacov`** | 2.00 | 3 of 6 | 0 | 0.020 |" in text
    assert "all 1,234 sets" in text


def test_stability_and_families(text: str) -> None:
    assert "| 5 | `flops` × `zico` | 0 of 6 | 3 |" in text
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
    results_pages([write(tmp_path / "choice", timm=False, splits=False)], tmp_path / "out")
    text = (tmp_path / "out" / "aggregate.md").read_text(encoding="utf-8")
    assert "Not measured: no run of timm was given." in text
    assert "Not measured: no further splits were asked for." in text
    assert "mean of families" not in (tmp_path / "out" / "aggregate.svg").read_text(encoding="utf-8")


def test_two_choices_the_one_from_most_networks_first(tmp_path: Path) -> None:
    results_pages([write(tmp_path / "small", networks=40), write(tmp_path / "large")], tmp_path / "out")
    text = (tmp_path / "out" / "aggregate.md").read_text(encoding="utf-8")
    assert text.index("Chosen on 50 networks") < text.index("Chosen on 20 networks")
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
