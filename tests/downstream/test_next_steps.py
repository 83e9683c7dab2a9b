"""What a run says last is a command that goes on from there."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch

import downstream  # noqa: F401 registers the model
from downstream.commands.refine import _say_next
from downstream.refine.run_folder import Finalist, RefinePlan
from search.commands import search
from tests.downstream import pictures
from tests.uninas.examples import tiny
from uninas import cli
from uninas.commands.next_step import say_next
from uninas.text import to_text

import timm  # isort: skip  after the repair of torchvision


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What a command says last."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(word) for word in words])
    said = capsys.readouterr()
    assert not ended.value.code, said.err
    assert "next:" not in said.out
    return said.err.splitlines()[-1]


def command(line: str) -> list[str]:
    before, _, words = line.partition("next: ")
    assert before == ""
    return shlex.split(words, comments=True)


def test_a_training_leads_to_an_export_and_that_to_timm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.json").write_text(to_text(tiny("R", (32, 32))))
    data = pictures.make(tmp_path / "data", train=8, val=4)
    options = ("--epochs", "1", "--size", "32", "--batch", "2", "--workers", "0", "--device", "cpu", "--augment", "")
    last = run(capsys, "train", "net.json", "--data", data, *options, "--out", "my run")
    name, *words = command(last)
    assert (name, words) == ("uninas", ["export", "my run", "--to", "timm", "--out", "exported"])
    model = timm.create_model("uninas", arch="my run", pretrained=True)
    resumed = timm.create_model("uninas", arch="my run", num_classes=3, checkpoint_path="my run/checkpoint.pth")
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in model.state_dict().items())  # of the one epoch
    last = run(capsys, *words)
    assert command(last) == ["python", "-m", "downstream", "validate.py", "DATA", "--model", "local-dir:exported", "--pretrained"]
    assert Path("exported/model.safetensors").is_file()


def test_other_formats_lead_to_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.json").write_text(to_text(tiny("R", (32, 32))))
    last = run(capsys, "export", tmp_path / "net.json", "--to", "torch", "--out", tmp_path / "out")
    assert last == f"next: the program in {tmp_path / 'out' / 'README.md'}, in that folder"


def test_a_refine_leads_to_the_finalist_that_trained_best(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("01", "02", "03", "resnet")
    trained = tuple(Finalist(name, "0" * 64, place, place, 0.5) for place, name in enumerate(names, 1))
    plan = RefinePlan(trained, "my images", 8, 1, 3.0, "cpu", 1, 0.0, 0, 1)
    rows = [{"finalist": name, "trained_place": place} for name, place in zip(names, (2, None, 1, 3), strict=True)]
    _say_next(Path("runs/mine"), plan, {"finalists": rows})
    assert command(capsys.readouterr().err) == ["uninas", "train", "runs/mine/finalists/03.json", "--data", "my images"]
    _say_next(Path("runs/mine"), plan, {"finalists": rows[3:]})  # a control is in a folder of its own
    assert command(capsys.readouterr().err) == ["uninas", "train", "runs/mine/controls/resnet.json", "--data", "my images"]
    _say_next(Path("runs/mine"), plan, {"finalists": rows[1:2]})
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("runs/my search/", "next: uninas refine 'runs/my search/' --data DATA"),
        ("s3://bucket/run/", "next: copy s3://bucket/run/best.json to this machine, and uninas train best.json --data DATA"),
    ],
)
def test_a_search_leads_to_its_finalists(
    place: str, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = dict.fromkeys(("params", "macs", "layers", "attention_tokens"), 1)
    best = {"cost": costs, "mean": {"vkdnw": 0.5}, "index": 3, "digest": "0" * 64, "rescores": [{}]}
    monkeypatch.setattr("search.report.write_report", lambda folder: Path("report.html"))
    search._finish(Path("x"), {"best": best, "counts": {"search": {"done": 9}}}, place)
    assert capsys.readouterr().err.splitlines()[-1].startswith(expected)


def test_words_are_quoted_for_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    say_next("uninas", "cost", Path("it's; rm"), note="costs")
    assert capsys.readouterr().err == """next: uninas cost 'it'"'"'s; rm'   # costs\n"""
