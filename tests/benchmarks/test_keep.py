"""Runs kept with the repository: what pages and choices read of them is there, and no place on the machine that made them."""

import json
from pathlib import Path

import pandas
import pytest

from benchmarks.results import __main__ as command
from benchmarks.results import keep
from benchmarks.results.pages import results_pages
from search.bench.page.data import read_bench
from search.bench.scoring.settings import Settings
from tests.search.bench.page_runs import make_run
from uninas.errors import InputError

pytestmark = pytest.mark.xdist_group("results pages")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("runs") / "c10", dataset="cifar10", networks=40)
    pictures = {"folder": "/home/somebody/cifar10/train", "files": ["cat/1.png"], "labels": [0], "digest": "d"}
    settings = Settings("nasbench201", "cifar10", "reachable", "digest", ("flops",), pictures=pictures)
    settings.write(folder)
    (folder / "run.json").write_text(json.dumps({"revisions": {"flops": 2}}), encoding="utf-8")
    (folder / "journal.jsonl").write_text("{}\n", encoding="utf-8")
    return folder


def test_a_kept_run_is_read_as_the_run_is(run: Path, tmp_path: Path) -> None:
    kept = keep.keep(run, tmp_path / "kept")
    ours, theirs = read_bench(kept), read_bench(run)
    assert ours.rows == theirs.rows
    assert ours.scores is not None
    pandas.testing.assert_frame_equal(ours.scores, theirs.scores)
    assert json.loads((kept / "run.json").read_text())["revisions"] == {"flops": 2}
    assert not (kept / "journal.jsonl").exists()


def test_where_the_images_lay_is_not_kept_and_which_they_were_is(run: Path, tmp_path: Path) -> None:
    kept = keep.keep(run, tmp_path / "kept")
    pictures = json.loads((kept / "settings.json").read_text())["pictures"]
    assert pictures == {"folder": "train", "files": ["cat/1.png"], "labels": [0], "digest": "d"}
    assert [path.name for path in kept.iterdir() if "somebody" in path.read_text(encoding="utf-8")] == []


def test_keeping_again_leaves_nothing_of_before(run: Path, tmp_path: Path) -> None:
    kept = keep.keep(run, tmp_path / "kept")
    (kept / "costs.json").write_text("{}", encoding="utf-8")
    assert not (keep.keep(run, tmp_path / "kept") / "costs.json").exists()


def test_a_folder_of_no_run_is_an_error_and_loses_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "kept" / "empty").mkdir(parents=True)
    (tmp_path / "kept" / "empty" / "results.json").write_text("{}", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    assert keep.main([str(tmp_path / "empty"), "--out", str(tmp_path / "kept")]) == 2
    assert "expected" in capsys.readouterr().err
    assert (tmp_path / "kept" / "empty" / "results.json").is_file()


def test_pages_are_made_of_a_folder_of_kept_runs(run: Path, tmp_path: Path) -> None:
    keep.keep(run, tmp_path / "kept")
    assert command.main([str(tmp_path / "kept"), "--out", str(tmp_path / "docs")]) == 0
    alone = tmp_path / "alone"
    results_pages([run], alone)
    made, of_run = ((folder / "nasbench201.md").read_text(encoding="utf-8") for folder in (tmp_path / "docs", alone))
    assert made.replace("results kept", "results c10").replace("--out docs", "--out alone") == of_run


def test_only_the_pages_that_were_asked_for_are_written(run: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--only: expected pages that these runs give, nasbench201; got timm"):
        results_pages([run], tmp_path / "docs", ["timm"])
    assert not (tmp_path / "docs").exists()
    results_pages([run], tmp_path / "docs", ["nasbench201"])
    assert "--only nasbench201" in (tmp_path / "docs" / "nasbench201.md").read_text(encoding="utf-8")
