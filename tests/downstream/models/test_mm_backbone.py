"""A network as OpenMMLab's backbone: maps at any size, frozen stages, checkpointing, weights, costs, decay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.uninas.examples import small
from uninas import InputError, preset
from uninas.analysis.cost import cost
from uninas.networks.convnext import convnext

pytest.importorskip("mmengine", reason="OpenMMLab is not installed: make test builds it")

from downstream.models.backbone import architecture_of
from downstream.models.mm_backbone import UniNAS
from downstream.models.timm_model import UniNASNet
from downstream.train.mm_config import config_file
from downstream.weights import weight_files
from tests.downstream.detectors import TASKS

pytestmark = pytest.mark.filterwarnings("ignore")  # of OpenMMLab itself


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
    weight_files.save(classifier.state_dict(), tmp_path / "w.safetensors", {})
    backbone = UniNAS(small("coatnet"), weights=str(tmp_path / "w.safetensors"))
    backbone.init_weights()
    loaded = classifier.state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in backbone.state_dict().items())
    with pytest.raises(InputError):
        UniNAS(small("resnet"), weights=str(tmp_path / "w.safetensors")).init_weights()
    shorter = UniNAS(small("coatnet"), out_indices=(0, 1, 2), weights=str(tmp_path / "w.safetensors"))
    shorter.init_weights()
    assert all(torch.equal(value, loaded[name]) for name, value in shorter.state_dict().items())


def test_stages_from_the_end_and_other_channels_in_a_graph_stem() -> None:
    patches = convnext(widths=(8, 16, 24, 32), depths=(1, 1, 1, 1), classes=7, input_size=(64, 64))
    backbone = UniNAS(patches, in_channels=5, out_indices=(-1, 1)).eval()
    maps = backbone(torch.rand(1, 5, 64, 64))
    assert (backbone.out_indices, backbone.out_channels) == ((3, 1), (32, 16))
    assert [tuple(one.shape[1:]) for one in maps] == [(32, 2, 2), (16, 8, 8)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out_indices": (0, 4)}, "out_indices: expected some of 0 to 3"),
        ({"out_indices": (0, -5)}, "out_indices: expected some of 0 to 3"),
        ({"out_indices": 3}, "out_indices: expected a list of stages; got 3"),
        ({"frozen_stages": 5}, "frozen_stages: expected -1 to 4"),
        ({"weights": "nowhere.pth"}, "got nowhere.pth, which does not exist"),
        ({"drop_path_rate": 1.0}, "drop_path_rate: expected at least 0 and less than 1"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        UniNAS(small("coatnet"), **options)


@pytest.mark.parametrize(("size", "name"), [((800, 1280), "coatnet"), ((512, 512), "resnet")])
def test_costs_at_the_papers_sizes_are_the_symbolic_ones(size: tuple[int, int], name: str) -> None:
    """MACs of the backbone as it runs, operation by operation, against the cost of the graph without its classifier."""
    from proxies.measuring.meter import Meter

    architecture = architecture_of(preset(name).replace(input_size=size))
    backbone = UniNAS(architecture).eval().to("meta")
    meter = Meter()
    with torch.no_grad(), meter:
        backbone(torch.empty(1, 3, *size, device="meta"))
    assert meter.macs == cost(architecture, classes=0).macs


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["coatnet", "vit", "resnet"])
def test_norms_biases_and_tables_do_not_decay(task: str, name: str) -> None:
    """By OpenMMLab's own constructor, from the file as it is."""
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper

    backbone = UniNAS(small(name))
    config = Config.fromfile(config_file(task))
    optimiser = build_optim_wrapper(backbone, config.optim_wrapper).optimizer
    decays = {id(parameter): group["weight_decay"] for group in optimiser.param_groups for parameter in group["params"]}
    for key, parameter in backbone.named_parameters():
        expected = 0.0 if parameter.ndim <= 1 or key.endswith(".table") else 0.05
        assert decays[id(parameter)] == expected, key


def test_a_configuration_of_version_0_1_keeps_working(tmp_path: Path) -> None:
    """It names the modules as they were called then, as every exported folder of that version does."""
    from mmengine.config import Config
    from mmengine.registry import MODELS

    (tmp_path / "config.py").write_text(
        "_base_ = []\n"
        "from downstream.backbone import stage_widths\n"
        'custom_imports = dict(imports=["downstream.mm_backbone"], allow_failed_imports=False)\n'
        'backbone = dict(type="UniNAS", arch="resnet", out_indices=(3,))\n'
        'widths = stage_widths("resnet")\n'
    )
    config = Config.fromfile(tmp_path / "config.py")
    backbone = MODELS.build(config.backbone)
    assert isinstance(backbone, UniNAS)
    assert backbone.out_channels == (config.widths[-1],)
