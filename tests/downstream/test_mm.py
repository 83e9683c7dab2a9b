"""Detection and segmentation on small data in the true layouts: trained, evaluated, saved, resumed, loaded, run at odd sizes."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from downstream import mm_stack
from tests.downstream import scenes
from tests.uninas.networks import small
from uninas import InputError, cli, preset
from uninas.cost import cost
from uninas.text import to_text

pytest.importorskip("mmengine", reason="the mm stack is not installed: make test builds it")

from downstream import weights
from downstream.backbone import architecture_of
from downstream.export import export
from downstream.mm_backbone import UniNAS
from downstream.subject import subject_of
from downstream.timm_model import UniNASNet
from downstream.train import mm
from downstream.train.history import read_history
from downstream.train.mm_config import config_file, configured
from downstream.train.protocols import PROTOCOLS
from downstream.train.result import Watch
from downstream.train.run_folder import alone
from downstream.train.settings import StackSettings, read

pytestmark = pytest.mark.filterwarnings("ignore")  # the stack warns of itself
ROOT = Path(__file__).resolve().parents[2]
TASKS = ("detect", "segment")
SIZES = {"detect": (96, 128), "segment": (64, 64)}


def test_the_operators_are_compiled() -> None:
    """Never skipped: an environment with mmcv but without its operators is a broken one."""
    assert mm_stack.operators()
    from mmcv.ops import RoIAlign, nms

    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
    _, kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)
    assert kept.tolist() == [0, 2]
    features = torch.rand(1, 2, 8, 8, requires_grad=True)
    RoIAlign(2)(features, torch.tensor([[0.0, 1.0, 1.0, 6.0, 6.0]])).sum().backward()
    assert features.grad is not None
    assert float(features.grad.abs().sum()) > 0


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("data")
    return {"detect": scenes.make_coco(folder / "coco"), "segment": scenes.make_ade(folder / "ade")}


def settings(task: str, **changes: Any) -> StackSettings:
    made = StackSettings(
        task=task, arch=json.loads(to_text(small("coatnet"))), size=SIZES[task], batch=2, processes=1, epochs=2, every=1,
        drop_path=0.1,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


# --- the configurations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_a_configuration_is_the_protocol_number_by_number(task: str) -> None:
    """As the stack itself reads the file, for one GPU."""
    from mmengine.config import Config

    config, protocol = Config.fromfile(config_file(task)), PROTOCOLS[task]
    optimiser = config.optim_wrapper.optimizer
    assert (optimiser.type, optimiser.weight_decay) == ("AdamW", protocol.weight_decay)
    assert optimiser.lr == protocol.lr
    assert config.optim_wrapper.clip_grad.max_norm == protocol.clip
    assert config.train_dataloader.batch_size == config.auto_scale_lr.base_batch_size == protocol.batch
    assert config.auto_scale_lr.enable
    assert config.train_cfg.max_epochs == protocol.epochs
    assert config.model.backbone.drop_path_rate == protocol.drop_path
    flips = [step for step in config.train_dataloader.dataset.pipeline if step.type == "RandomFlip"]
    assert [flip.prob for flip in flips] == [0.5]
    kinds = [step.type for step in config.train_dataloader.dataset.pipeline]
    if task == "detect":
        assert tuple(config.train_dataloader.dataset.pipeline[2].scale) == (1280, 800) == protocol.size[::-1]
        assert config.model.type == "MaskRCNN"
        assert config.model.neck.type == "FPN"
    else:
        crop = next(step for step in config.train_dataloader.dataset.pipeline if step.type == "RandomCrop")
        assert tuple(crop.crop_size) == (512, 512) == protocol.size
        assert "PhotoMetricDistortion" in kinds
        assert config.model.decode_head.type == "UPerHead"
        assert config.model.decode_head.num_classes == config.model.auxiliary_head.num_classes == 150


@pytest.mark.parametrize("gpus", [1, 8])
@pytest.mark.parametrize("task", TASKS)
def test_the_schedule_is_the_protocols(task: str, gpus: int) -> None:
    """Every iteration's rate, from the stack's own schedulers, ten iterations an epoch."""
    from mmengine.config import Config
    from mmengine.optim import OptimWrapper
    from mmengine.registry import PARAM_SCHEDULERS, DefaultScope

    DefaultScope.get_instance(f"schedule-{task}-{gpus}", scope_name="mmengine")
    config, protocol = Config.fromfile(config_file(task)), PROTOCOLS[task]
    expected = protocol.rates(gpus * protocol.batch)
    lr = config.optim_wrapper.optimizer.lr * gpus
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    wrapper = OptimWrapper(optimiser)
    length = 10
    schedulers = []
    for one in config.param_scheduler:
        given = dict(one)
        kind = PARAM_SCHEDULERS.get(given.pop("type"))
        convert = given.pop("convert_to_iter_based", False)
        schedulers.append(
            kind.build_iter_from_epoch(wrapper, epoch_length=length, **given) if convert else kind(wrapper, **given)
        )
    rates = []
    for _ in range(config.train_cfg.max_epochs):
        for _ in range(length):
            rates.append(optimiser.param_groups[0]["lr"])
            wrapper.step()
            for one in schedulers:
                if not one.by_epoch:
                    one.step()
        for one in schedulers:
            if one.by_epoch:
                one.step()
    warmup = protocol.warmup_epochs * length
    assert rates[0] == pytest.approx(expected.warmup_lr)
    assert rates[:warmup] == sorted(set(rates[:warmup]))  # it climbs
    assert max(rates) == pytest.approx(expected.lr, rel=0.05)
    assert rates[warmup] == pytest.approx(expected.lr, rel=0.05)
    if task == "detect":
        assert rates[-1] == pytest.approx(expected.min_lr)
        assert rates[8 * length - 1] == pytest.approx(expected.lr)
        assert len({round(rate, 12) for rate in rates[warmup:]}) == 2
    else:
        falls = [one - other for one, other in zip(rates[warmup:-1], rates[warmup + 1 :], strict=True)]
        assert max(falls) == pytest.approx(min(falls), rel=1e-6)  # a straight line
        assert rates[-1] == pytest.approx(expected.min_lr, abs=expected.lr / 500)


@pytest.mark.parametrize(("to", "task"), [("mmdet", "detect"), ("mmseg", "segment")])
@pytest.mark.parametrize("folder", ["moved", "John's", 'the "best"', "two words", "a\\b", "{{ x }}"])
def test_an_exported_folder_is_a_configuration_wherever_it_lies(to: str, task: str, folder: str, tmp_path: Path) -> None:
    from mmengine.config import Config
    from mmengine.registry import MODELS

    classifier = UniNASNet(small("coatnet"), num_classes=7)
    weights.save(classifier.state_dict(), tmp_path / "w.safetensors", {})
    (tmp_path / "a.json").write_text(to_text(small("coatnet")))
    subject = subject_of(str(tmp_path / "a.json"), weights=tmp_path / "w.safetensors")
    export(subject, to, tmp_path / "made")
    (tmp_path / "made").rename(tmp_path / folder)
    config = Config.fromfile(tmp_path / folder / "config.py")
    backbone = MODELS.build(config.model.backbone)
    backbone.init_weights()
    assert torch.equal(next(backbone.parameters()), next(classifier.parameters()))
    widths = config.model.neck.in_channels if task == "detect" else config.model.decode_head.in_channels
    assert tuple(widths) == backbone.out_channels
    card = (tmp_path / folder / "README.md").read_text()
    assert "Config.fromfile" in card
    backbone_cost = cost(small("coatnet"), PROTOCOLS[task].size, 0)
    for said in (f"pipeline_tag: {'object-detection' if task == 'detect' else 'image-segmentation'}",
                 f"Params (M): {backbone_cost.params / 1e6:.3g}", f"GMACs: {backbone_cost.macs / 1e9:.3g}",
                 f"**Classes:** {80 if task == 'detect' else 150}"):  # fmt: skip
        assert said in card
    for option in ("--size", "--classes"):
        with pytest.raises(SystemExit):
            cli.main(["export", "coatnet", "--to", to, "--out", str(tmp_path / "no"), option, "64"])
    assert not (tmp_path / "no").exists()


# --- the backbone -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(799, 1333), (511, 513), (65, 33)])
def test_maps_follow_the_input(height: int, width: int) -> None:
    backbone = UniNAS(small("coatnet")).eval()
    with torch.no_grad():
        maps = backbone(torch.rand(1, 3, height, width))
    assert [tuple(one.shape[1:]) for one in maps] == [
        (channels, -(-height // stride), -(-width // stride))
        for channels, stride in zip(backbone.out_channels, (4, 8, 16, 32), strict=True)
    ]
    assert all(torch.isfinite(one).all() for one in maps)


def test_frozen_stages_do_not_train_and_norms_stay() -> None:
    backbone = UniNAS(small("resnet"), frozen_stages=2, norm_eval=True)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    backbone.train()
    sum(one.sum() for one in backbone(torch.rand(2, 3, 64, 64))).backward()
    trained = {name.split(".")[0] + "." + name.split(".")[1] for name, p in backbone.named_parameters() if p.grad is not None}
    assert not any(name.startswith("stem") or name in ("stages.0", "stages.1") for name in trained)
    assert {"stages.2", "stages.3"} <= trained
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())


def test_checkpointing_changes_nothing() -> None:
    plain, thrifty = UniNAS(small("coatnet")), UniNAS(small("coatnet"), with_cp=True)
    thrifty.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 64, 64)
    for backbone in (plain, thrifty):
        backbone.train()
        sum(one.square().mean() for one in backbone(x)).backward()
    for (name, one), (_, other) in zip(plain.named_parameters(), thrifty.named_parameters(), strict=True):
        assert one.grad is None or torch.allclose(one.grad, other.grad, atol=1e-6), name
    for one, other in zip(plain.buffers(), thrifty.buffers(), strict=True):
        assert torch.equal(one, other)


def test_a_classifiers_weights_load(tmp_path: Path) -> None:
    classifier = UniNASNet(small("coatnet"), num_classes=7)
    weights.save(classifier.state_dict(), tmp_path / "w.safetensors", {})
    backbone = UniNAS(small("coatnet"), weights=str(tmp_path / "w.safetensors"))
    backbone.init_weights()
    loaded = classifier.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in backbone.state_dict().items())
    with pytest.raises(InputError):
        UniNAS(small("resnet"), weights=str(tmp_path / "w.safetensors")).init_weights()
    shorter = UniNAS(small("coatnet"), out_indices=(0, 1, 2), weights=str(tmp_path / "w.safetensors"))
    shorter.init_weights()
    assert all(torch.equal(value, loaded[name]) for name, value in shorter.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_indices": (0, 4)}, "out_indices: expected some of 0 to 3"),
        ({"out_indices": 3}, "out_indices: expected a list of stages; got 3"),
        ({"frozen_stages": 5}, "frozen_stages: expected -1 to 4"),
        ({"weights": "nowhere.pth"}, "there is no nowhere.pth"),
        ({"drop_path_rate": 1.0}, "drop_path_rate: expected at least 0 and less than 1"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        UniNAS(small("coatnet"), **options)


@pytest.mark.parametrize(("size", "name"), [((800, 1280), "coatnet"), ((512, 512), "resnet")])
def test_costs_at_the_papers_sizes_are_the_symbolic_ones(size: tuple[int, int], name: str) -> None:
    """MACs of the backbone as it runs, operation by operation, against the cost of the graph without its classifier."""
    from proxies.meter import Meter
    from uninas.cost import cost

    architecture = architecture_of(preset(name).replace(input_size=size))
    backbone = UniNAS(architecture).eval().to("meta")
    meter = Meter()
    with torch.no_grad(), meter:
        backbone(torch.empty(1, 3, *size, device="meta"))
    assert meter.macs == cost(architecture, classes=0).macs


# --- training ---------------------------------------------------------------------------------------------------------------


class Stop(Watch):
    """Ends a training in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def step(self, epoch: int, epochs: int, step: int, steps: int, loss: Any) -> None:
        if (epoch, step) == (self._epoch, 1):
            raise KeyboardInterrupt


