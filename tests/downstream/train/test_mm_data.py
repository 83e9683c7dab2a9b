"""Data of detection and segmentation that do not fit: what is wrong is said with the file's name, before anything is written."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.amounts import amount, slow
from tests.downstream import damaged, scenes
from uninas import InputError

pytest.importorskip("mmengine", reason="OpenMMLab is not installed: make test builds it")

from downstream.data.coco import check_annotations, write_repaired
from downstream.data.layouts import check_images
from downstream.train import mm
from downstream.train.mm_config import configured
from tests.downstream.detectors import rows_of, settings

pytestmark = pytest.mark.filterwarnings("ignore")  # of OpenMMLab itself


@pytest.mark.parametrize("task", ["detect", slow("segment")])
def test_missing_data_and_broken_images(task: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing: "):
        configured(settings(task), tmp_path, tmp_path / "run", workers=0)
    make = {"detect": scenes.make_coco, "segment": scenes.make_ade}[task]
    folder = make(tmp_path / "some data", train=2, val=1)
    train = [path for path in sorted(folder.rglob("*.*")) if "train" in path.parent.name and path.suffix in (".jpg", ".png")]
    for number, path in enumerate(train):
        whole = path.read_bytes()
        path.unlink() if number == 0 else path.write_bytes(whole[: len(whole) // 2])
        image = "images" in path.parts or task == "detect"
        said = rf"^{re.escape(str(path))}: expected {'an image' if image else 'a mask of labels'}; it cannot be read"
        if number == 0 and not image:
            said = rf": expected a mask .* for each image; 1 is otherwise, the first is {path.stem}\.jpg: none"
        with pytest.raises(InputError, match=said):
            mm.train(settings(task), folder, tmp_path / f"run{number}", workers=number % 2)
        assert not (tmp_path / f"run{number}").exists()
        path.write_bytes(whole)


def test_annotations_that_do_not_fit(tmp_path: Path) -> None:
    folder = scenes.make_coco(tmp_path / "data", train=2, val=1)
    path = folder / "annotations" / "instances_train2017.json"
    document = json.loads(path.read_text())
    assert check_annotations(path, training=True).classes == scenes.CLASSES
    other = scenes.make_coco(tmp_path / "other", train=2, val=1) / "annotations" / "instances_train2017.json"
    other.write_text(json.dumps({**document, "categories": document["categories"][::-1]}))
    with pytest.raises(InputError, match="expected the 3 classes red, green, blue in this order; got 3: blue, green, red"):
        configured(settings("detect"), tmp_path / "other", tmp_path / "run", workers=0)
    empty = scenes.make_coco(tmp_path / "empty", train=2, val=1)
    (empty / "annotations" / "instances_train2017.json").write_text(json.dumps({**document, "annotations": []}))
    with pytest.raises(InputError, match=r"instances_train2017\.json: expected objects that are not crowds; got none"):
        mm.train(settings("detect"), empty, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()
    half = scenes.make_coco(tmp_path / "half", train=2, val=1)
    (half / "annotations" / "instances_train2017.json").write_text('{"images": [')
    with pytest.raises(InputError, match="expected COCO annotations with images, annotations, categories"):
        check_annotations(half / "annotations" / "instances_train2017.json", training=True)
    with pytest.raises(InputError, match="--batch: expected at least 2 images"):
        configured(settings("segment", batch=1), scenes.make_ade(tmp_path / "ade"), tmp_path / "run", workers=0)
    with pytest.raises(InputError, match="expected images for at least one batch; got 6"):
        mm.train(settings("segment", batch=7), tmp_path / "ade", tmp_path / "few", workers=0)


def test_a_validation_needs_objects(tmp_path: Path) -> None:
    """Else no epoch would have a figure; crowds are not counted by COCO's own scoring."""
    folder = scenes.make_coco(tmp_path / "data", train=2, val=1)
    path = folder / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    for name, entries in (("none", []), ("crowds", [{**one, "iscrowd": 1} for one in document["annotations"]])):
        other = path.with_name(f"{name}.json")
        other.write_text(json.dumps({**document, "annotations": entries}))
        with pytest.raises(InputError, match=rf"^{re.escape(str(other))}: expected objects that are not crowds; got none$"):
            check_annotations(other, training=False)
    path.write_text(json.dumps({**document, "annotations": []}))
    for training in (True, False):
        with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: expected objects that are not crowds; got none$"):
            configured(settings("detect"), folder, tmp_path / "run", workers=0, training=training)


