"""The report of complete, unfinished, lonely and unlucky runs: what stands on the page, and that it stands alone."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from search.commands.report import command
from search.report import write_report
from search.report.data import read_run
from search.report.spectra import BEST, Spectrum, cached, compute
from search.report.svg import readable_floor, tick_labels
from tests.search.report.report_runs import make_run
from uninas import InputError

SINGLE = ("objective=vkdnw", "algorithm=walk", "algorithm_options={}", "window=1")


@pytest.fixture(scope="module")
def complete(tmp_path_factory) -> Path:
    """A finished run with a random baseline and some failed candidates."""
    return make_run(tmp_path_factory.mktemp("runs") / "complete", fail_every=7)


@pytest.fixture(scope="module")
def complete_page(complete) -> str:
    return write_report(complete, spectra=False).read_text(encoding="utf-8")


def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of a run to be changed; the shared one stays as it is."""
    return Path(shutil.copytree(run, tmp_path / "copy"))


class _Page(HTMLParser):
    """Checks that tags close in order, and keeps tags, links and visible text."""

    VOID = ("meta", "br", "img", "hr", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data)


def read(page: str) -> _Page:
    parser = _Page()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def words(page: str) -> str:
    return " ".join(" ".join(read(page).words).split())


def test_a_complete_run_has_every_section(complete_page):
    page = words(complete_page)
    for expected in (
        "The network, from overview to block",
        "Cost next to the presets",
        "2 × MACs",
        "Scores over time",
        "Place in the final population",
        "random, best so far",
        "The population in the plane of parameters and MACs",
        "budget 900 k",
        "Finalists on fresh seeds",
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


def test_a_run_of_one_column_without_baseline_shows_raw_scores(tmp_path):
    run = make_run(tmp_path / "lonely", "baseline=false", *SINGLE)
    page = words(write_report(run, spectra=False).read_text(encoding="utf-8"))
    assert "This run has no random search beside it" in page
    assert "Raw scores of the objective" in page
    assert "Place in the final population" not in page
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
    run = make_run(tmp_path / "narrow", *overrides)
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
    lines[4] = json.dumps(record)
    (run / "journal.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"jsonl, line 5, candidate 3: expected a record of this version; KeyError: 'cost'"):
        write_report(run, spectra=False)


def test_the_command_writes_the_page(complete, tmp_path):
    run = copy(complete, tmp_path)
    (run / "report.html").unlink(missing_ok=True)
    result = CliRunner().invoke(command, [str(run), "--no-spectra"])
    assert result.exit_code == 0
    assert (run / "report.html").is_file()


def test_a_large_population_becomes_a_picture_within_the_chart(complete, monkeypatch):
    from search.report import figures

    run = read_run(complete)
    assert figures.population(run).count("data:image/png") == 1  # the colour bar
    assert "data:image/png" not in figures.scores_over_time(run)
    monkeypatch.setattr(figures, "RASTER_FROM", 10)
    assert figures.population(run).count("data:image/png") > 1
    assert "data:image/png" in figures.scores_over_time(run)


def test_spectra_are_computed_once_and_stored(complete, tmp_path, monkeypatch):
    import proxies
    import uninas.compile

    run = copy(complete, tmp_path)
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert "Eigenvalues (dots: deciles)" in page
    assert "Left out" not in page
    found = cached(read_run(run), run)
    assert list(found.of) == [BEST, "resnet", "efficientnet", "vit", "coatnet"]
    for spectrum in found.of.values():
        assert list(spectrum.eigenvalues) == sorted(spectrum.eigenvalues)
        assert len(spectrum.deciles) == 9
        assert 0 < spectrum.entropy < 2.2

    data = read_run(run)
    module = uninas.compile.build(data.best, classes=10)
    score = proxies.score(module, ["vkdnw"], input_shape=(3, 32, 32), batch=4, seed=data.config.seed)
    assert found.of[BEST].entropy == pytest.approx(score["vkdnw"], rel=1e-9)

    def refuse(*arguments):
        raise AssertionError("computed again")

    monkeypatch.setattr("search.report.spectra._spectrum", refuse)
    assert words(write_report(run).read_text(encoding="utf-8")) == page


def test_spectra_of_other_settings_or_a_broken_file_are_no_cache(complete, tmp_path, monkeypatch):
    run = copy(complete, tmp_path)
    monkeypatch.setattr("search.report.spectra._spectrum", lambda *arguments: "not now")
    compute(read_run(run), run)
    assert cached(read_run(run), run) is not None
    config = run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("batch: 4", "batch: 5"), encoding="utf-8")
    assert cached(read_run(run), run) is None
    (run / "spectra.json").write_text('{"key": 1}', encoding="utf-8")
    assert cached(read_run(run), run) is None
    (run / "spectra.json").write_text("{", encoding="utf-8")
    assert cached(read_run(run), run) is None


@pytest.mark.parametrize(("cuda", "images"), [(False, 8), (True, 40)])
def test_a_processor_computes_spectra_of_few_images_and_the_page_says_so(complete, tmp_path, monkeypatch, cuda, images):
    import torch

    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(
        "search.report.spectra._spectrum", lambda *arguments: asked.append(arguments[2:]) or Spectrum((0.1, 1.0), (0.5,) * 9, 2.0)
    )
    run = copy(complete, tmp_path)
    config = run / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("batch: 4", "batch: 40"), encoding="utf-8")
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert asked == [("cuda" if cuda else "cpu", images)] * 5
    assert f"batch {images}, seed" in page
    assert cached(read_run(run), run).images == images


def test_a_spectrum_that_cannot_be_had_is_left_out_with_its_reason(complete, tmp_path, monkeypatch):
    import proxies

    def fail(*arguments, **options):
        raise proxies.ProxyFailure("too_few_weights", "nine deciles need more")

    monkeypatch.setattr(proxies, "fisher_spectrum", fail)
    run = copy(complete, tmp_path)
    found = compute(read_run(run), run)
    assert found.of == {}
    assert found.left_out["vit"] == "too_few_weights: nine deciles need more"
    page = words(write_report(run).read_text(encoding="utf-8"))
    assert "Left out: best (too_few_weights: nine deciles need more)" in page


def test_a_stored_report_needs_no_torch(complete, tmp_path):
    run = copy(complete, tmp_path)
    program = (
        "import sys; from pathlib import Path; from search.report import write_report\n"
        "write_report(Path(sys.argv[1]), spectra=False)\n"
        "assert not {'torch', 'ray'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(run)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([12.15e6, 12.2e6, 12.25e6], ["12.15\u2009M", "12.20\u2009M", "12.25\u2009M"]),
        ([-8.015, -8.01], ["-8.015", "-8.010"]),
        ([0, 25, 50], ["0", "25", "50"]),
        ([8e6, 10e6], ["8\u2009M", "10\u2009M"]),
        ([5], ["5"]),
    ],
)
def test_ticks_that_differ_have_labels_that_differ(values: list[float], labels: list[str]) -> None:
    assert tick_labels(values) == labels


def test_hopeless_scores_do_not_press_the_others_into_a_line():
    usual = [-1.0, -1.5, -2.0, -2.5, -3.0]
    assert readable_floor(usual) == -3.0, "all are shown where all can be"
    assert readable_floor([*usual, -200.0]) == pytest.approx(-2.25 - 4 * 1.25)
    assert readable_floor([3.0, 3.0, 3.0]) == 3.0
    assert readable_floor([5.0, 5.0, 5.0, 1.0]) == 1.0, "the best is the median: nothing is left out"


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
