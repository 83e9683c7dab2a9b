"""The report of searches with several objectives: the front, its files, and the device that measured latencies."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from search.report import write_report
from search.report.data import read_run
from tests.search.report.html_pages import words
from tests.search.report.report_runs import make_run

PARETO = ("algorithm=pareto", "evaluations=60", "finalists.count=4", "budget.latency_ms=9")


@pytest.fixture(scope="module")
def trade_off(tmp_path_factory) -> Path:
    """A finished search of four objectives with its random baseline; some candidates are over the latency budget."""
    objectives = "objectives=[score, params, macs, latency_ms]"
    return make_run(tmp_path_factory.mktemp("runs") / "pareto", *PARETO, objectives)


def test_the_front_stands_on_the_page_with_its_files_and_the_device(trade_off: Path) -> None:
    page = write_report(trade_off, spectra=False).read_text(encoding="utf-8")
    said = words(page)
    run = read_run(trade_off)
    rows = run.info["front"]
    assert [member.entry.digest for member in run.front] == [row["digest"] for row in rows], "the journal says what run.json does"
    assert f"The Pareto front: {len(rows)} networks" in said
    assert "The objectives: highest vkdnw_agg, least parameters, MACs and latency." in said
    assert "Latency: the median of 10 passes at batch 1 in float32, measured on cpu: paper <and> pencil." in said
    for row in rows:
        assert f"{row['digest'][:8]} " in said
        assert f" {row['costs']['latency_ms']:.3f} " in said
        assert Path(row["file"]).name in said
    assert said.count(" finalist ") == 3 + 1, "three beside the best, and the legend"
    (drawn,) = re.findall(r'<svg role="img" aria-label="Score over each cost.*?</svg>', page, re.DOTALL)
    for label in ("parameters", "MACs", "latency, ms", "% that rank lower", "front", "finalist", "random", "search", "best"):
        assert f">{label}</text>" in drawn
    ElementTree.fromstring(drawn)


def test_what_is_over_the_latency_budget_is_counted_and_is_no_failure(trade_off: Path) -> None:
    run = read_run(trade_off)
    slow = [sum(entry.status == "over_budget" for entry in entries) for entries in (run.entries, run.baseline)]
    assert all(slow)
    said = words(write_report(trade_off, spectra=False).read_text(encoding="utf-8"))
    assert f"over the latency budget {slow[0]} {slow[1]} " in said
    assert "Failed while scored None." in said
    assert re.search(r"latency [\d.]+ ms \d+ % of the budget of 9 ms, on cpu: paper <and> pencil", said)


def test_an_unfinished_front_is_that_of_the_journal(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", *PARETO, "objective=vkdnw", "objectives=[score, params]", stop_after=30)
    page = write_report(run).read_text(encoding="utf-8")
    assert "The objectives: highest vkdnw, least parameters." in words(page)
    assert "Height: the raw score." in words(page)
    assert read_run(run).front


def test_latencies_of_several_devices_are_said_to_be_incomparable(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", *PARETO, "objectives=[score, latency_ms]", devices=2)
    said = words(write_report(run, spectra=False).read_text(encoding="utf-8"))
    assert "latencies of different device models are not comparable" in said
    rows = read_run(run).info["front"]
    assert all(f"{row['costs']['latency_ms']:.3f}" in said for row in rows)
    assert {row["device"] for row in rows} <= {"cpu: abacus", "cpu: paper <and> pencil"}
    assert said.count("cpu: abacus") > 1, "beside its rows, too"


def test_a_latency_budget_alone_shows_the_device_and_no_front(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "budget.latency_ms=9", "evaluations=20")
    page = write_report(run, spectra=False).read_text(encoding="utf-8")
    assert 'id="front"' not in page
    assert "Latency: the median of 10 passes at batch 1 in float32, measured on cpu: paper <and> pencil." in words(page)
