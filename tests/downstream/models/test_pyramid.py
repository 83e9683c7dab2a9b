"""Networks of any stages under detectors and segmenters: the maps that are read, their strides in anchors and regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.uninas.examples import small
from uninas import InputError, load
from uninas.graph import Architecture
from uninas.text import to_text

pytest.importorskip("mmdet", reason="OpenMMLab is not installed: make test builds it")

from downstream.export import export
from downstream.models.mm_backbone import UniNAS
from downstream.models.pyramid import pyramid
from downstream.subject import subject_of
from downstream.train.mm_config import config_file
from tests.downstream.detectors import TASKS

pytestmark = pytest.mark.filterwarnings("ignore")  # of OpenMMLab itself


def with_stages(count: int) -> Architecture:
    """`small` with its first stages, or with more."""
    arch = small("coatnet", (128, 128))
    return arch.replace(stages=(*arch.stages, *arch.stages[-1:] * 3)[:count])


NETWORKS = {
    "three": lambda: with_stages(3),
    "five": lambda: with_stages(5),
    "one": lambda: with_stages(1),
    "strides of 1, 2, 2, 4, 4": lambda: load("nats_bench_size:8:8:8:8:8"),
    "a transformer of one stride": lambda: load("deit_small_patch16_224"),
}
STRIDES = {"three": [4, 8, 16], "five": [4, 8, 16, 32, 64], "one": [4], "strides of 1, 2, 2, 4, 4": [1, 2, 4]}
every_network = pytest.mark.parametrize("name", NETWORKS)


def configured(task: str, arch: Architecture, folder: Path) -> Any:
    """The configuration of an exported folder."""
    from mmengine.config import Config

    (folder / "a.json").write_text(to_text(arch), encoding="utf-8")
    to = {"detect": "mmdet", "segment": "mmseg"}[task]
    export(subject_of(str(folder / "a.json")), to, folder / to)
    return Config.fromfile(folder / to / "config.py")


@every_network
def test_anchors_and_regions_have_the_strides_of_the_maps(name: str, tmp_path: Path) -> None:
    from mmdet.registry import MODELS, TASK_UTILS

    arch = NETWORKS[name]()
    model = configured("detect", arch, tmp_path).model
    backbone, neck = (MODELS.build(model[part]).eval() for part in ("backbone", "neck"))
    with torch.no_grad():
        maps = backbone(torch.zeros(1, 3, 128, 192))
        levels = neck(maps)
    sizes = [tuple(one.shape[2:]) for one in maps]
    strides = STRIDES.get(name, [16])
    assert sizes == [(-(-128 // stride), -(-192 // stride)) for stride in strides]
    assert [one.shape[1] for one in maps] == model.neck.in_channels
    anchors = TASK_UTILS.build(model.rpn_head.anchor_generator)
    assert [stride for stride, _ in anchors.strides] == [*strides, 2 * strides[-1]]
    assert [tuple(one.shape[2:]) for one in levels[:-1]] == sizes
    assert len(levels) == anchors.num_levels
    for part in ("bbox_roi_extractor", "mask_roi_extractor"):
        assert model.roi_head[part].featmap_strides == strides
        regions = MODELS.build(model.roi_head[part])
        found = regions(tuple(levels[: regions.num_inputs]), torch.tensor([[0.0, 5, 5, 125, 125], [0.0, 9, 9, 20, 20]]))
        assert found.shape[:2] == (2, 256)


@every_network
def test_heads_of_a_segmenter_read_the_maps_that_there_are(name: str, tmp_path: Path) -> None:
    arch = NETWORKS[name]()
    model = configured("segment", arch, tmp_path).model
    widths = [arch.stages[index].width for index in model.backbone.out_indices]
    assert [model.decode_head.in_channels[index] for index in model.decode_head.in_index] == widths
    assert model.auxiliary_head.in_channels == widths[model.auxiliary_head.in_index]


def test_the_template_has_what_openmmlab_has_by_default() -> None:
    import mmdet
    from mmengine.config import Config

    assert pyramid("coatnet") == ([0, 1, 2, 3], [96, 192, 384, 768], [4, 8, 16, 32])
    ours = Config.fromfile(config_file("detect")).model
    base = Config.fromfile(f"{mmdet.__path__[0]}/.mim/configs/_base_/models/mask-rcnn_r50_fpn.py").model
    assert ours.neck.num_outs == base.neck.num_outs
    assert ours.rpn_head == base.rpn_head
    for part in ("bbox_roi_extractor", "mask_roi_extractor"):
        assert ours.roi_head[part].featmap_strides == base.roi_head[part].featmap_strides


def test_a_region_is_read_from_the_map_of_its_size() -> None:
    """MMDetection's own numbers where strides double, and by the strides themselves where they do not."""
    from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

    from downstream.models.mm_roi import Float32RoIExtractor

    sides = torch.tensor([1.0, 55, 56, 111.9999, 112, 113, 223, 224, 300, 447, 448, 5000])
    rois = torch.stack([torch.zeros_like(sides), *[torch.zeros_like(sides)] * 2, sides, sides], 1)
    layer = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0}
    doubling = {"roi_layer": layer, "out_channels": 8, "featmap_strides": [4, 8, 16, 32]}
    ours, theirs = Float32RoIExtractor(**doubling), SingleRoIExtractor(**doubling)
    assert ours.map_roi_levels(rois, 4).tolist() == theirs.map_roi_levels(rois, 4).tolist()
    wide = Float32RoIExtractor(**{**doubling, "featmap_strides": [4, 16, 32]})
    assert wide.map_roi_levels(rois, 3).tolist() == [0] * 7 + [1] * 3 + [2] * 2


