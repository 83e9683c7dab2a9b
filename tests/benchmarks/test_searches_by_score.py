"""What searches by scores found, trained: who is trained, what is kept, what the page says."""

from __future__ import annotations

import json
from pathlib import Path

import pandas
import pytest

from benchmarks.trained import searches_by_score
from benchmarks.trained.searches_by_score import COLUMNS, PRESETS, RANDOM, keep, networks, page, verdicts, what
from search.config import loading
from search.engine import driver
from tests.benchmarks.tiny_search import CONFIG
from tests.search.conftest import Notes


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by_score")
    driver.begin(
        loading.parse(CONFIG, ["baseline=true", "finalists.controls=[start, random]"]), folder / "product", view=Notes().view
    )
    (folder / "unfinished").mkdir()
    rows = [("product", "01", "d1", "nsc x naswot: evolution", 40.0, 9.0), ("product", "02", "d2", "", 30.0, 9.0)]
    rows += [
        ("product", RANDOM, "d3", "", 38.5, 9.0),
        (PRESETS, "vit", "d4", "", 24.0, 9.0),
        (PRESETS, "resnet", "d5", "", 36.0, 9.0),
    ]
    pandas.DataFrame(rows, columns=COLUMNS).to_csv(folder / searches_by_score.FILE, index=False)
    return folder


def test_presets_finalists_and_the_best_of_random_search_are_trained(runs: Path) -> None:
    found = [(run, name) for run, name, file in networks(runs) if file.is_file()]
    assert found[:4] == [(PRESETS, name) for name in ("resnet", "efficientnet", "vit", "coatnet")]
    assert found[4:] == [("product", "01"), ("product", "02"), ("product", RANDOM)]


def test_a_search_is_told_in_words(runs: Path) -> None:
    config = loading.load(runs / "product" / "config.yaml", stored=True)
    assert what(config) == "nsc x naswot: evolution, population 4, 6 candidates from resnet, batch 4"


def test_the_page_has_rank_by_score_beside_trained_accuracy(runs: Path) -> None:
    text = page(pandas.read_csv(runs / searches_by_score.FILE, keep_default_na=False), verdicts(runs))
    verdict = json.loads((runs / "product" / "run.json").read_text())["verdict"]
    rank = f"{verdict['place']} of {verdict['networks']}"
    assert f"| nsc x naswot: evolution | {rank} | 40.0 | 35.0 | 38.5 |" in text
    assert "Presets by the same training: resnet 36.0%, vit 24.0%." in text
    ahead = {"product": {"place": 1, "networks": 4}}
    said = page(pandas.read_csv(runs / searches_by_score.FILE, keep_default_na=False), ahead)
    assert "Picks that by their score are ahead of all that they stand among: 40.0%." in said


def test_configurations_are_kept_and_can_be_run_again(runs: Path, tmp_path: Path) -> None:
    keep(runs, tmp_path / "kept")
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["product.yaml", searches_by_score.FILE]
    assert loading.load(tmp_path / "kept" / "product.yaml", stored=True) == loading.load(
        runs / "product" / "config.yaml", stored=True
    )