def test_an_epoch_without_a_figure_keeps_its_weights(tmp_path: Path) -> None:
    """Where nothing is labelled on the images of the validation there is no mIoU, and no score is invented."""
    folder = scenes.make_ade(tmp_path / "data", train=2, val=1)
    for path in (folder / "annotations" / "validation").iterdir():
        with Image.open(path) as image:
            Image.new("L", image.size).save(path)
    found = mm.train(settings("segment", epochs=1), folder, tmp_path / "run", workers=0)
    assert (tmp_path / "run" / "best.safetensors").is_file()
    assert not {"miou", "pixel_accuracy"} & rows_of(tmp_path / "run")[0].keys()
    assert (found.best_epoch, math.isnan(found.best)) == (0, True)
    with pytest.raises(InputError, match="expected labels on the validation images; got none"):
        mm.evaluate(settings("segment"), folder, tmp_path / "log", tmp_path / "run" / "best.safetensors", workers=0)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("annotations", {"segmentation": []}, r"expected segmentation in each of annotations; 1 is .* annotation number 2"),
        ("images", {"height": None}, r"expected height in pixels in each of images"),
        ("categories", {"name": None}, r"expected a name in each of categories"),
    ],
)
def test_annotations_have_what_is_read_of_them(part: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = scenes.make_coco(tmp_path / "data", train=2, val=2)
    path = folder / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    document[part][1] = {name: value for name, value in {**document[part][1], **change}.items() if value is not None}
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: {message}"):
        mm.train(settings("detect"), folder, tmp_path / "run", workers=0)
    assert not (tmp_path / "run").exists()


def test_annotations_that_lack_little_are_used_in_a_copy(tmp_path: Path) -> None:
    """Without `iscrowd` OpenMMLab dies when it scores the first epoch."""
    folder, notes = scenes.make_coco(tmp_path / "data", train=2, val=1), list[str]()
    for split in ("train", "val"):
        path = folder / "annotations" / f"instances_{split}2017.json"
        document = json.loads(path.read_text())
        for one in document["annotations"]:
            del one["iscrowd"], one["area"]
        path.write_text(json.dumps(document))
    before = path.read_bytes()
    copies = tmp_path / "run.annotations"
    for training, place in ((True, copies), (False, tmp_path / "run")):
        config = configured(settings("detect"), folder, tmp_path / "run", workers=0, training=training, note=notes.append)
        assert config.val_dataloader.dataset.ann_file == config.val_evaluator.ann_file == str(place / path.name)
        kept = json.loads((place / path.name).read_text())["annotations"]
        assert [(one["iscrowd"], one["area"]) for one in kept] == [(0, one["bbox"][2] * one["bbox"][3]) for one in kept]
    assert config.train_dataloader.dataset.ann_file == "annotations/instances_train2017.json"  # an evaluation has no need of it
    assert sorted(path.name for path in copies.iterdir()) == ["instances_train2017.json", "instances_val2017.json"]
    assert path.read_bytes() == before
    assert sum("annotations have no iscrowd; it is taken for 0" in note for note in notes) == 3


def test_images_that_are_not_those_of_the_annotations(tmp_path: Path) -> None:
    """OpenMMLab turns images as EXIF says, and not their boxes; and it scores masks of another size with 0."""
    folder = scenes.make_coco(tmp_path / "data", train=2, val=1)
    path = folder / "train2017" / "000000000001.jpg"
    with Image.open(path) as image:
        upright, (width, height) = image.copy(), image.size
    exif = Image.Exif()
    exif[0x0112] = 3
    upright.save(path, exif=exif)
    with pytest.raises(InputError, match=r"train2017: expected images that EXIF does not turn, .*; 1 is otherwise, .*0001\.jpg"):
        configured(settings("detect"), folder, tmp_path / "run", workers=0)
    upright.resize((height, width)).save(path)
    with pytest.raises(InputError, match=rf"of the size in the annotations, .* {width}x{height}, not {height}x{width}"):
        configured(settings("detect"), folder, tmp_path / "run", workers=0)


def test_no_annotations_that_pass_the_check_end_in_a_traceback(tmp_path: Path) -> None:
    """OpenMMLab reads each object of each image, and COCO scores them as they are: all are found."""
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations
    from pycocotools import mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    stream, passed, read = np.random.default_rng(2), 0, LoadAnnotations(with_bbox=True, with_mask=True)
    damaged.images(tmp_path)
    for number in range(amount(200)):
        found = damaged.document()
        damaged.mutated(found, stream)
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(found))
        try:
            checked = check_annotations(path, training=True)
            check_images(tmp_path, checked.pictures)
        except InputError:
            continue
        if checked.repaired:
            path = tmp_path / "copy.json"
            write_repaired(tmp_path / f"{number}.json", path)
        classes = {"classes": checked.classes}
        data = CocoDataset(ann_file=str(path), data_prefix={"img": str(tmp_path)}, metainfo=classes, pipeline=[])
        for place in range(len(data)):
            assert read({**data.get_data_info(place), "ori_shape": damaged.SIDES})["gt_masks"].masks.any()
        truth = COCO(str(path))
        objects = [one for one in truth.dataset["annotations"] if not one["iscrowd"]]
        codes = [mask.merge(mask.frPyObjects(one["segmentation"], *damaged.SIDES)) for one in objects]
        named = [{name: one[name] for name in ("image_id", "category_id")} for one in objects]
        results = [{**one, "segmentation": code, "score": 0.9} for one, code in zip(named, codes, strict=True)]
        scores = COCOeval(truth, truth.loadRes(results))
        scores.evaluate()
        scores.accumulate()
        scores.summarize()
        assert scores.stats[0] == pytest.approx(1)
        passed += 1
    assert passed


