"""Detection and segmentation on small data in the true layouts: trained, evaluated, saved, resumed, loaded, run at odd sizes."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from downstream.models import openmmlab
from tests.amounts import slow
from tests.downstream import cards, scenes
from tests.uninas.examples import small
from uninas import InputError, cli
from uninas.text import to_text

pytest.importorskip("mmengine", reason="OpenMMLab is not installed: make test builds it")

from downstream.export import export
from downstream.models.timm_model import UniNASNet
from downstream.protocols import PROTOCOLS
from downstream.subject import subject_of
from downstream.train import mm
from downstream.train.mm_classes import dataset_meta
from downstream.train.mm_config import configured
from downstream.train.result import Watch
from downstream.train.run_folder import alone
from downstream.train.settings import read_settings
from downstream.weights import weight_files
from tests.downstream.detectors import SIZES, TASKS, rows_of, settings
from tests.downstream.tools import check_tools
from tests.downstream.trainings import torchrun

pytestmark = pytest.mark.filterwarnings("ignore")  # of OpenMMLab itself


def test_the_operators_are_compiled() -> None:
    """Never skipped: an environment with mmcv but without its operators is a broken one."""
    assert openmmlab.operators()
    from mmcv.ops import RoIAlign, nms

    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    _, kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]
    features = torch.rand(1, 2, 8, 8, requires_grad=True)
    RoIAlign(2)(features, torch.tensor([[0.0, 1.0, 1.0, 6.0, 6.0]])).sum().backward()
    assert features.grad is not None
    assert float(features.grad.abs().sum()) > 0


class Stop(Watch):
    """Ends a training in the middle of an epoch, the first of which is 0."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Any) -> None:
        if (epoch, step) == (self._epoch, 1):
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_it_trains_evaluates_resumes_and_reloads(
    task: str, annotated: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, broken = tmp_path / "run", tmp_path / "broken"
    asked = settings(task, epochs=2, classes=scenes.CLASSES if task == "detect" else None)
    found = mm.train(asked, annotated[task], run, workers=2)
    assert [row["epoch"] for row in found.rows] == [1, 2]
    assert all(found.metric in row for row in found.rows)
    assert read_settings(run) == asked
    for name in ("log.csv", "curves.svg", "best.safetensors", "checkpoint.pth", "architecture.json"):
        assert (run / name).is_file(), name
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", str(run), "--data", str(annotated[task]), "--workers", "0", "--json"])
    assert not ended.value.code
    scored = json.loads(capsys.readouterr().out)  # one object, and nothing else
    assert scored[found.metric] == pytest.approx(found.best, abs=1e-3)
    assert scored["pictures_per_second"] > 0

    with pytest.raises(KeyboardInterrupt):
        mm.train(asked, annotated[task], broken, workers=0, watch=Stop(1))
    again = mm.train(read_settings(broken), annotated[task], broken, workers=0, resume=True)
    assert again.best == found.best
    assert rows_of(broken) == rows_of(run)  # whoever reads the images
    one, other = (weight_files.read_tensors(folder / "best.safetensors", whole=True) for folder in (run, broken))
    assert all(torch.equal(value, other[name]) for name, value in one.items())

    to = {"detect": "mmdet", "segment": "mmseg"}[task]
    export(subject_of(str(run)), to, tmp_path / "it's made")
    check_exported(task, tmp_path / "it's made", one)
    shutil.copy(next(iter(sorted(annotated[task].rglob("*.jpg")))), tmp_path / "it's made" / "image.jpg")
    (code,) = cards.programs(tmp_path / "it's made")
    assert cards.run(tmp_path / "it's made", f"{code}\nprint(type(found).__name__)")[-1].endswith("DataSample")
    with pytest.raises(InputError, match=f"--to: expected {to}"):
        export(subject_of(str(run)), "timm", tmp_path / "other")

    kept = weight_files.read_checkpoint(run / "checkpoint.pth")["meta"]["dataset_meta"]
    assert kept == dataset_meta(task, asked.classes)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_openmmlabs_own_tools_take_the_export(task: str, annotated: dict[str, Path], tmp_path: Path) -> None:
    asked = settings(task, epochs=1, classes=scenes.CLASSES if task == "detect" else None)
    mm.train(asked, annotated[task], tmp_path / "run", workers=0)
    export(subject_of(str(tmp_path / "run")), {"detect": "mmdet", "segment": "mmseg"}[task], tmp_path / "it's made")
    assert check_tools(task, tmp_path / "it's made", annotated[task], tmp_path) == 6


def check_exported(task: str, folder: Path, expected: dict[str, torch.Tensor]) -> None:
    """OpenMMLab's own way to a model gives the trained one."""
    if task == "detect":
        from mmdet.apis import init_detector as init
    else:
        from mmseg.apis import init_model as init
        from mmseg.utils import get_classes
    model = init(str(folder / "config.py"), str(folder / "model.pth"), device="cpu")
    classes = scenes.CLASSES if task == "detect" else get_classes("ade20k")
    assert list(model.dataset_meta["classes"]) == list(classes)
    assert model.dataset_meta["palette"] == dataset_meta(task, classes)["palette"]
    found = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    height, width = SIZES[task]
    scales = [tuple(step.scale) for step in model.cfg.test_dataloader.dataset.pipeline if step.type == "Resize"]
    assert scales == [(width, height) if task == "detect" else (4 * width, height)]  # as it was trained
    card = (folder / "README.md").read_text()
    for said in (f"{init.__name__}(", f"**Classes:** {3 if task == 'detect' else 150}", f"Image size: {height} x {width}"):
        assert said in card


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_what_dies_in_its_validation_is_validated_by_the_resume(task: str, annotated: dict[str, Path], tmp_path: Path) -> None:
    """Here for an image that is damaged after the data were checked; the last epoch, and the first weights, are not lost."""

    class Damage(Watch):
        def step(self, *place: Any) -> None:
            image.write_bytes(whole[:50])

    asked, run, start = settings(task, epochs=1), tmp_path / "run", tmp_path / "start.safetensors"
    weight_files.save(UniNASNet(small("coatnet"), num_classes=7).state_dict(), start)
    folder = {"detect": scenes.make_coco, "segment": scenes.make_ade}[task](tmp_path / "data")
    image = next(path for path in sorted(folder.rglob("*.jpg")) if "val" in path.parent.name)
    whole = image.read_bytes()
    with pytest.raises(InputError, match=rf"^{re.escape(str(image))}: expected an image; it cannot be read"):
        mm.train(dataclasses.replace(asked, weights=str(start)), folder, run, workers=2, watch=Damage())
    assert [set(row) & {"mask_ap", "miou"} for row in rows_of(run)] == [set()]
    image.write_bytes(whole)
    start.unlink()
    found = mm.train(read_settings(run), folder, run, workers=0, resume=True)
    assert found.best_epoch == 1
    assert (run / "best.safetensors").is_file()
    assert found.metric in rows_of(run)[0]
    with alone(run), pytest.raises(InputError, match="expected to be the only training"):
        mm.train(read_settings(run), folder, run, workers=0, resume=True)
    mm.train(read_settings(run), folder, run, workers=0, resume=True)  # nothing is left to do
    assert len(rows_of(run)) == 1


def test_several_gpus_train_one_network(annotated: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What wraps the network for them, on a machine that has none."""
    from downstream.train import mm_runner

    config = configured(settings("segment", processes=2), annotated["segment"], tmp_path / "run", workers=0)
    assert config.launcher == "pytorch"
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(mm_runner, "MMDistributedDataParallel", lambda **given: calls.append(given) or given["module"])
    monkeypatch.setattr(mm_runner, "is_distributed", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    runner = object.__new__(mm_runner.OpenMMLabRunner)
    runner.cfg = config
    norm = torch.nn.SyncBatchNorm(4)
    assert runner.wrap_model(None, norm) is norm
    assert calls == [{"module": norm, "device_ids": [3], "broadcast_buffers": False, "find_unused_parameters": True}]


REPORTED = """
import sys
from pathlib import Path
from downstream.train import mm_runner
from uninas import cli

run = mm_runner._Epochs.run

def reported(self):
    model = run(self)
    total = sum(float(one.detach().double().abs().sum()) for one in model.parameters())
    Path(sys.argv[1] + str(self.runner.rank)).write_text(repr(total))
    return model

mm_runner._Epochs.run = reported
cli.main(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_two_processes_have_one_curve(task: str, annotated: dict[str, Path], tmp_path: Path) -> None:
    """Under torchrun, without GPUs; the rates are those of the whole batch."""
    (tmp_path / "a.json").write_text(to_text(small("coatnet")))
    (tmp_path / "reported.py").write_text(REPORTED)
    asked = f"--size {'x'.join(map(str, SIZES[task]))} --batch 2 --epochs 1 --workers 0".split()
    words = ("train", tmp_path / "a.json", "--task", task, "--data", annotated[task], *asked, "--out", tmp_path / "run")
    done = torchrun(tmp_path / "reported.py", tmp_path / "rank", *words, PYTHONWARNINGS="ignore")
    assert done.returncode == 0, done.stderr[-3000:]
    kept = read_settings(tmp_path / "run")
    assert kept.processes == 2
    (row,) = rows_of(tmp_path / "run")
    assert row["lr"] == pytest.approx(PROTOCOLS[task].rates(4).lr, rel=0.2)  # at the end of an epoch of few steps
    one, other = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert one == other  # gradients are averaged: one network, not two
    assert done.stdout.count("best m") == 1
    scored = mm.evaluate(kept, annotated[task], tmp_path / "log", tmp_path / "run" / "best.safetensors", workers=0)
    assert scored[mm.BEST[task]] == pytest.approx(row[mm.BEST[task]], abs=1e-3)  # by one process


def test_a_hostile_checkpoint_runs_nothing(annotated: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither as a pickle, nor as the configuration that mmengine would run as Python."""

    class Trap:
        def __reduce__(self) -> Any:
            return (print, ("a trap ran",))

    run, path = tmp_path / "run", tmp_path / "run" / "checkpoint.pth"
    mm.train(settings("segment", epochs=1), annotated["segment"], run, workers=0)
    dataclasses.replace(settings("segment"), epochs=2).write(run)
    kept = weight_files.read_checkpoint(path)
    for meta in (Trap(), {"epoch": 1, "iter": 1, "config": "print('a trap ran')"}):
        torch.save({**kept, "meta": meta}, path)
        if isinstance(meta, Trap):
            with pytest.raises(InputError, match="and is rejected"):
                mm.train(read_settings(run), annotated["segment"], run, workers=0, resume=True)
        else:
            mm.train(read_settings(run), annotated["segment"], run, workers=0, resume=True)
    torch.save({"state_dict": {}, "meta": {"epoch": 1, "iter": 1, "config": "print('a trap ran')"}}, path)
    with pytest.raises(InputError, match="expected the checkpoint of this training"):
        mm.train(read_settings(run), annotated["segment"], run, workers=0, resume=True)
    captured = capfd.readouterr()
    assert "a trap ran" not in captured.out + captured.err


@pytest.mark.parametrize("task", TASKS)
def test_weights_that_do_not_fit_leave_no_folder(task: str, annotated: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    weight_files.save(UniNASNet(small("resnet"), num_classes=7).state_dict(), other)
    for file in (other, tmp_path / "typo.pth"):
        with pytest.raises(InputError, match=file.name):
            mm.train(settings(task, weights=str(file)), annotated[task], tmp_path / "run", workers=0)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("task", "size"), [slow("detect", (799, 1333)), ("segment", (511, 513))])
def test_whole_models_run_at_odd_sizes(task: str, size: tuple[int, int], annotated: dict[str, Path], tmp_path: Path) -> None:
    """Heads and compiled operators included."""
    from mmengine.registry import MODELS, DefaultScope

    config = configured(settings(task, size=size), annotated[task], tmp_path / "run", workers=0)
    DefaultScope.get_instance(f"odd-{task}", scope_name={"detect": "mmdet", "segment": "mmseg"}[task])
    with DefaultScope.overwrite_default_scope({"detect": "mmdet", "segment": "mmseg"}[task]):
        model = MODELS.build(config.model).eval()
        image = torch.randint(0, 255, (3, *size), dtype=torch.uint8)
        about = {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "pad_shape": size}
        if task == "detect":
            from mmdet.structures import DetDataSample as Sample
        else:
            from mmseg.structures import SegDataSample as Sample
        with torch.no_grad():
            (found,) = model.test_step({"inputs": [image], "data_samples": [Sample(metainfo=about)]})
    if task == "detect":
        assert found.pred_instances.masks.shape[1:] == size
    else:
        assert found.pred_sem_seg.data.shape == (1, *size)


def test_regions_are_read_in_float32() -> None:
    """In mixed precision, where mmcv's operator knows no bfloat16."""
    from downstream.models.mm_roi import Float32RoIExtractor

    extractor = Float32RoIExtractor(
        roi_layer={"type": "RoIAlign", "output_size": 3, "sampling_ratio": 0}, out_channels=2, featmap_strides=[4, 8]
    )
    maps = [torch.rand(1, 2, 32, 32, requires_grad=True), torch.rand(1, 2, 16, 16, requires_grad=True)]
    rois = torch.tensor([[0.0, 3.3, 5.7, 40.1, 61.9], [0.0, 0.2, 0.1, 127.0, 127.0]])
    exact = extractor(tuple(maps), rois)
    for precision in (torch.bfloat16, torch.float16):
        found = extractor(tuple(one.to(precision) for one in maps), rois)
        assert found.dtype == torch.float32
        assert torch.allclose(found, exact, atol=0.01)
        found.sum().backward()