def rows_of(run: Path) -> list[dict[str, float]]:
    return [{name: row[name] for name in row if name not in ("seconds", "pictures_per_second")} for row in read_history(run)]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_it_trains_evaluates_resumes_and_reloads(
    task: str, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, broken = tmp_path / "run", tmp_path / "broken"
    asked = settings(task, epochs=3, classes=scenes.CLASSES if task == "detect" else None)
    found = mm.train(asked, data[task], run, workers=2)
    assert [row["epoch"] for row in found.rows] == [1, 2, 3]
    assert all(found.metric in row for row in found.rows)
    assert read(run) == asked
    for name in ("log.csv", "curves.svg", "best.safetensors", "checkpoint.pth", "architecture.json"):
        assert (run / name).is_file(), name
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", str(run), "--data", str(data[task]), "--workers", "0", "--json"])
    assert not ended.value.code
    scored = json.loads(capsys.readouterr().out)  # one object, and nothing else
    assert scored[found.metric] == pytest.approx(found.best, abs=1e-3)
    assert scored["pictures_per_second"] > 0

    with pytest.raises(KeyboardInterrupt):
        mm.train(asked, data[task], broken, workers=0, watch=Stop(2))
    again = mm.train(read(broken), data[task], broken, workers=0, resume=True)
    assert again.best == found.best
    assert rows_of(broken) == rows_of(run)  # whoever reads the pictures
    one, other = (weights.read(folder / "best.safetensors", whole=True) for folder in (run, broken))
    assert all(torch.equal(value, other[name]) for name, value in one.items())

    to = {"detect": "mmdet", "segment": "mmseg"}[task]
    export(subject_of(str(run)), to, tmp_path / "it's made")
    check_exported(task, tmp_path / "it's made", one)
    with pytest.raises(InputError, match=f"--to: expected {to}"):
        export(subject_of(str(run)), "timm", tmp_path / "other")


def check_exported(task: str, folder: Path, expected: dict[str, torch.Tensor]) -> None:
    """The stack's own way to a model gives the trained one."""
    if task == "detect":
        from mmdet.apis import init_detector as init
    else:
        from mmseg.apis import init_model as init
        from mmseg.utils import get_classes
    model = init(str(folder / "config.py"), str(folder / "model.pth"), device="cpu")
    classes = scenes.CLASSES if task == "detect" else get_classes("ade20k")
    assert list(model.dataset_meta["classes"]) == list(classes)
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
def test_what_dies_in_its_validation_is_validated_by_the_resume(task: str, data: dict[str, Path], tmp_path: Path) -> None:
    """Here for a broken picture; the last epoch, and the first weights, are not lost."""
    asked, run, start = settings(task, epochs=1), tmp_path / "run", tmp_path / "start.safetensors"
    weights.save(UniNASNet(small("coatnet"), num_classes=7).state_dict(), start)
    folder = {"detect": scenes.make_coco, "segment": scenes.make_ade}[task](tmp_path / "data")
    picture = next(path for path in sorted(folder.rglob("*.jpg")) if "val" in path.parent.name)
    whole = picture.read_bytes()
    picture.write_bytes(whole[:50])
    with pytest.raises(InputError, match=rf"^{re.escape(str(picture))}: expected a picture; it cannot be read"):
        mm.train(dataclasses.replace(asked, weights=str(start)), folder, run, workers=2)
    assert [set(row) & {"mask_ap", "miou"} for row in rows_of(run)] == [set()]
    picture.write_bytes(whole)
    start.unlink()
    found = mm.train(read(run), folder, run, workers=0, resume=True)
    assert found.best_epoch == 1
    assert (run / "best.safetensors").is_file()
    assert found.metric in rows_of(run)[0]
    with alone(run), pytest.raises(InputError, match="expected to be the only training"):
        mm.train(read(run), folder, run, workers=0, resume=True)
    mm.train(read(run), folder, run, workers=0, resume=True)  # nothing is left to do
    assert len(rows_of(run)) == 1


def test_several_gpus_train_one_network(data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What wraps the network for them, on a machine that has none."""
    from downstream.train import mm_runner

    config = configured(settings("segment", processes=2), data["segment"], tmp_path / "run", workers=0)
    assert config.launcher == "pytorch"
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr(mm_runner, "MMDistributedDataParallel", lambda **given: calls.append(given) or given["module"])
    monkeypatch.setattr(mm_runner, "is_distributed", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    runner = object.__new__(mm_runner.StackRunner)
    runner.cfg = config
    norm = torch.nn.SyncBatchNorm(4)
    assert runner.wrap_model(None, norm) is norm
    assert calls == [{"module": norm, "device_ids": [3], "broadcast_buffers": False, "find_unused_parameters": True}]


TOLD = """
import sys
from pathlib import Path
from downstream.train import mm_runner
from uninas import cli

run = mm_runner._Epochs.run

def told(self):
    model = run(self)
    total = sum(float(one.detach().double().abs().sum()) for one in model.parameters())
    Path(sys.argv[1] + str(self.runner.rank)).write_text(repr(total))
    return model

mm_runner._Epochs.run = told
cli.main(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_two_processes_have_one_curve(task: str, data: dict[str, Path], tmp_path: Path) -> None:
    """Under torchrun, without GPUs; the rates are those of the whole batch."""
    (tmp_path / "a.json").write_text(to_text(small("coatnet")))
    (tmp_path / "told.py").write_text(TOLD)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint",
        "127.0.0.1:0", str(tmp_path / "told.py"), str(tmp_path / "rank"), "train",
        str(tmp_path / "a.json"), "--task", task, "--data", str(data[task]),
        "--size", "x".join(map(str, SIZES[task])), "--batch", "2", "--epochs", "1", "--workers", "0",
        "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    kept = read(tmp_path / "run")
    assert kept.processes == 2
    (row,) = rows_of(tmp_path / "run")
    assert row["lr"] == pytest.approx(PROTOCOLS[task].rates(4).lr, rel=0.2)  # at the end of an epoch of few steps
    one, other = ((tmp_path / f"rank{rank}").read_text() for rank in (0, 1))
    assert one == other  # gradients are averaged: one network, not two
    assert done.stdout.count("best m") == 1
    scored = mm.evaluate(kept, data[task], tmp_path / "log", tmp_path / "run" / "best.safetensors", workers=0)
    assert scored[mm.BEST[task]] == pytest.approx(row[mm.BEST[task]], abs=1e-3)  # by one process


def test_a_hostile_checkpoint_runs_nothing(data: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Neither as a pickle, nor as the configuration that mmengine would run as Python."""

    class Trap:
        def __reduce__(self) -> Any:
            return (print, ("a trap ran",))

    run, path = tmp_path / "run", tmp_path / "run" / "checkpoint.pth"
    mm.train(settings("segment", epochs=1), data["segment"], run, workers=0)
    dataclasses.replace(settings("segment"), epochs=2).write(run)
    kept = weights.read_checkpoint(path)
    for meta in (Trap(), {"epoch": 1, "iter": 1, "config": "print('a trap ran')"}):
        torch.save({**kept, "meta": meta}, path)
        if isinstance(meta, Trap):
            with pytest.raises(InputError, match="which is refused"):
                mm.train(read(run), data["segment"], run, workers=0, resume=True)
        else:
            mm.train(read(run), data["segment"], run, workers=0, resume=True)
    torch.save({"state_dict": {}, "meta": {"epoch": 1, "iter": 1, "config": "print('a trap ran')"}}, path)
    with pytest.raises(InputError, match="expected the checkpoint of this training"):
        mm.train(read(run), data["segment"], run, workers=0, resume=True)
    captured = capfd.readouterr()
    assert "a trap ran" not in captured.out + captured.err


def test_a_precision_is_of_the_training(data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained on a GPU is evaluated anywhere."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = settings("segment", precision="bfloat16")
    with pytest.raises(InputError, match="--precision bfloat16: expected a GPU for it"):
        configured(asked, data["segment"], tmp_path / "run", workers=0)
    configured(asked, data["segment"], tmp_path / "run", workers=0, training=False)


@pytest.mark.parametrize("task", TASKS)
def test_weights_that_do_not_fit_leave_no_folder(task: str, data: dict[str, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    weights.save(UniNASNet(small("resnet"), num_classes=7).state_dict(), other)
    for file in (other, tmp_path / "typo.pth"):
        with pytest.raises(InputError, match=file.name):
            mm.train(settings(task, weights=str(file)), data[task], tmp_path / "run", workers=0)
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("task", "size"), [("detect", (799, 1333)), ("segment", (511, 513))])
def test_whole_models_run_at_odd_sizes(task: str, size: tuple[int, int], data: dict[str, Path], tmp_path: Path) -> None:
    """Heads and compiled operators included."""
    from mmengine.registry import MODELS, DefaultScope

    config = configured(settings(task, size=size), data[task], tmp_path / "run", workers=0)
    DefaultScope.get_instance(f"odd-{task}", scope_name={"detect": "mmdet", "segment": "mmseg"}[task])
    with DefaultScope.overwrite_default_scope({"detect": "mmdet", "segment": "mmseg"}[task]):
        model = MODELS.build(config.model).eval()
        picture = torch.randint(0, 255, (3, *size), dtype=torch.uint8)
        about = {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "pad_shape": size}
        if task == "detect":
            from mmdet.structures import DetDataSample as Sample
        else:
            from mmseg.structures import SegDataSample as Sample
        with torch.no_grad():
            (found,) = model.test_step({"inputs": [picture], "data_samples": [Sample(metainfo=about)]})
    if task == "detect":
        assert found.pred_instances.masks.shape[1:] == size
    else:
        assert found.pred_sem_seg.data.shape == (1, *size)


def test_regions_are_read_in_float32() -> None:
    """In mixed precision, where mmcv's operator knows no bfloat16."""
    from downstream.mm_roi import Float32RoIExtractor

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


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["coatnet", "vit", "resnet"])
def test_norms_biases_and_tables_do_not_decay(task: str, name: str) -> None:
    """By the stack's own constructor, from the file as it is."""
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper

    backbone = UniNAS(small(name))
    config = Config.fromfile(config_file(task))
    optimiser = build_optim_wrapper(backbone, config.optim_wrapper).optimizer
    decays = {id(parameter): group["weight_decay"] for group in optimiser.param_groups for parameter in group["params"]}
    for key, parameter in backbone.named_parameters():
        expected = 0.0 if parameter.ndim <= 1 or key.endswith(".table") else 0.05
        assert decays[id(parameter)] == expected, key


def test_a_network_of_three_stages_is_refused(data: dict[str, Path], tmp_path: Path) -> None:
    arch = architecture_of(settings("detect").arch)
    three = json.loads(to_text(arch.replace(stages=arch.stages[:3])))
    with pytest.raises(InputError, match="a network of four stages"):
        configured(settings("detect", arch=three), data["detect"], tmp_path / "run", workers=0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [(240, 240), (100, 75)])
def test_a_network_of_any_reference_size_is_a_backbone(
    size: tuple[int, int], task: str, data: dict[str, Path], tmp_path: Path
) -> None:
    arch = json.loads(to_text(small("coatnet", size)))
    config = configured(settings(task, arch=arch), data[task], tmp_path / "run", workers=0)
    maps = UniNAS(config.model.backbone.arch)(torch.zeros(1, 3, *size))
    assert [tuple(made.shape[2:]) for made in maps] == [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]
