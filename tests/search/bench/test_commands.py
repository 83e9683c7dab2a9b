"""`uninas bench` as a person calls it: what is refused, in one line; what is printed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import proxies
from search.bench.benchmarks import conduct, nasbench201
from search.commands import bench as bench_command
from search.config.schema import PoolConfig
from search.journal.lines import sealed
from search.workers import scoring_code
from tests.search.bench.fakes import fake_pool, write_table
from tests.search.bench.page_runs import make_ablation
from tests.search.conftest import Notes
from tests.search.workers.test_pictures import paint
from uninas import InputError, cli


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_table(tmp_path / "data")
    return tmp_path / "data"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", *map(str, arguments)])
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nasbench201", "--proxies", "synflaw"], "got 'synflaw', nearest is 'synflow'"),
        (["nasbench201", "--sample", "41"], "--sample: expected at most the 40 networks"),
        (["nasbench201", "--top", "41"], "--top: expected at most the 40 networks"),
        (["nasbench201", "--images", "nowhere"], "expected a folder with one folder of images per class"),
        (["nasbench201", "--pool", "serial", "--workers", "2"], "--workers: expected 1 with --pool serial; got 2"),
        (["nasbench201", "--resume", "nowhere"], "expected the folder of a bench run"),
        (["nasbench201", "--resume", "r", "--batch", "8"], "--batch: expected not to be given with --resume"),
        (["nasbench201", "--as-is"], "expected --resume RUN beside them"),
        (["timm"], "Is a directory"),
        (["timm", "--top", "3"], "--top: expected not to be given"),
        (["timm", "--resume", "r", "--seed", "1"], "--seed: expected not to be given with --resume"),
        (["ablation", "fim_size", "r"], "expected --data DIR and no run"),
        (["ablation", "subsets", "r"], "--data: expected not to be given with subsets, where it has no effect"),
        (["ablation", "fim_size", "--images", "p"], "--images: expected not to be given with fim_size"),
        (["ablation", "batch_input", "--batch", "8"], "--batch: expected not to be given with batch_input"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_two(
    capsys: pytest.CaptureFixture[str], data: Path, arguments: list[str], message: str
) -> None:
    code, out, err = run(capsys, *arguments, "--data", str(data))
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert err.strip().count("\n") == 0


@pytest.mark.parametrize("option", ["--dataset=cifar10", "--sample=5", "--seed=1", "--batch=8", "--probes=8"])
def test_options_without_effect_are_refused(capsys: pytest.CaptureFixture[str], option: str) -> None:
    code, _, err = run(capsys, "ablation", "subsets", "r", option)
    assert code == 2
    assert f"{option.partition('=')[0]}: expected not to be given with subsets" in err


def test_a_run_that_is_needed_and_missing(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "ablation", "subsets")
    assert code == 2
    assert "expected the folder of a run of nasbench201 behind it; got none" in err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ablation" in run(capsys, "--help")[1]
    for name in ("nasbench201", "timm", "ablation", "results"):
        code, out, _ = run(capsys, name, "--help")
        assert code == 0
        assert f"uninas bench {name}" in out


def test_the_help_imports_nothing_that_scores_or_judges() -> None:
    program = """
import contextlib, io, sys
from uninas import cli
for words in ("bench", *("bench " + name for name in "nasbench201 timm table ablation choose costs".split()), "sweep"):
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        cli.main([*words.split(), "--help"])
    assert "Usage: uninas " + words in said.getvalue(), words
