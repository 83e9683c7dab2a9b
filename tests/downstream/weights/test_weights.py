"""Weights files: what is read, what is rejected, and that a rejected file changes nothing."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from downstream.weights import weight_files
from tests.uninas.examples import small
from tests.uninas.running import scramble
from uninas import InputError
from uninas.compile.module import build


def network(seed: int = 0, classes: int = 7, name: str = "coatnet") -> torch.nn.Module:
    return scramble(build(small(name), classes=classes), seed)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_safetensors(tmp_path: Path) -> None:
    weight_files.save(network(1).state_dict(), tmp_path / "a.safetensors", {"digest": "x"})
    model = network(2)
    weight_files.load(model, tmp_path / "a.safetensors")
    assert same(model, network(1))
    assert os.listdir(tmp_path) == ["a.safetensors"]
    (tmp_path / "other").touch()
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("key", [None, "state_dict", "model", "state_dict_ema"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "_orig_mod.module."])
def test_checkpoints_of_training_programs(key: str | None, prefix: str, tmp_path: Path) -> None:
    state: dict[str, Any] = {f"{prefix}{name}": value for name, value in network(1).state_dict().items()}
    other = {f"{prefix}{name}": value for name, value in network(3).state_dict().items()}
    more = {"state_dict": other} if key == "state_dict_ema" else {}  # averaged weights come first
    kept = state if key is None else {**more, key: state, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
    torch.save(kept, tmp_path / "a.pth.tar")
    model = network(2)
    weight_files.load(model, tmp_path / "a.pth.tar")
    assert same(model, network(1))


def test_a_detector_holds_a_backbone(tmp_path: Path) -> None:
    backbone = build(small("coatnet"), classes=0)
    state = {f"backbone.{name}": value for name, value in scramble(backbone, 1).state_dict().items()}
    torch.save({"state_dict": {**state, "neck.weight": torch.zeros(3)}}, tmp_path / "a.pth")
    model = scramble(build(small("coatnet"), classes=0), 2)
    weight_files.load(model, tmp_path / "a.pth")
    assert same(model, backbone)


def test_a_classifier_gives_its_backbone(tmp_path: Path) -> None:
    weight_files.save(network(1).state_dict(), tmp_path / "a.safetensors")
    model = scramble(build(small("coatnet"), classes=0), 2)
    with pytest.raises(InputError, match=r"4 unknown, the first is head\.bias"):
        weight_files.load(model, tmp_path / "a.safetensors")
    weight_files.load(model, tmp_path / "a.safetensors", backbone=True)
    assert same(model, network(1))


def test_another_number_of_classes(tmp_path: Path) -> None:
    weight_files.save(network(1).state_dict(), tmp_path / "a.safetensors")
    model, before = network(2, classes=3), network(2, classes=3)
    with pytest.raises(InputError, match="expected a classifier of 3 classes; it has 7"):
        weight_files.load(model, tmp_path / "a.safetensors")
    assert same(model, before)
    weight_files.load(model, tmp_path / "a.safetensors", new_head=True)
    assert torch.equal(model.head.weight, before.head.weight)
    assert torch.equal(model.stem.conv1.weight, network(1).stem.conv1.weight)
    again = network(2)
    weight_files.load(again, tmp_path / "a.safetensors", new_head=True)  # equal classes: nothing is left alone
    assert same(again, network(1))


class Evil:
    """What a hostile pickle runs when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("where", ["plain", "nested"])