def test_segmentation_reads_images_of_all_kinds_as_all_of_the_package_does(tmp_path: Path) -> None:
    """MMSegmentation looks at *.jpg alone, and OpenCV at fewer kinds than Pillow."""
    from mmengine.registry import init_default_scope

    from downstream.train.mm_runner import OpenMMLabRunner

    folder = scenes.make_ade(tmp_path / "data", train=3, val=3)
    for split in ("training", "validation"):
        first, second, _ = sorted((folder / "images" / split).iterdir())
        with Image.open(first) as image:
            size = image.size
        Image.fromarray(np.full(size[::-1], 257 * 40, np.uint16)).save(first.with_suffix(".PNG"))
        first.unlink()
        with Image.open(second) as image:
            image.save(second.with_suffix(".gif"))
        second.unlink()
    config = configured(settings("segment"), folder, tmp_path / "run", workers=0)
    init_default_scope("mmseg")
    found = OpenMMLabRunner.build_dataloader(config.val_dataloader, seed=0).dataset
    assert [Path(found.get_data_info(number)["img_path"]).suffix for number in range(3)] == [".PNG", ".gif", ".jpg"]
    assert all(Path(found.get_data_info(number)["seg_map_path"]).is_file() for number in range(3))
    assert found[0]["inputs"].float().mean() == 40
    assert len(OpenMMLabRunner.build_dataloader(config.train_dataloader, seed=0).dataset) == 3


@pytest.mark.parametrize("split", ["training", "validation"])
@pytest.mark.parametrize(
    ("label", "message"),
    [
        (lambda size: Image.new("L", size, 151), "expected classes from 1 to 150, and 0 or 255 for none; got 151"),
        (lambda size: Image.new("RGB", size), r"expected one class per pixel of its image, \d+x\d+; got \d+x\d+x3"),
        (lambda size: Image.new("L", (50, 40), 1), r"expected one class per pixel of its image, \d+x\d+; got 40x50"),
    ],
)
def test_labels_that_do_not_fit(label: Any, message: str, split: str, tmp_path: Path) -> None:
    folder = scenes.make_ade(tmp_path / "data", train=2, val=1)
    path = min((folder / "annotations" / split).iterdir())
    with Image.open(path) as image:
        size = image.size
    label(size).save(path)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: {message}"):
        mm.train(settings("segment", epochs=1), folder, tmp_path / "run", workers=0)