print(*sorted({"torch", "ray", "timm", "pandas", "numpy", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_the_results_pages_are_made_by_their_own_command_which_the_old_one_names_and_runs(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(capfd, "results", str(make_ablation(tmp_path / "fim")), "--out", str(tmp_path / "docs"))
    assert code == 0
    assert err == "warning: uninas bench results has moved; from a checkout, run python -m benchmarks.results\n"
    assert out.split() == [str(tmp_path / "docs" / name) for name in ("README.md", "ablations.md")]
    assert "Made by `python -m benchmarks.results fim --out docs`" in (tmp_path / "docs" / "ablations.md").read_text()
    code, _, err = run(capfd, "results", str(tmp_path / "nowhere"))
    assert (code, err.count("\n")) == (2, 2)
    assert "nowhere: expected the folder of a bench run" in err
    monkeypatch.setattr(bench_command, "__file__", str(tmp_path / "search" / "commands" / "bench.py"))
    code, _, err = run(capfd, "results", str(tmp_path / "fim"))
    assert (code, err.count("\n")) == (2, 1)
    assert "expected a checkout" in err


def test_json_and_the_table_and_the_page(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conduct, "make_pool", fake_pool)
    folder = tmp_path / "run"
    options = ["--data", str(data), "--pool", "serial"]
    code, out, err = run(capsys, "nasbench201", *options, "--out", str(folder), "--proxies", "flops,zico", "--json")
    assert code == 0
    results = json.loads(out)
    assert {row["proxy"] for row in results["rows"]} == {"flops", "zico"}
    assert str(folder / "report.html") in err
    code, out, err = run(capsys, "nasbench201", *options, "--resume", str(folder), "--proxies", "aleph")
    assert code == 0
    assert "flops" in out
    assert "aleph" in out
    assert "[" in out  # intervals, not eaten as markup
    assert ".607" in out  # the paper's ZiCo
    assert "zico: failed on 14 x too_few_weights" in out
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_run_is_judged_as_it_is_and_failures_are_tried_again(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options: dict[str, Any] = {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool}
    nasbench201.bench(data, view=Notes().view, proxies="flops,zico", sample=30, resamples=10, out=folder, **options)
    lines = (folder / "journal.jsonl").read_text().splitlines(keepends=True)
    (folder / "journal.jsonl").write_text("".join(lines[:21]))
    _, results = nasbench201.bench(data, folder, view=Notes().view, as_is=True, **options)
    assert results["sample"] == 20
    assert (folder / "journal.jsonl").read_text() == "".join(lines[:21])
    _, results = nasbench201.bench(data, folder, view=Notes().view, **options)
    assert results["sample"] == 30
    failed = next(row["failed"] for row in results["rows"] if row["proxy"] == "zico")["too_few_weights"]
    _, again = nasbench201.bench(data, folder, view=Notes().view, retry=True, **options)
    assert again["rows"] == results["rows"]
    assert len((folder / "journal.jsonl").read_text().splitlines()) == 31 + failed


def with_other_flops(journal: Path) -> None:
    """Write a journal anew with what another definition once gave."""
    lines = [line.rpartition(',"crc":')[0] + "}" for line in journal.read_text().splitlines()]
    journal.write_bytes(b"".join(sealed(json.loads(line.replace('"flops":', '"flops":-'))) for line in lines))


def test_a_score_is_computed_anew_where_its_definition_changed(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options: dict[str, Any] = {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool}
    _, before = nasbench201.bench(data, view=Notes().view, proxies="flops,zico", sample=10, resamples=10, out=folder, **options)
    with_other_flops(folder / "journal.jsonl")
    _, other = nasbench201.bench(data, folder, view=Notes().view, **options)
    _, after = nasbench201.bench(data, folder, view=Notes().view, again="flops", **options)
    kendall = [
        next(row["kendall"]["value"] for row in results["rows"] if row["proxy"] == "flops") for results in (before, other, after)
    ]
    assert kendall[0] == kendall[2] == -kendall[1] != 0
    records = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    scores = [list(record["scores"]) for record in records if record["kind"] == "score"]
    assert scores[10:] == [["flops"]] * 10


def test_what_is_computed_anew_survives_a_kill(data: Path, tmp_path: Path) -> None:
    folder, options = tmp_path / "run", {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool}
    _, before = nasbench201.bench(data, view=Notes().view, proxies="flops,zico", sample=10, resamples=10, out=folder, **options)
    journal = folder / "journal.jsonl"
    with_other_flops(journal)
    nasbench201.bench(data, folder, view=Notes().view, again="flops", **options)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:-6]) + "\n")  # killed after four of the ten
    notes = Notes()
    _, half = nasbench201.bench(data, folder, view=notes.view, as_is=True, **options)
    assert {row["networks"] for row in half["rows"]} == {4}
    assert any("judging the 4 networks of 10 that have all scores" in note for note in notes.notes)
    _, after = nasbench201.bench(data, folder, view=Notes().view, **options)
    assert after["rows"] == before["rows"]


def test_scores_of_another_definition_are_not_mixed_in(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, options = tmp_path / "run", {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool}
    nasbench201.bench(data, view=Notes().view, proxies="flops,zico", sample=10, resamples=10, out=folder, **options)
    monkeypatch.setattr(proxies, "REVISIONS", {"zico": 1})
    with pytest.raises(InputError, match="zico changed since: --again zico"):
        nasbench201.bench(data, folder, view=Notes().view, sample=12, **options)
    nasbench201.bench(data, folder, view=Notes().view, sample=12, again="zico", **options)
    nasbench201.bench(data, folder, view=Notes().view, sample=14, **options)
    assert json.loads((folder / "run.json").read_text())["revisions"] == {"flops": 0, "zico": 1}
    monkeypatch.setattr(proxies, "REVISIONS", {"zico": 2})
    with pytest.raises(InputError, match="zico changed since"):
        nasbench201.bench(data, folder, view=Notes().view, **options)


def test_pictures_that_moved_end_a_resume_before_it_scores(data: Path, tmp_path: Path) -> None:
    folder, options = tmp_path / "run", {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool}
    images = paint(tmp_path / "pictures")
    nasbench201.bench(
        data, view=Notes().view, proxies="zico", sample=10, batch=4, images=images, resamples=10, out=folder, **options
    )
    before = (folder / "journal.jsonl").read_bytes()
    images.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"expected the image .*, which was drawn before; it cannot be read now"):
        nasbench201.bench(data, folder, view=Notes().view, sample=12, **options)
    assert (folder / "journal.jsonl").read_bytes() == before


def test_a_folder_that_a_crash_left_empty_is_begun_again(data: Path, tmp_path: Path) -> None:
    folder, options = tmp_path / "run", {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool, "resamples": 10}
    folder.mkdir()
    (folder / ".settings.json.part").write_text("{")
    nasbench201.bench(data, view=Notes().view, proxies="flops", sample=10, out=folder, **options)
    other = tmp_path / "mine"
    other.mkdir()
    (other / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="expected a new run folder"):
        nasbench201.bench(data, view=Notes().view, proxies="flops", sample=10, out=other, **options)


def test_other_scoring_code_is_refused_accepted_or_scores_all_anew(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, options = tmp_path / "run", {"pool": PoolConfig(kind="serial"), "pool_maker": fake_pool, "view": Notes().view}
    nasbench201.bench(data, proxies="flops,zico", sample=10, resamples=10, out=folder, **options)
    monkeypatch.setattr(scoring_code, "digest", lambda places: "f" * 64)
    before = (folder / "journal.jsonl").read_bytes()
    nasbench201.bench(data, folder, **options)  # nothing is scored
    assert (folder / "journal.jsonl").read_bytes() == before
    with pytest.raises(InputError, match=r"the scoring code is f{12} now and was .*: --again flops,zico scores them anew, or go"):
        nasbench201.bench(data, folder, sample=12, **options)
    nasbench201.bench(data, folder, sample=12, accept_changes=True, **options)
    nasbench201.bench(data, folder, sample=14, **options)
    monkeypatch.setattr(scoring_code, "digest", lambda places: "e" * 64)
    before = (folder / "journal.jsonl").read_bytes()
    with pytest.raises(InputError, match="--again zico scores them anew"):
        nasbench201.bench(data, folder, again="flops", **options)
    assert (folder / "journal.jsonl").read_bytes() == before  # what was to be scored again is still there
    nasbench201.bench(data, folder, again="flops,zico", **options)
    lines = map(json.loads, (folder / "journal.jsonl").read_text().splitlines())
    digests = [line["digest"] for line in lines if line["kind"] == "code"]
    assert digests == ["f" * 64, "e" * 64]
