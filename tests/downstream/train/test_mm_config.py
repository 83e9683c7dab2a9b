"""The configurations of detection and segmentation: the protocol number by number, exported folders, networks that do not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.uninas.examples import small
from uninas import InputError, cli
from uninas.analysis.cost import cost
from uninas.text import to_document, to_text

pytest.importorskip("mmengine", reason="OpenMMLab is not installed: make test builds it")

from downstream.export import export
from downstream.models.backbone import architecture_of
from downstream.models.mm_backbone import UniNAS
from downstream.models.timm_model import UniNASNet
from downstream.protocols import PROTOCOLS
from downstream.subject import subject_of
from downstream.train.mm_config import config_file, configured
from downstream.weights import weight_files
from tests.downstream.detectors import TASKS, settings

pytestmark = pytest.mark.filterwarnings("ignore")  # of OpenMMLab itself


@pytest.mark.parametrize("task", TASKS)
def test_a_configuration_is_the_protocol_number_by_number(task: str) -> None:
    """As OpenMMLab itself reads the file, for one GPU."""
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
    """Every iteration's rate, from OpenMMLab's own schedulers, ten iterations per epoch."""
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
    weight_files.save(classifier.state_dict(), tmp_path / "w.safetensors", {})
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
    for said in (
        f"pipeline_tag: {'object-detection' if task == 'detect' else 'image-segmentation'}",
        f"Params (M): {backbone_cost.params / 1e6:.3g}",
        f"GMACs: {backbone_cost.macs / 1e9:.3g}",
        f"**Classes:** {80 if task == 'detect' else 150}",
    ):
        assert said in card
    for option in ("--size", "--classes"):
        with pytest.raises(SystemExit):
            cli.main(["export", "coatnet", "--to", to, "--out", str(tmp_path / "no"), option, "64"])
    assert not (tmp_path / "no").exists()


def test_a_precision_is_of_the_training(annotated: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was trained on a GPU is evaluated anywhere."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = settings("segment", precision="bfloat16")
    with pytest.raises(InputError, match="--precision bfloat16: expected a GPU"):
        configured(asked, annotated["segment"], tmp_path / "run", workers=0)
    configured(asked, annotated["segment"], tmp_path / "run", workers=0, training=False)


def test_a_network_of_three_stages_is_rejected(annotated: dict[str, Path], tmp_path: Path) -> None:
    arch = architecture_of(settings("detect").arch)
    three = to_document(arch.replace(stages=arch.stages[:3]))
    with pytest.raises(InputError, match="a network of four stages"):
        configured(settings("detect", arch=three), annotated["detect"], tmp_path / "run", workers=0)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("size", [(240, 240), (100, 75)])
def test_a_network_of_any_reference_size_is_a_backbone(
    size: tuple[int, int], task: str, annotated: dict[str, Path], tmp_path: Path
) -> None:
    arch = to_document(small("coatnet", size))
    config = configured(settings(task, arch=arch), annotated[task], tmp_path / "run", workers=0)
    maps = UniNAS(config.model.backbone.arch)(torch.zeros(1, 3, *size))
    assert [tuple(made.shape[2:]) for made in maps] == [tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)]
