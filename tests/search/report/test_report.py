"""The report of complete, unfinished, lonely and unlucky runs: what stands on the page, and that it stands alone."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from search.commands.report import command
from search.journal.lines import sealed
from search.report import write_report
from search.report.data import read_run
from search.workers.scoring_code import ScoringCode
from tests.search.report.html_pages import read, words
from tests.search.report.report_runs import copy, make_run
from uninas import InputError

SINGLE = ("objective=vkdnw", "algorithm=walk", "algorithm_options={}", "window=1")


def test_a_complete_run_has_every_section(complete_page):
    page = words(complete_page)
    for expected in (
        "The network, from overview to block",
        "Cost next to the presets",
        "2 × MACs",
        "Scores over time",
        "Rank in the final population",
        "random, best so far",
        "The population in the plane of parameters and MACs",
        "budget 900 k",
        "Finalists and controls on held-out seeds",
        "mean and one standard deviation over 3 seeds",
        "out of memory",
        "over budget: params",
        "uninas search --resume complete evaluations=80",
        "cpu: paper <and> pencil",
        "population: 12",
    ):
        assert expected in page
    assert "not finished" not in page


def test_the_page_is_well_formed_and_its_ids_are_unique(complete_page):
    ids = [attributes["id"] for _, attributes in read(complete_page).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawings = re.findall(r"<svg.*?</svg>", complete_page, re.DOTALL)
    assert len(drawings) == 5  # finalists, overview, scores, population, blocks
    for drawing in drawings:
        ElementTree.fromstring(drawing if "xmlns=" in drawing else drawing.replace("<svg", '<svg xmlns="x"', 1))


def test_links_within_the_page_lead_somewhere(complete_page):
    tags = read(complete_page).tags
    ids = {attributes.get("id") for _, attributes in tags}
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_the_page_fetches_nothing(complete_page):
    for tag, attributes in read(complete_page).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "img", "foreignobject")
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png"))
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in complete_page
    assert set(re.findall(r"url\((.)", complete_page)) <= {"#"}
    assert set(re.findall(r'https?://[^"<\s]*', complete_page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_the_text_of_charts_stays_text(complete_page):
    assert "random, best so far</text>" in complete_page
    assert "DejaVu Sans Mono" in complete_page  # of the style sheet
    assert "font-family: 'DejaVu Sans'" not in complete_page


def test_the_best_and_its_cost_are_those_of_the_run(complete, complete_page):
    best = json.loads((complete / "run.json").read_text(encoding="utf-8"))["best"]
    page = words(complete_page)
    assert best["digest"][:12] in page
    assert f"{best['cost']['macs']:,}" in page
    assert f"{2 * best['cost']['macs']:,}" in page
    assert f"{best['mean']['jacov']:.5g}" in page


def test_counts_are_those_of_the_journal(complete, complete_page):
    counts = json.loads((complete / "run.json").read_text(encoding="utf-8"))["counts"]
    page = words(complete_page)
    assert counts["search"]["failed"] > 0
    assert f"ok {counts['search']['ok']} {counts['random']['ok']}" in page
    assert f"failed {counts['search']['failed']} {counts['random']['failed']}" in page
    assert f"duplicates drawn again {counts['search']['duplicates']} {counts['random']['duplicates']}" in page
    for reason, count in counts["search"]["rejected"].items():
        assert f"{reason} {count} {counts['random']['rejected'].get(reason, 0)}" in page


def test_finalists_are_those_of_the_run(complete):
    rows = json.loads((complete / "run.json").read_text(encoding="utf-8"))["finalists"]
    finalists = read_run(complete).finalists
    assert [(one.entry.digest, one.place) for one in finalists] == [(row["digest"], row["place"]) for row in rows]


def test_the_same_files_give_the_same_page(complete, complete_page):
    assert write_report(complete, spectra=False).read_text(encoding="utf-8") == complete_page


def test_only_the_page_is_written(complete, tmp_path):
    run = copy(complete, tmp_path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "report.html"}
    write_report(run, spectra=False)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name != "report.html"} == before


def test_an_unfinished_run_says_so_and_shows_its_leader(tmp_path):
    run = make_run(tmp_path / "half", stop_after=15)
    assert not (run / "best.json").exists()
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert "This run is not finished: 15 of 40 candidates are scored; 0 of 40 candidates of the random search" in page
    assert "The best so far" in page
    assert "Computed when the run is finished" in page
    data = read_run(run)
    first = next(entry for entry in data.entries if data.places[entry.phase, entry.index] == 1)
    assert data.best.digest == first.digest
    assert not (run / "spectra.json").exists()


def test_a_torn_last_line_is_not_read(complete, tmp_path):
    run = copy(complete, tmp_path)
    with open(run / "journal.jsonl", "a", encoding="utf-8") as journal:
        journal.write('{"kind": "candidate", "phase": "sea')
    assert len(read_run(run).entries) == 40
    write_report(run, spectra=False)


def test_a_run_that_is_being_extended_is_unfinished_again(complete, tmp_path):
    run = copy(complete, tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("evaluations: 40", "evaluations: 90"), encoding="utf-8")
    page = words(write_report(run, spectra=False).read_text(encoding="utf-8"))
    assert "40 of 90 candidates are scored" in page
    assert "The best so far" in page


def test_a_run_that_two_codes_scored_says_which_scored_what(complete, complete_page, tmp_path):
    assert "Scoring code" not in words(complete_page)
    run = copy(complete, tmp_path)
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    other = sealed(ScoringCode("0.9.0", "f" * 64).as_dict())
    (run / "journal.jsonl").write_bytes(b"".join([*lines[:51], other, *lines[51:]]))
    page = words(write_report(run, spectra=False).read_text(encoding="utf-8"))
    ours = json.loads(lines[0])["code"]
    assert f"the beginning uninas {ours['version']} {ours['digest'][:12]}" in page
    assert f"after 40 candidates of the search, 10 of the random search uninas 0.9.0 {'f' * 12}" in page


def test_a_run_of_one_column_without_baseline_shows_raw_scores(tmp_path):
    run = make_run(tmp_path / "lonely", "baseline=false", *SINGLE)
    page = words(write_report(run, spectra=False).read_text(encoding="utf-8"))
    assert "This run has no random search beside it" in page
    assert "Raw scores of the objective" in page
    assert "Rank in the final population" not in page
    assert "random, best so far" not in page


def test_a_run_in_which_nothing_is_scored_yet(tmp_path):
    run = make_run(tmp_path / "empty", stop_after=0)
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert "No network yet" in page
    assert "0 of 40 candidates are scored" in page


def test_a_run_in_which_all_failed_lists_the_reasons(tmp_path):
    run = make_run(tmp_path / "unlucky", "baseline=false", fail_every=1, stop_after=9, reason="<b>nan</b> & more")
    html = write_report(run).read_text(encoding="utf-8")
    assert "No network yet" in words(html)
    assert "&lt;b&gt;nan&lt;/b&gt; &amp; more" in html
    assert "<b>nan" not in html


def test_names_of_all_kinds_are_escaped(complete, tmp_path):
    run = Path(shutil.copytree(complete, tmp_path / '<img src=x onerror="alert(1)">'))
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    info["sessions"][0]["environment"]["device"] = "</dd><script>alert(1)</script>"
    (run / "run.json").write_text(json.dumps(info), encoding="utf-8")
    config = run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8") + "# </pre><script>alert(2)</script>\n", encoding="utf-8")
    html = write_report(run, spectra=False).read_text(encoding="utf-8")
    tags = {tag for tag, _ in read(html).tags}
    assert not tags & {"script", "img"}
    assert "</dd><script>alert(1)</script>" in words(html)


def test_places_are_by_the_objective_over_search_and_baseline(complete):
    run = read_run(complete)
    values = run.objective.rank([entry.scores for entry in run.scored])
    ordered = sorted(zip(values, run.scored, strict=True), key=lambda pair: run.places[pair[1].phase, pair[1].index])
    assert [float(value) for value, _ in ordered] == sorted(map(float, values), reverse=True)
    assert sorted(run.places.values()) == list(range(1, len(run.scored) + 1))


def test_presets_that_do_not_fit_are_left_out_by_name(tmp_path):
    overrides = ("space.preset=resnet", "space.widths=[20,40,60,80]", "evaluations=6", "finalists.count=2", "baseline=false")
    run = make_run(tmp_path / "narrow", *overrides, "finalists.controls=[]")
    page = words(write_report(run, spectra=False).read_text(encoding="utf-8"))
    assert "Left out: vit" in page
    assert "Left out: coatnet" in page
    assert "Left out: resnet" not in page


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda run: shutil.rmtree(run), "no such folder"),
        (lambda run: (run / "journal.jsonl").unlink(), "it has no journal.jsonl"),
        (lambda run: (run / "config.yaml").unlink(), "it has no config.yaml"),
        (lambda run: (run / "config.yaml").write_text("- a list\n"), "expected a YAML mapping"),
        (lambda run: (run / "run.json").write_text("[1]"), "run.json: expected the JSON object"),
        (lambda run: (run / "run.json").write_text("{"), "run.json: expected the JSON object"),
        (lambda run: (run / "best.json").write_text("{"), "best.json"),
        (lambda run: (run / "journal.jsonl").write_text("nonsense\n"), "expected a journal record"),
    ],
)
def test_what_is_no_run_is_refused_in_one_line(complete, tmp_path, break_it, message):
    run = copy(complete, tmp_path)
    break_it(run)
    result = CliRunner().invoke(command, [str(run), "--no-spectra"])
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_record_with_a_missing_field_is_named(complete, tmp_path):
    run = copy(complete, tmp_path)
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    record = json.loads(lines[4])
    del record["cost"]
    lines[4] = sealed({name: value for name, value in record.items() if name != "crc"}).decode().rstrip()
    (run / "journal.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"jsonl, line 5, candidate 3: expected a record of this version; KeyError: 'cost'"):
        write_report(run, spectra=False)


def test_the_command_writes_the_page(complete, tmp_path):
    run = copy(complete, tmp_path)
    (run / "report.html").unlink(missing_ok=True)
    result = CliRunner().invoke(command, [str(run), "--no-spectra"])
    assert result.exit_code == 0
    assert (run / "report.html").is_file()


def test_a_stored_report_needs_no_torch(complete, tmp_path):
    run = copy(complete, tmp_path)
    program = (
        "import sys; from pathlib import Path; from search.report import write_report\n"
        "write_report(Path(sys.argv[1]), spectra=False)\n"
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