@pytest.mark.parametrize("task", TASKS)
def test_another_number_of_channels_is_a_line(task: str, tmp_path: Path) -> None:
    four = small("coatnet").replace(in_channels=4)
    with pytest.raises(InputError, match="expected a network with 3 input channels, for images; got 4"):
        configured(task, four, tmp_path)
    backbone = UniNAS(four).eval()  # for images of the user's own: it takes what its file says
    assert (
        backbone.stem(torch.zeros(1, 4, 64, 64)).shape[1] == UniNAS(four, in_channels=3).stem(torch.zeros(1, 3, 64, 64)).shape[1]
    )
    with pytest.raises(InputError, match=r"expected images with 4 channels, as the network's in_channels says; got 3"):
        backbone(torch.zeros(1, 3, 64, 64))


SIDES = (64, 96)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@every_network
def test_whole_models_of_any_stages_train_and_predict(name: str, task: str, tmp_path: Path) -> None:
    from mmengine.model import revert_sync_batchnorm
    from mmengine.registry import MODELS, init_default_scope

    init_default_scope({"detect": "mmdet", "segment": "mmseg"}[task])
    config = configured(task, NETWORKS[name](), tmp_path)
    if task == "segment":
        config.model.decode_head.channels, config.model.auxiliary_head.channels = 32, 16
        config.model.data_preprocessor.size = SIDES
    model = revert_sync_batchnorm(MODELS.build(config.model))
    images = torch.randint(0, 255, (2, 3, *SIDES), dtype=torch.uint8)
    data = model.data_preprocessor({"inputs": list(images), "data_samples": samples(task)}, training=True)
    losses = model(**data, mode="loss")
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert torch.isfinite(loss)
    with torch.no_grad():
        found = model.eval()(**data, mode="predict")
    assert len(found) == 2


def samples(task: str) -> list[Any]:
    """An object in each of two images."""
    if task == "segment":
        from mmengine.structures import PixelData
        from mmseg.structures import SegDataSample

        made = [SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 150, (1, *SIDES)))) for _ in range(2)]
    else:
        from mmdet.structures import DetDataSample
        from mmdet.structures.mask import BitmapMasks
        from mmengine.structures import InstanceData

        def objects() -> InstanceData:
            masks = BitmapMasks(torch.ones(1, *SIDES).byte().numpy(), *SIDES)
            return InstanceData(bboxes=torch.tensor([[5.0, 5, 60, 50]]), labels=torch.tensor([0]), masks=masks)

        made = [DetDataSample(gt_instances=objects()) for _ in range(2)]
    for one in made:
        one.set_metainfo({"img_shape": SIDES, "ori_shape": SIDES, "scale_factor": (1.0, 1.0), "pad_shape": SIDES})
    return made
