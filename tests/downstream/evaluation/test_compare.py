"""Networks side by side, how quick they are, and what `uninas evaluate` and `uninas compare` print."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from downstream.evaluation.accuracy import Accuracy
from downstream.evaluation.compare import accuracies, compare, sizes_of
from downstream.evaluation.speed import Speed, measure
from downstream.models.timm_model import UniNASNet
from downstream.train.history import read_history, write_history
from downstream.weights import weight_files
from tests.downstream import pictures
from tests.uninas.examples import small, tiny
from uninas import Architecture, InputError, cli, preset
from uninas.analysis.cost import cost
from uninas.text import to_text

PANELS = {"top-1, %": ("top1",)}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(list(arguments))
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out, captured.err


def test_counts_are_the_symbolic_ones_at_each_tasks_size() -> None:
    rows = compare({"resnet": preset("resnet"), "coatnet": preset("coatnet")}, sizes_of(("classify", "detect", "segment")))
    assert [(row.name, row.task, row.size) for row in rows[:3]] == [
        ("resnet", "classify", (224, 224)),
        ("resnet", "detect", (800, 1280)),
        ("resnet", "segment", (512, 512)),
    ]
    for row in rows:
        found = cost(preset(row.name), row.size, 1000 if row.task == "classify" else 0)
        assert (row.params, row.macs) == (found.params, found.macs)
        assert row.pictures_per_second is row.peak_bytes is row.failed is None


def test_speed_is_measured_in_a_process_of_its_own() -> None:
    quick = measure(tiny("E", (32, 32)), size=(32, 32), classes=5, batch=2, device="cpu", threads=1)
    assert quick.pictures_per_second > 0
    assert quick.device.endswith("1 threads")
    assert quick.peak_bytes is None or quick.peak_bytes > cost(tiny("E", (32, 32))).params * 4
    backbone = measure(tiny("E", (32, 32)), size=(64, 48), classes=0, batch=1, device="cpu", threads=1)
    assert backbone.pictures_per_second > 0
    with pytest.raises(InputError, match="expected a measurement"):
        measure(tiny("E", (32, 32)), size=(32, 32), classes=5, batch=1, device="cuda:99")


@pytest.mark.slow
def test_a_network_that_does_not_fit_leaves_the_others_their_figures() -> None:
    rows = compare({"one": tiny("E", (32, 32))}, {"classify": (32, 32), "detect": (65536, 65536)}, device="cpu")
    assert rows[0].failed is None
    assert rows[0].pictures_per_second
    assert rows[1].failed


@pytest.mark.parametrize(("tasks", "sizes"), [((), ()), (("classify", "sing"), ()), (("classify",), ((1, 1), (2, 2)))])
def test_tasks_and_sizes_that_do_not_fit(tasks: tuple[str, ...], sizes: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(InputError, match=r"--(tasks|sizes)"):
        sizes_of(tasks, sizes)


def test_accuracies_are_the_best_of_a_log(tmp_path: Path) -> None:
    write_history(tmp_path, [{"epoch": 1, "top1": 40.0}, {"epoch": 2, "top1": 60.0}], PANELS)
    assert accuracies(tmp_path) == {"top1": 60.0}
    assert read_history(tmp_path) == [{"epoch": 1.0, "top1": 40.0}, {"epoch": 2.0, "top1": 60.0}]
    write_history(tmp_path, [{"epoch": 1, "top1": 40.0, "top1_ema": 65.0}, {"epoch": 2, "top1": 60.0, "top1_ema": 64.0}], PANELS)
    assert accuracies(tmp_path) == {"top1": 65.0}  # averaged weights are kept where they are the best
    foreign = tmp_path / "mm" / "20260101" / "vis_data"
    foreign.mkdir(parents=True)
    lines = [
        {"loss": 1.0, "step": 1},
        {"coco/bbox_mAP": 0.31, "coco/segm_mAP": 0.28, "step": 1},
        {"coco/bbox_mAP": 0.37, "step": 2},
    ]
    (foreign / "scalars.json").write_text("\n".join(map(json.dumps, lines)))
    assert accuracies(tmp_path / "mm") == pytest.approx({"box_ap": 37.0, "mask_ap": 28.0})
    (foreign / "scalars.json").write_text("[1,")
    with pytest.raises(InputError, match="expected the log of a training"):
        accuracies(tmp_path / "mm")
    with pytest.raises(InputError, match="expected a training's log"):
        accuracies(tmp_path / "nowhere")


def test_the_table_in_the_terminal_and_in_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write_history(tmp_path, [{"epoch": 1, "top1": 76.5}], PANELS)
    table = tmp_path / "table.csv"
    code, out, _ = run(
        capsys,
        "compare",
        "resnet",
        "coatnet",
        "--device",
        "none",
        "--tasks",
        "classify",
        "--log",
        f"coatnet={tmp_path}",
        "--out",
        str(table),
    )
    assert code == 0
    assert "24.8M" in out
    assert f"{2 * cost(preset('resnet')).macs / 1e9:.2f}G" in out
    assert "top-1 76.50" in out
    with table.open() as file:
        assert [(row["name"], row["top1"]) for row in csv.DictReader(file)] == [("resnet", ""), ("coatnet", "76.5")]
    for name in ("table.json", "table.md"):
        assert run(capsys, "compare", "resnet", "--device", "none", "--tasks", "classify", "--out", str(tmp_path / name))[0] == 0
        assert "resnet" in (tmp_path / name).read_text()
    code, _, err = run(capsys, "compare", "resnet", "--device", "none", "--log", "vit=x")
    assert code == 2
    assert "--log: expected ARCH=RUN with one of resnet; got vit=x" in err


def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is measured from now on, or would be."""
    asked: list[str] = []

    def one(architecture: Architecture, *, device: str, **options: Any) -> Speed:
        asked.append(device)
        return Speed(1.0, 0.0, None, device)

    monkeypatch.setattr("downstream.evaluation.compare.measure", one)
    return asked


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table.txt", "--out: expected a file that ends in .csv, .json or .md; got "),
        ("nowhere/table.md", "--out: expected a file in a folder that exists; got "),
        ("folder.md", "--out: expected a file; got a folder, "),
    ],
)
def test_a_table_that_cannot_be_written_is_rejected_before_anything_is_measured(
    name: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = measured(monkeypatch)
    (tmp_path / "folder.md").mkdir()
    code, out, err = run(capsys, "compare", "resnet", "--tasks", "classify", "--device", "cpu", "--out", str(tmp_path / name))
    assert (code, out, asked) == (2, "", [])
    assert f"{message}{tmp_path / name}" in err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_was_measured_is_shown_where_the_disk_rejects(
    form: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise InputError("table.md: cannot write: No space left on device")

    asked = measured(monkeypatch)
    monkeypatch.setattr("uninas.files.writing.write_text", full)
    arguments = ("compare", "resnet", "--tasks", "classify", "--device", "cpu", "--out", str(tmp_path / "table.md"))
    code, out, err = run(capsys, *arguments, *form)
    assert (code, asked) == (2, ["cpu"])
    assert "resnet" in out
    assert "No space left" in err


def test_what_is_there_twice_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (("resnet", "--tasks", "classify,classify", "--sizes", "64,32"), "--tasks: expected each name once; got classify twice"),
        (("resnet", "vit", "resnet"), "ARCHS: expected each name once; got resnet twice"),
    ):
        code, _, err = run(capsys, "compare", *arguments, "--device", "none")
        assert code == 2
        assert message in err


def test_a_training_without_a_figure_yet_has_an_empty_accuracy(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As a segmenter's before its fifth epoch; a log that was asked for has one."""
    (tmp_path / "architecture.json").write_text(to_text(tiny("E", (32, 32))))
    write_history(tmp_path, [{"epoch": 1, "train_loss": 4.0}], {"loss": ("train_loss",)})
    arguments = ("compare", str(tmp_path), "--tasks", "segment", "--device", "none")
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    assert json.loads(out)["rows"][0]["accuracy"] is None
    assert run(capsys, *arguments)[0] == 0
    code, _, err = run(capsys, *arguments, "--log", f"{tmp_path}={tmp_path}")
    assert code == 2
    assert "expected a training's log.csv or scalars.json with" in err
    (tmp_path / "log.csv").write_text("epoch,miou\n1,much\n")
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert "expected the log of a training" in err


def test_evaluate_says_what_the_weights_are_worth(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = pictures.make(tmp_path / "data", train=1, val=3)
    (tmp_path / "a.json").write_text(to_text(tiny("E", (32, 32))))
    weight_files.save(UniNASNet(tiny("E", (32, 32)), num_classes=3).state_dict(), tmp_path / "w.safetensors")
    (data / "val" / "red" / "broken.png").write_bytes(b"no image")
    arguments = ("evaluate", str(tmp_path / "a.json"), "--data", str(data), "--workers", "0", "--device", "cpu")
    code, out, _ = run(capsys, *arguments, "--weights", str(tmp_path / "w.safetensors"), "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0
    assert found["pictures"] == 9
    assert found["unreadable"] == ["val/red/broken.png"]
    assert 0 <= found["top1"] <= 100
    code, out, _ = run(capsys, *arguments, "--weights", str(tmp_path / "w.safetensors"))
    assert "on 9 images" in out
    assert "1 images could not be read" in out
    monkeypatch.setattr("downstream.evaluation.accuracy.accuracy", lambda *_: Accuracy(50.0, 60.0, math.nan, 9, (), math.inf))
    code, out, _ = run(capsys, *arguments, "--weights", str(tmp_path / "w.safetensors"), "--json")
    found = json.loads(out, parse_constant=pytest.fail)  # JSON has no NaN
    assert (found["top1"], found["loss"], found["pictures_per_second"]) == (50.0, None, None)
    for given, message in (
        ((), "--weights: expected a weights file"),
        (("--weights", "nowhere.pth"), "got nowhere.pth, which is not a file"),
    ):
        code, _, err = run(capsys, *arguments, *given)
        assert code == 2
        assert message in err


def test_a_training_is_its_own_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = pictures.make(tmp_path / "data", train=4, val=2)
    (tmp_path / "a.json").write_text(to_text(tiny("E", (32, 32))))
    out = str(tmp_path / "run")
    code, _, err = run(
        capsys,
        "train",
        str(tmp_path / "a.json"),
        "--data",
        str(data),
        "--epochs",
        "1",
        "--batch",
        "4",
        "--size",
        "32",
        "--workers",
        "0",
        "--device",
        "cpu",
        "--out",
        out,
    )
    assert code == 0, err
    code, shown, err = run(capsys, "compare", out, "--tasks", "classify", "--sizes", "32", "--device", "none", "--json")
    assert code == 0, err
    assert json.loads(shown)["rows"][0]["accuracy"]["top1"] == pytest.approx(read_history(Path(out))[0]["top1"])
    assert run(capsys, "cost", out, "--json")[0] == 0


def test_a_classifiers_class_count_must_be_the_datas(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = pictures.make(tmp_path / "data", train=1, val=1)
    weight_files.save(UniNASNet(small("resnet"), num_classes=7).state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "a.json").write_text(to_text(small("resnet")))
    code, _, err = run(
        capsys,
        "evaluate",
        str(tmp_path / "a.json"),
        "--data",
        str(data),
        "--weights",
        str(tmp_path / "w.safetensors"),
        "--workers",
        "0",
        "--device",
        "cpu",
    )
    assert code == 2
    assert "expected a classifier of 3 classes; it has 7" in err
