"""Detection and segmentation on small data in the true layouts: trained, evaluated, saved, resumed, loaded, run at odd sizes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from downstream import mm_stack
from tests.downstream import scenes
from tests.uninas.networks import small
from uninas import InputError, cli, preset
from uninas.text import to_text

pytest.importorskip("mmengine", reason="the mm stack is not installed: make test builds it")

from downstream import weights
from downstream.backbone import architecture_of
from downstream.export import export
from downstream.mm_backbone import UniNAS
from downstream.subject import subject_of
from downstream.timm_model import UniNASNet
from downstream.train import mm
from downstream.train.mm_config import config_file, configured
from downstream.train.protocols import PROTOCOLS
from downstream.train.settings import StackSettings, read

pytestmark = pytest.mark.filterwarnings("ignore")  # the stack warns of itself
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
def test_an_exported_folder_is_a_configuration_wherever_it_lies(to: str, task: str, tmp_path: Path) -> None:
    from mmengine.config import Config
    from mmengine.registry import MODELS

    classifier = UniNASNet(small("coatnet"), num_classes=7)
    weights.save(classifier.state_dict(), tmp_path / "w.safetensors", {})
    (tmp_path / "a.json").write_text(to_text(small("coatnet")))
    subject = subject_of(str(tmp_path / "a.json"), weights=tmp_path / "w.safetensors")
    export(subject, to, tmp_path / "made")
    (tmp_path / "made").rename(tmp_path / "moved")
    config = Config.fromfile(tmp_path / "moved" / "config.py")
    backbone = MODELS.build(config.model.backbone)
    backbone.init_weights()
    assert torch.equal(next(backbone.parameters()), next(classifier.parameters()))
    widths = config.model.neck.in_channels if task == "detect" else config.model.decode_head.in_channels
    assert tuple(widths) == backbone.out_channels
    assert "Config.fromfile" in (tmp_path / "moved" / "README.md").read_text()


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_indices": (0, 4)}, "out_indices: expected some of 0 to 3"),
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


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_it_trains_evaluates_resumes_and_reloads(
    task: str, data: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    found = mm.train(settings(task), data[task], run, workers=0)
    assert [row["epoch"] for row in found.rows] == [1, 2]
    assert all(found.metric in row for row in found.rows)
    assert read(run) == settings(task)
    for name in ("log.csv", "curves.svg", "best.safetensors", "last_checkpoint", "architecture.json"):
        assert (run / name).is_file(), name
    with pytest.raises(SystemExit) as ended:
        cli.main(["evaluate", str(run), "--data", str(data[task]), "--workers", "0", "--json"])
    assert not ended.value.code
    scored = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert scored[found.metric] == pytest.approx(found.best, abs=1e-3)
    assert scored["pictures_per_second"] > 0

    longer = settings(task, epochs=3)  # as if it had been killed in its third epoch
    longer.write(run)
    again = mm.train(longer, data[task], run, workers=0, resume=True)
    assert [row["epoch"] for row in again.rows] == [1, 2, 3]
    for before, after in zip(found.rows, again.rows, strict=False):  # read back from log.csv
        assert after == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("task", TASKS)
def test_a_hostile_checkpoint_is_refused(task: str, data: dict[str, Path], tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (print, ("a pickle ran",))

    run = tmp_path / "run"
    run.mkdir()
    torch.save({"state_dict": {}, "meta": Trap()}, run / "epoch_1.pth")
    (run / "last_checkpoint").write_text(str(run / "epoch_1.pth"))
    with pytest.raises(InputError):
        mm.train(settings(task), data[task], run, resume=True)


@pytest.mark.parametrize("task", TASKS)
def test_missing_data_and_broken_pictures(task: str, data: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing: "):
        configured(settings(task), tmp_path, tmp_path / "run", workers=0)
    make = {"detect": scenes.make_coco, "segment": scenes.make_ade}[task]
    folder = make(tmp_path / "data", train=2, val=1)
    picture = next(path for path in sorted(folder.rglob("*.jpg")) if "train" in str(path))
    picture.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"{picture.name}: expected a picture"):
        mm.train(settings(task), folder, tmp_path / "run", workers=0)


def test_a_network_of_three_stages_is_refused(data: dict[str, Path], tmp_path: Path) -> None:
    arch = architecture_of(settings("detect").arch)
    three = json.loads(to_text(arch.replace(stages=arch.stages[:3])))
    with pytest.raises(InputError, match="a network of four stages"):
        configured(settings("detect", arch=three), data["detect"], tmp_path / "run", workers=0)
