"""The report's section on trained finalists: what it says of many, of few and of none, and that it stands on the page."""

import json
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from search.ranking.correlation import kendall
from search.report import write_report
from search.report.data import read_run
from search.report.refined import agreement, read_refined, section
from tests.search.report.report_runs import make_run
from uninas import InputError


def row(number: int, place: int | None, curve: list[float], status: str = "done", reason: str | None = None) -> dict[str, Any]:
    return {
        "finalist": f"{number:02}",
        "digest": f"{number:064x}",
        "proxy_place": number,
        "place": number,
        "value": 1.0,
        "status": status,
        "reason": reason,
        "epochs": len(curve),
        "top1": curve[-1] if curve else None,
        "top1_at_grace": curve[0] if curve else None,
        "curve": curve,
        "trained_place": place,
    }


def write(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    data = {
        "format": "uninas-refine-results",
        "version": 1,
        "complete": True,
        "epochs": 3,
        "grace": 1,
        "reduction": 2.0,
        "finalists": rows,
        **changes,
    }
    (folder / "results.json").write_text(json.dumps(data))
    return folder


FOUR = [
    row(1, 2, [30.0, 35.0, 61.25]),
    row(2, 3, [20.0], "stop"),
    row(3, 1, [40.0, 50.0, 70.5]),
    row(4, None, [], "failed", "epoch 1: <no> number"),
]


def test_none(tmp_path: Path) -> None:
    assert read_refined(tmp_path / "refine") is None


def test_few(tmp_path: Path) -> None:
    refined = read_refined(write(tmp_path / "refine", FOUR))
    assert refined is not None
    words = agreement(refined)
    expected = kendall([-1, -2, -3], [-2, -3, -1])
    assert f"{expected:.2f}".replace("-", "−") in words[0]
    assert "3 networks; a random order does as well with probability" in words[0]
    early = kendall([-1, -2, -3], [30.0, 20.0, 40.0])
    assert words[1].startswith("Of proxy rank and top-1 after 1 epoch, which every finalist was trained for: τ")
    assert f"{early:.2f}".replace("-", "−") in words[1]
    assert "3 networks prove little: if two neighbours swap ranks, τ changes by 0.67" in words[2]
    html = str(section(refined))
    assert html.index('<th scope="row">03') < html.index('<th scope="row">01') < html.index('<th scope="row">02')
    assert "failed: epoch 1: &lt;no&gt; number" in html
    assert "1 of 3" in html
    assert "stopped: behind the others" in html
    drawing = html[html.index("<svg") : html.index("</svg>") + 6]
    ElementTree.fromstring(drawing.replace("<svg", '<svg xmlns="x"', 1) if "xmlns=" not in drawing else drawing)
    assert "03  70.5 %" in drawing


def test_finalists_that_were_numbered_anew_are_found_by_digest(tmp_path: Path) -> None:
    refined = read_refined(write(tmp_path / "refine", FOUR))
    assert refined is not None
    same = {one["digest"]: one["finalist"] for one in FOUR}
    assert section(refined, same) == section(refined)
    html = str(
        section(
            refined,
            {**same, FOUR[0]["digest"]: "03", FOUR[2]["digest"]: "01", FOUR[1]["digest"]: "07"} | {FOUR[3]["digest"]: "04"},
        )
    )
    for one, now in ((FOUR[0], "03"), (FOUR[1], "07"), (FOUR[2], "01")):
        assert f'<th scope="row">{one["finalist"]}</th><td class="mono">{one["digest"][:12]}</td><td>{now}</td>' in html
    assert "numbered anew" in html
    gone = str(section(refined, {}))
    assert gone.count("<td>–</td>") >= 4


def test_many_are_called_neither_few_nor_proven(tmp_path: Path) -> None:
    """Where the orders agree, tau is near one, and chance is not a likely reason."""
    rng = random.Random(0)
    rows = [row(number, number, [50.0 - number + rng.random() / 2, 60.0 - number]) for number in range(1, 21)]
    refined = read_refined(write(tmp_path / "refine", rows))
    assert refined is not None
    words = agreement(refined)
    assert "trained rank 1.00 (95 % bootstrap interval 1.00 to 1.00, 20 networks; " in words[0]
    assert "with probability 0.00" in words[0]
    assert not any("prove little" in line for line in words)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "needs two networks, there is none"),
        ([row(1, 1, [3.0])], "needs two networks, there is one"),
        ([row(1, 1, [3.0]), row(2, 1, [3.0])], "none, for all 2 are equal"),
    ],
)
def test_where_there_is_no_tau(rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    refined = read_refined(write(tmp_path / "refine", rows))
    assert refined is not None
    assert said in agreement(refined)[0]
    section(refined)


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    for changes in ({"version": 2}, {"format": "x"}, {"finalists": [{}]}, {"finalists": 3}):
        with pytest.raises(InputError, match=r"results\.json: expected the results of a refine, version 1"):
            read_refined(write(tmp_path / "refine", FOUR, **changes))
    (tmp_path / "refine/results.json").write_text("[]")
    with pytest.raises(InputError, match="expected the results of a refine"):
        read_refined(tmp_path / "refine")


def test_it_stands_on_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "baseline=false")
    plain = write_report(run, spectra=False).read_text(encoding="utf-8")
    assert 'id="refined"' not in plain
    write(run / "refine", FOUR, complete=False)
    page = write_report(run, spectra=False).read_text(encoding="utf-8")
    assert '<section id="refined">' in page
    assert '<a href="#refined">' in page
    assert "Some trainings have not ended" in page


def test_the_page_of_an_extended_run_joins_trainings_and_finalists_by_digest(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "baseline=false")
    finalists = read_run(run).finalists
    assert len(finalists) == 3
    rows = [{**row(1, 1, [30.0]), "digest": finalists[2].entry.digest}, {**row(2, 2, [20.0]), "digest": "f" * 64}]
    write(run / "refine", rows)
    page = write_report(run, spectra=False).read_text(encoding="utf-8")
    assert f'<th scope="row">01</th><td class="mono">{finalists[2].entry.digest[:12]}</td><td>03</td>' in page
    assert f'<th scope="row">02</th><td class="mono">{"f" * 12}</td><td>–</td>' in page
