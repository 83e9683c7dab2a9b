"""The results pages: made from runs, ours beside the papers', with hand-written remarks, and nothing of the machine."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.results.pages import results_pages
from tests.search.bench.page_runs import make_ablation, make_run, make_timm
from uninas import InputError

NOTES = """
[nasbench201]
page = "A word on the whole page."
zico = "measured on random input"
grasp = "never shown"

[ablations.fim_size]
256 = "few networks have so many layers"
"""


# In one process, so that the pages are made once.
pytestmark = pytest.mark.xdist_group("results pages")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    small = make_run(folder / "small", dataset="cifar10", networks=40)
    return [
        make_run(folder / "imagenet", networks=160),
        make_run(folder / "cifar10", dataset="cifar10", networks=160),
        small,
        make_run(folder / "stored", dataset="cifar10", population="all_forms", networks=60),
        make_timm(folder / "timm"),
        make_ablation(folder / "fim"),
        make_ablation(folder / "log10", "ssnr_log", "cifar10"),
        make_ablation(folder / "log16", "ssnr_log", "imagenet16_120"),
    ]


@pytest.fixture(scope="module")
def out(runs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("docs") / "results"
    folder.mkdir()
    (folder / "notes.toml").write_text(NOTES, encoding="utf-8")
    results_pages(runs, folder)
    return folder


def cells(text: str, name: str) -> list[str]:
    """The cells of the first table row of that name."""
    line = next(line for line in text.splitlines() if line.startswith(f"| `{name}`"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_page_for_each_kind_of_run_and_a_list_of_them(out):
    assert {path.name for path in out.glob("*.md")} == {"README.md", "nasbench201.md", "timm.md", "ablations.md"}
    index = (out / "README.md").read_text(encoding="utf-8")
    for name in ("nasbench201.md", "timm.md", "ablations.md"):
        assert f"({name})" in index


def test_datasets_stand_side_by_side_with_the_papers_figures(out):
    text = (out / "nasbench201.md").read_text(encoding="utf-8")
    header = next(line for line in text.splitlines() if "CIFAR-10 | paper" in line)
    assert [cell.strip() for cell in header.strip("|").split("|")] == ["", "CIFAR-10", "paper", "ImageNet16-120", "paper"]
    row = cells(text, "vkdnw_agg")
    assert re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", row[1])
    assert row[2] == "0.750 **below**"
    assert row[4] == "0.743 **below**"
    assert cells(text, "ntk_condition")[2] == "–"


def test_the_numbers_are_those_of_the_runs(runs, out):
    rows = json.loads((runs[0] / "results.json").read_text())["rows"]
    zico = next(row for row in rows if row["proxy"] == "zico")["kendall"]
    text = (out / "nasbench201.md").read_text(encoding="utf-8")
    assert cells(text, "zico")[3] == f"{zico['value']:.3f} [{zico['low']:.3f}, {zico['high']:.3f}]"


def test_the_first_table_is_kendalls_and_both_populations_have_theirs(out):
    text = (out / "nasbench201.md").read_text(encoding="utf-8")
    assert text.index("### Kendall’s τ") < text.index("### Spearman’s ρ") < text.index("### nDCG")
    first, second = text.split("## All 15,625 cells", 1)
    assert "The 9,445 cells" in first
    assert cells(second, "t_cet_snip")[2].startswith("0.69 ")


def test_of_two_runs_of_one_thing_the_larger_is_shown_and_the_other_named(out):
    text = (out / "nasbench201.md").read_text(encoding="utf-8")
    assert "CIFAR-10: 160 networks, seed 0, batch 64, repeats 1" in text
    assert "Left out, since every proxy has as many networks in another run: small." in text


def test_a_proxy_is_shown_as_in_the_run_with_most_networks(tmp_path):
    whole = make_run(tmp_path / "whole", networks=60)
    wide = make_run(tmp_path / "wide", networks=80)
    results = json.loads((wide / "results.json").read_text())
    results["rows"] = [row for row in results["rows"] if row["proxy"] in ("zico", "aleph")]
    (wide / "results.json").write_text(json.dumps(results))
    results_pages([wide, whole], tmp_path)
    text = (tmp_path / "nasbench201.md").read_text(encoding="utf-8")
    assert "ImageNet16-120: 60 networks, 80 for `" in text
    assert cells(text, "zico")[1].endswith("] of 80")
    assert cells(text, "jacov")[1].endswith("]")
    assert "Left out" not in text


def test_more_initialisations_are_rows_of_their_own(tmp_path):
    once, thrice = make_run(tmp_path / "once", networks=60), make_run(tmp_path / "thrice", networks=60)
    results = json.loads((thrice / "results.json").read_text())
    results["settings"]["repeats"] = 3
    results["rows"] = [row for row in results["rows"] if row["proxy"] in ("zico", "aleph", "vkdnw_agg")]
    for row in results["rows"]:
        if row["proxy"] != "aleph":  # which no initialisation changes
            row["kendall"] = {"value": 0.749, "low": 0.7, "high": 0.8}
    (thrice / "results.json").write_text(json.dumps(results))
    (tmp_path / "notes.toml").write_text('[nasbench201]\nzico = "why"\n', encoding="utf-8")
    results_pages([once, thrice], tmp_path)
    text = (tmp_path / "nasbench201.md").read_text(encoding="utf-8")
    assert cells(text, "vkdnw_agg ×3")[1:3] == ["0.749 [0.700, 0.800]", "0.743 inside"]
    assert cells(text, "zico ×3")[1].startswith("0.749")
    assert cells(text, "zico")[1] != cells(text, "zico ×3")[1]
    assert "aleph ×3" not in text
    assert "×k: each score is the mean of k initialisations." in text
    assert "`zico ×3`: below" not in text


def test_remarks_are_rendered_and_what_has_none_is_named(out):
    text = (out / "nasbench201.md").read_text(encoding="utf-8")
    assert "A word on the whole page." in text
    assert "- `zico`: measured on random input" in text
    assert re.search(r"- `aleph`: below the paper’s figure on CIFAR-10 \(.*\); ImageNet16-120 \(.*\)\. No reason known\.", text)
    assert "- `zico`: below" not in text
    assert text.count("Remarks on what was not measured here: `grasp`.") == text.count("Remarks on what was not measured") == 1
    assert (out / "notes.toml").read_text(encoding="utf-8") == NOTES
    assert "- `256`: few networks have so many layers" in (out / "ablations.md").read_text(encoding="utf-8")


def test_every_picture_is_there_and_an_svg_of_its_own(out):
    for page in out.glob("*.md"):
        for name in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            picture = (out / name).read_text(encoding="utf-8")
            ElementTree.fromstring(picture)
            assert "var(--" not in picture  # colours that only our HTML knows
    assert len(list(out.rglob("*.svg"))) == 7


def test_the_command_is_named_and_no_folder_of_the_machine(out, runs):
    for name in ("nasbench201.md", "timm.md", "ablations.md"):
        text = (out / name).read_text(encoding="utf-8")
        assert "Made by `python -m benchmarks.results imagenet cifar10 small stored timm fim log10 log16 --out results`" in text
        assert str(runs[0].parent) not in text


def test_paths_and_hosts_in_settings_stay_out(tmp_path):
    run = make_run(tmp_path / "run", networks=40)
    (run / "scores.csv").unlink()
    data = json.loads((run / "results.json").read_text())
    data["settings"]["pictures"] = {"folder": "/srv/secret/cifar10", "note": "from /srv/secret/pictures.csv"}
    data["environment"]["hostname"] = "machine-7"
    (run / "results.json").write_text(json.dumps(data))
    results_pages([run], tmp_path / "out")
    text = (tmp_path / "out" / "nasbench201.md").read_text(encoding="utf-8")
    assert "secret" not in text
    assert "machine-7" not in text
    assert "pictures.csv" in text


def test_an_ablation_by_dataset_has_its_datasets_side_by_side(out):
    text = (out / "ablations.md").read_text(encoding="utf-8")
    row = cells(text, "ssnr_snip_log")
    assert (row[2], row[4]) == ("0.63 inside", "0.62 inside")
    assert cells(text, "128")[5:] == ["0.621 [0.591, 0.651]", "0.611 inside"]


def test_families_of_timm(out):
    text = (out / "timm.md").read_text(encoding="utf-8")
    assert "| proxy | regnet.a1_in1k (12) | vit.a1_in1k (10) | resnet.a1_in1k (14) |" in text
    assert "0.900 [0.700, 1.000] | 0.750 [0.550, 0.900] | 0.600 [0.400, 0.750]" in text


def test_pages_that_a_call_does_not_make_stay_and_are_listed(runs, tmp_path):
    results_pages([runs[4]], tmp_path)
    before = (tmp_path / "timm.md").read_text(encoding="utf-8")
    listed = [line for line in (tmp_path / "README.md").read_text(encoding="utf-8").splitlines() if "](timm.md)" in line]
    results_pages([runs[5]], tmp_path)
    assert (tmp_path / "timm.md").read_text(encoding="utf-8") == before
    assert len(listed) == 1
    assert listed[0] in (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()


def test_the_same_runs_give_the_same_pages(runs, tmp_path):
    results_pages(runs[4:6], tmp_path / "a")
    results_pages(runs[4:6], tmp_path / "b")
    for path in (tmp_path / "a").iterdir():
        ours, other = path.read_bytes(), (tmp_path / "b" / path.name).read_bytes()
        assert ours.replace(b"--out a", b"--out b") == other, path.name


@pytest.mark.parametrize(
    ("notes", "says"),
    [
        ("[nasbench201", "expected TOML"),
        ("nasbench201 = 3", "expected a table"),
        ("[timm]\nparams = 3", "expected a text under timm.params"),
    ],
)
def test_notes_that_cannot_be_read_are_refused(runs, tmp_path, notes, says):
    (tmp_path / "notes.toml").write_text(notes)
    with pytest.raises(InputError, match=says):
        results_pages(runs[:1], tmp_path)


def test_no_run_and_a_kind_without_a_page_are_refused(runs, tmp_path):
    with pytest.raises(InputError, match="at least one"):
        results_pages([], tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "results.json").write_text('{"benchmark": "nasbench360", "rows": []}')
    kinds = "nasbench201, timm, ablation, nasbench_macro, autoformer, pit, transnas_micro, transnas_macro, blox, table"
    with pytest.raises(InputError, match=f"expected a run of {kinds}; got 'nasbench360'"):
        results_pages([other], tmp_path / "out")
