"""COCO annotations of other people: what makes results wrong is rejected with counts, what is missing is repaired in a copy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from downstream.data.coco import check_annotations, write_repaired
from downstream.data.layouts import check_images
from downstream.data.masks import measure, overlap
from tests.amounts import amount
from tests.downstream.damaged import SIDES, document, images, mutated, objects_of, written
from uninas import InputError


def change(part: str, number: int, **values: Any) -> Callable[[dict[str, Any]], None]:
    def changed(found: dict[str, Any]) -> None:
        found[part][number].update(values)

    return changed


def test_what_fits_is_used_as_it_is(tmp_path: Path) -> None:
    path = written(document(), tmp_path)
    for training in (True, False):
        found = check_annotations(path, training=training)
        assert (found.classes, found.notes, found.repaired) == (("red", "green"), (), False)
        assert found.pictures[0] == ("1.jpg", *SIDES)


REJECTED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "image id twice": (
        change("images", 1, id=1),
        "expected each id of an image once; 1 is otherwise, the first is image number 2: 1",
    ),
    "image id of text": (change("images", 1, id="2"), "expected a whole number from 0 as id of each of images; .* number 2: '2'"),
    "image id true": (change("images", 0, id=True), "expected a whole number from 0 as id of each of images"),
    "file twice": (change("images", 1, file_name="1.jpg"), "expected each file_name once"),
    "height of text": (change("images", 0, height="60"), "expected height in pixels in each of images; .*: '60'"),
    "no width": (change("images", 0, width=None), "expected width in pixels in each of images; .*: None"),
    "category id twice": (change("categories", 1, id=3), "expected each id of a category once"),
    "category name twice": (change("categories", 1, name="red"), "expected each name of a category once"),
    "unknown category": (change("annotations", 1, category_id=99), "expected a category_id that is the id of a category"),
    "unknown image": (change("annotations", 1, image_id=99), "expected an image_id that is the id of an image"),
    "image as a list": (change("annotations", 1, image_id=[1]), "expected an image_id that is the id of an image"),
    "annotation id twice": (change("annotations", 1, id=1), "expected each id of an annotation once"),
    "crowd of text": (change("annotations", 0, iscrowd="0"), "expected iscrowd 0 or 1"),
    "box of three": (change("annotations", 0, bbox=[1, 2, 3]), "expected bbox of four numbers; .* number 1: \\[1, 2, 3\\]"),
    "box of text": (change("annotations", 0, bbox=["3", "4", "30", "20"]), "expected bbox of four numbers"),
    "box of NaN": (change("annotations", 0, bbox=[3, 4, float("nan"), 20]), "expected bbox of four numbers"),
    "box too large": (change("annotations", 0, bbox=[3, 4, 10**400, 20]), "expected bbox of four numbers"),
    "box of shares": (change("annotations", 0, bbox=[0.1, 0.1, 0.3, 0.3]), "expected bbox in pixels, not in shares of the image"),
    "negative box": (change("annotations", 0, bbox=[33, 24, -30, -20]), "of no negative size"),
    "area of text": (change("annotations", 0, area="12"), "expected area as a number"),
    "no mask": (change("annotations", 0, segmentation=[]), "expected segmentation in each of annotations"),
    "odd polygon": (change("annotations", 0, segmentation=[[1, 2, 3, 4, 5]]), "expected polygons of numbers x1, y1"),
    "polygon of points": (change("annotations", 0, segmentation=[[1, 2], [3, 4], [5, 9]]), "not of points"),
    "polygon of shares": (change("annotations", 0, segmentation=[[0.1, 0.1, 0.4, 0.1, 0.4, 0.4]]), "polygons in pixels"),
    "runs too short": (change("annotations", 6, segmentation={"size": [60, 90], "counts": [5, 5]}), "cover their image once"),
    "runs of other size": (change("annotations", 6, segmentation={"size": [90, 60], "counts": [5400]}), "size of their image"),
    "runs of noise": (change("annotations", 6, segmentation={"size": [60, 90], "counts": "no!"}), "expected run lengths"),
    "corners, not sizes": (
        lambda found: [one.update(bbox=[80, 50, 8, 8]) for one in found["annotations"]],
        r"expected boxes \[left, top, width, height\] around their masks",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_makes_results_wrong_is_rejected(name: str, tmp_path: Path) -> None:
    changed, message = REJECTED[name]
    found = document()
    changed(found)
    with pytest.raises(InputError, match=message) as error:
        check_annotations(written(found, tmp_path), training=True)
    assert "\n" not in str(error.value)


def test_all_kinds_are_in_one_message(tmp_path: Path) -> None:
    found = document()
    for one in found["annotations"][:3]:
        one["bbox"] = [1, 2, "3", 4]
    found["categories"][1]["name"] = None
    with pytest.raises(InputError, match=r"name in each of categories; 1 is .*; expected bbox of four numbers; 3 are otherwise"):
        check_annotations(written(found, tmp_path), training=True)


def test_what_is_only_missing_is_repaired_in_a_copy(tmp_path: Path) -> None:
    found = document()
    for key in ("iscrowd", "bbox", "area", "id"):
        del found["annotations"][1][key]
    found["annotations"][0]["iscrowd"] = None
    found["annotations"][2]["id"] = 0  # COCO's scoring takes a match with it for none
    found["annotations"][4]["segmentation"].append([1, 2, 3, 4])  # a box, to COCO's scoring
    found["annotations"].append({**found["annotations"][4], "id": "a7", "segmentation": [[5, 5, 6, 6]]})
    path = written(found, tmp_path, start=b"\xef\xbb\xbf")
    before, checked = path.read_bytes(), check_annotations(path, training=True)
    assert checked.repaired
    assert [line.split(": ", 1)[1].split(",")[0] for line in checked.notes] == [
        "2 annotations have no iscrowd; it is taken for 0",
        "1 annotations have no bbox; it is that of the mask",
        "1 annotations have no area; it is that of the mask",
        "1 masks have pieces of fewer than three points",
        "1 objects have a mask of fewer than three points and are left out",
        "3 annotations have an id that COCO's scoring does not take; all are numbered anew",
    ]
    copied = tmp_path / "run.annotations" / "instances.json"
    write_repaired(path, copied)
    assert path.read_bytes() == before
    assert objects_of(copied) == objects_of(written(document(), tmp_path))
    assert [one["id"] for one in json.loads(copied.read_text())["annotations"]] == list(range(1, 8))
    assert json.loads(copied.read_text())["annotations"][1]["area"] == 600
    again = check_annotations(copied, training=True)
    assert (again.notes, again.repaired) == ((), False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (change("annotations", 0, bbox=[200, 10, 30, 20]), "1 objects have no area within their image"),
        (change("annotations", 0, bbox=[3, 4, 0, 20]), "1 objects have no area within their image"),
        (change("annotations", 0, area=0), "1 objects have no area within their image"),
        (change("annotations", 0, bbox=[3, 4, 0.5, 20]), "1 objects have a side under a pixel"),
        (change("annotations", 0, ignore=1), "1 objects have ignore"),
        (change("annotations", 0, bbox=[60, 30, 29, 29]), "1 boxes are not around their masks"),
        (change("annotations", 0, bbox=[3, 4, 95, 20]), "1 boxes leave their image"),
        (
            lambda found: found["images"].append({"id": 9, "file_name": "9", "height": 40, "width": 40}),
            "1 images without objects",
        ),
        (lambda found: [one.update(image_id=1) for one in found["annotations"][2:4]], "1 images without objects"),
    ],
)
def test_what_is_left_out_is_said(changed: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path) -> None:
    found = document()
    changed(found)
    assert any(said in line for line in check_annotations(written(found, tmp_path), training=True).notes)


@pytest.mark.parametrize("text", ["", "[]", '{"images": [', '{"images": {}, "annotations": [], "categories": []}', "[" * 100_000])
def test_no_annotations_at_all(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json: expected COCO annotations with images, annotations, categories; "):
        check_annotations(tmp_path / "a.json", training=True)


def test_a_list_that_is_there_twice_is_no_silent_loss(tmp_path: Path) -> None:
    text = json.dumps(document())
    (tmp_path / "a.json").write_text(text[:-1] + ', "annotations": []}')
    with pytest.raises(InputError, match="the key 'annotations' is given twice"):
        check_annotations(tmp_path / "a.json", training=True)


def test_masks_are_measured_as_coco_does() -> None:
    coder = pytest.importorskip("pycocotools.mask", reason="OpenMMLab is not installed: make test builds it")
    stream = np.random.default_rng(0)
    for _ in range(30):
        height, width = (int(side) for side in stream.integers(1, 40, 2))
        drawn = np.asfortranarray((stream.random((height, width)) < stream.choice([0.02, 0.5, 0.98])).astype(np.uint8))
        coded = coder.encode(drawn)
        text = {"size": [height, width], "counts": coded["counts"].decode()}
        changes = np.flatnonzero(np.diff(drawn.T.ravel(), prepend=0)).tolist()
        plain = {"size": [height, width], "counts": np.diff([0, *changes, drawn.size]).tolist()}
        for mask in (text, plain):
            found = measure(mask, height, width)
            assert found.area == int(coder.area(coded))
            assert found.box == tuple(coder.toBbox(coded).tolist())
    ring = [[5, 5, 25, 5, 25, 15, 5, 15], [30, 5, 40, 5, 40, 10]]
    assert (measure(ring, 50, 50).box, measure(ring, 50, 50).area) == ((5, 5, 35, 10), 225)
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)


def test_no_mutation_changes_a_result_in_silence(tmp_path: Path) -> None:
    """Each damaged file is rejected in one line, or gives the same objects on the same images, or it is said what changes."""
    stream, plain = np.random.default_rng(0), written(document(), tmp_path)
    images(tmp_path)
    whole, ends = objects_of(plain), {"rejected": 0, "said": 0, "same": 0}
    for number in range(amount(600)):
        found = document()
        for _ in range(number % 3):
            mutated(found, stream)
        path = tmp_path / f"mutated{number}.json"
        path.write_text(json.dumps(found))
        try:
            checked = check_annotations(path, training=bool(number % 3))
            notes = (*checked.notes, *check_images(tmp_path, checked.pictures))
        except InputError as error:
            one_line(error)
            ends["rejected"] += 1
            continue
        if checked.repaired:
            write_repaired(path, tmp_path / "copy.json")
        same = objects_of(tmp_path / "copy.json" if checked.repaired else path) == whole and checked.classes == ("red", "green")
        assert same or notes, found
        ends["said" if notes else "same"] += 1
    assert all(ends.values()), ends


def one_line(error: InputError) -> None:
    assert "\n" not in str(error)
    assert ": expected " in str(error)


def test_damaged_bytes_end_in_one_line(tmp_path: Path) -> None:
    stream, text, rejected = np.random.default_rng(1), json.dumps(document()).encode(), 0
    for number in range(amount(200)):
        some, path = bytearray(text), tmp_path / f"{number}.json"
        for place in stream.integers(len(some), size=1 + number % 3):
            some[place] = int(stream.integers(256))
        path.write_bytes(bytes(some[: int(stream.integers(len(some)))]) if number % 5 == 0 else bytes(some))
        try:
            check_annotations(path, training=True)
        except InputError as error:
            one_line(error)
            rejected += 1
    assert rejected > amount(200) // 3