def test_a_hostile_file_is_rejected_and_runs_nothing(where: str, tmp_path: Path) -> None:
    trap = Evil(tmp_path / "trapped")
    torch.save(trap if where == "plain" else {"state_dict": network().state_dict(), "meta": trap}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="and is rejected"):
        weight_files.read_tensors(tmp_path / "a.pth")
    assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", None, "no such file"),
        ("a.pth", b"", "expected a checkpoint of torch"),
        ("a.pth", b"hello" * 100, "a.pth: expected"),
        ("a.pth", b"PK\x03\x04" + b"\0" * 100, "expected a checkpoint of torch"),
        ("a.safetensors", b"", "expected a safetensors file"),
        ("a.safetensors", b"\xff" * 64, "expected a safetensors file"),
    ],
)
def test_garbage(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        weight_files.read_tensors(tmp_path / name)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_harmed_files_are_errors_that_name_them(suffix: str, tmp_path: Path) -> None:
    """Cut short, or with some bytes changed: read, or rejected in a line; nothing else."""
    path, rng = tmp_path / f"a{suffix}", random.Random(0)
    state = {f"layer.{place}": torch.zeros(3, 3) for place in range(4)}
    weight_files.save_checkpoint(state, path) if suffix == ".pth" else weight_files.save(state, path)
    whole, rejected = path.read_bytes(), 0
    for _ in range(400):
        harmed = bytearray(whole)
        for _ in range(rng.randrange(1, 30)):
            harmed[rng.randrange(len(harmed))] = rng.randrange(256)
        path.write_bytes(harmed[: rng.randrange(len(harmed)) if rng.random() < 0.2 else None])
        with contextlib.suppress(InputError):
            weight_files.read_tensors(path)
            continue
        with pytest.raises(InputError, match=re.escape(str(path))):
            weight_files.read_tensors(path)
        rejected += 1
    assert rejected > 50


def test_other_contents(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="expected tensors by name; got list"):
        weight_files.read_tensors(tmp_path / "list.pth")
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(InputError, match="got the keys epoch"):
        weight_files.read_tensors(tmp_path / "none.pth")
    weight_files.save(network(0, name="resnet").state_dict(), tmp_path / "other.safetensors")
    model = network(2)
    with pytest.raises(InputError, match=r"missing, the first is .* unknown, the first is"):
        weight_files.load(model, tmp_path / "other.safetensors")
    assert same(model, network(2))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float, tmp_path: Path) -> None:
    """Among tensors of integers, too, which a batch norm counts with."""
    state = network(1, name="resnet").state_dict()
    broken = next(name for name in state if name.endswith("running_var"))
    state[broken][3] = value
    assert any(not tensor.is_floating_point() for tensor in state.values())
    weight_files.save(state, tmp_path / "a.safetensors")
    model = network(2, name="resnet")
    said = re.escape(f"expected finite numbers; 1 tensors hold NaN or infinity, the first is {broken}")
    with pytest.raises(InputError, match=f"{said}$"):
        weight_files.load(model, tmp_path / "a.safetensors")
    assert same(model, network(2, name="resnet"))


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    weight_files.save({"x": torch.ones(2)}, path)

    def full(tensors: Any, part: Path, metadata: Any) -> None:
        Path(part).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weight_files.safetensors.torch, "save_file", full)
    with pytest.raises(InputError, match="No space left"):
        weight_files.save({"x": torch.zeros(2)}, path)
    assert torch.equal(weight_files.read_tensors(path)["x"], torch.ones(2))
    assert os.listdir(tmp_path) == ["a.safetensors"]


def repacked(source: Path, target: Path, compression: int, extra: bytes = b"") -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (extra if name.endswith("data.pkl") else b""))


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_rejected_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four megabytes took four gigabytes of memory: torch unpacks what it never packs."""
    torch.save({"a": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    repacked(tmp_path / "plain.pth", tmp_path / "small.pth", zipfile.ZIP_DEFLATED)
    assert (tmp_path / "small.pth").stat().st_size < 10_000
    claims = (tmp_path / "plain.pth").read_bytes()
    directory = claims.rindex(b"PK\x01\x02", 0, claims.rindex(b"data/0"))
    (tmp_path / "claims.pth").write_bytes(claims[: directory + 24] + b"\xf0\xff\xff\x7f" + claims[directory + 28 :])
    monkeypatch.setattr(torch, "load", lambda *rest, **options: pytest.fail("it was unpacked"))
    for name, said in (("small", "not compressed; got 'plain/data.pkl' that is"), ("claims", "members claim 2,1")):
        with pytest.raises(InputError, match=said):
            weight_files.read_tensors(tmp_path / f"{name}.pth")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_make_an_array_of_any_size_is_rejected(
    zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Grows:
        def __reduce__(self) -> tuple[Any, ...]:
            return bytearray, (1 << 40,)

    torch.save({"a": torch.zeros(3), "b": Grows()}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    monkeypatch.setattr(torch, "load", lambda *rest, **options: pytest.fail("it was read"))
    with pytest.raises(InputError, match="it would make a bytearray, and is rejected"):
        weight_files.read_tensors(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"x"])
def test_files_that_only_begin_like_a_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.pth: expected a checkpoint of torch"):
        weight_files.read_tensors(tmp_path / "a.pth")


def test_checkpoints_of_old_versions_are_read(tmp_path: Path) -> None:
    torch.save(network(1).state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    model = network(2)
    weight_files.load(model, tmp_path / "a.pth")
    assert same(model, network(1))
