"""Weights under the reference's names: its own give its logits, and ours pass there and back without a change of function."""

from __future__ import annotations

import io
import json
import random
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from downstream.export import export
from downstream.subject import subject_of
from downstream.weights import reference, weight_files
from downstream.weights.reference import from_reference_names, load, read_arrays, save, to_reference_names
from tests.uninas.examples import around, tiny
from tests.uninas.reference.reference_files import random_file
from tests.uninas.reference.reference_oracle import ReferenceNetwork
from tests.uninas.running import distance, noise, scramble
from uninas import Architecture, InputError, Stage, canonicalise, cli
from uninas.compile.module import build
from uninas.networks.presets import letter_block
from uninas.reference import Layer, from_reference, read_reference, reference_layers, to_reference, to_reference_text
from uninas.text import to_text

NAMES = ("ref_conv", "ref_attention")
_T, _E = letter_block("T"), letter_block("E")
FUSED = around(_T.subblocks[0], _E.subblocks[0], width=96, size=(32, 32))
"""Heads that are one node of ours, in a block that is no letter."""


@pytest.fixture(scope="module")
def folder(data_folder: Path) -> Path:
    """Where the two networks are; the test run says so when it has no data."""
    found = data_folder / "uninas_reference"
    assert found.is_dir()
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_oracle_is_the_reference(name: str, folder: Path) -> None:
    document = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    oracle = ReferenceNetwork(document).eval()
    with np.load(folder / f"{name}.npz") as archive:
        images, expected = (torch.from_numpy(archive[key]) for key in ("input", "logits"))
        stored = {key.removeprefix("w/"): torch.from_numpy(archive[key]) for key in archive.files if key.startswith("w/")}
    missing, unexpected = oracle.load_state_dict(stored, strict=False)
    assert all(key.endswith("num_batches_tracked") for key in missing)
    assert unexpected == []
    logits, macs = oracle.run(images)
    assert distance(logits, expected) < 1e-5
    costs = next(one for one in json.loads((folder / "costs.json").read_text(encoding="utf-8")) if one["tag"] == name)
    assert (sum(value.numel() for value in oracle.parameters()), macs) == (costs["params"], costs["macs"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("fused", [True, False])
def test_logits_are_the_references(name: str, fused: bool, folder: Path) -> None:
    architecture, layers = read_reference(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")), name)
    module = build(architecture, fused=fused).eval()
    load(module, folder / f"{name}.npz", layers)
    with np.load(folder / f"{name}.npz") as archive:
        images, expected = (torch.from_numpy(archive[key]) for key in ("input", "logits"))
        stored = {key.removeprefix("w/"): archive[key] for key in archive.files if key.startswith("w/")}
    with torch.no_grad():
        logits = module(images)
    assert logits.shape == expected.shape
    assert float((logits - expected).abs().max()) < 1e-4
    assert distance(logits, expected) < 1e-4
    assert float(expected.std()) > 1e-3, "logits that differ from one another"
    given = to_reference_names(module.state_dict(), layers)
    assert given.keys() == stored.keys()
    assert all(given[name].shape == stored[name].shape and (given[name] == stored[name]).all() for name in stored)


def carried(architecture: Architecture, back: Architecture, layers: list[Any]) -> float:
    """How far the logits of a network are from those of what came back, with its weights under the reference's names."""
    one, other = scramble(build(architecture)).eval(), build(back).eval()
    arrays = to_reference_names(one.state_dict(), reference_layers(architecture))
    other.load_state_dict(from_reference_names(arrays, layers, other.state_dict()))
    images = noise(2, 3, *architecture.input_size)
    with torch.no_grad():
        return distance(other(images), one(images))


NETWORKS: dict[str, Architecture] = {
    "letters": Architecture(
        tuple(Stage(width, (letter_block(letter),) * 2) for width, letter in zip((32, 96, 192, 96), "RETE", strict=True)),
        classes=5,
        input_size=(64, 64),
        stem=(8, 16),
    ),
    "heads of one node": FUSED,
    "absent sub-blocks": canonicalise(tiny("RE", (32, 32))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_function_survives_the_text(name: str) -> None:
    network = NETWORKS[name]
    back, layers = read_reference(json.loads(to_reference_text(network)), "net.json")
    assert carried(network, back, layers) < 1e-4


@pytest.mark.parametrize("seed", range(12))
def test_function_of_random_files_survives_the_text(seed: int) -> None:
    network = from_reference(random_file(random.Random(seed)), "net.json")
    for form in (network, canonicalise(network)):
        back, layers = read_reference(json.loads(to_reference_text(form)), "net.json")
        assert carried(form, back, layers) < 1e-4


def test_heads_apart_have_the_weights_of_heads_together() -> None:
    """The same weights in a network whose heads are branches of their own, as the reference runs them."""
    document = to_reference(FUSED)
    rows = json.loads(document["model_str"].replace(', "fused": true', ""))
    apart, layers = read_reference({**document, "model_str": json.dumps(rows)}, "net.json")
    assert apart.digest != FUSED.digest
    assert all(layer.rows is None for layer in layers)
    assert carried(FUSED, apart, layers) < 1e-4


# --- files --------------------------------------------------------------------------------------------------------------------


def test_a_file_comes_back_to_the_bit(tmp_path: Path) -> None:
    one, other = scramble(build(FUSED)), build(FUSED)
    save(one.state_dict(), tmp_path / "w.npz", reference_layers(FUSED))
    load(other, tmp_path / "w.npz", reference_layers(FUSED))
    assert all(torch.equal(one.state_dict()[name], value) for name, value in other.state_dict().items() if "batches" not in name)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays: arrays.pop("head.fc.bias"), "head.fc.bias"),
        (lambda arrays: arrays.update(stray=np.zeros(3)), "stray"),
        (lambda arrays: arrays.update({"norm.weight": np.zeros(7, "float32")}), "norm.weight: expected the shape"),
        (lambda arrays: arrays.update({"norm.weight": np.full(96, np.nan, "float32")}), "finite"),
        (lambda arrays: arrays.update({"norm.weight": np.array(["x"] * 96)}), "finite"),
    ],
)
def test_weights_that_do_not_fit_are_named(change: Any, said: str) -> None:
    module, layers = build(FUSED), reference_layers(FUSED)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    arrays = to_reference_names(module.state_dict(), layers)
    arrays["a.relative_position_index"] = np.zeros(4)  # follows from the architecture
    from_reference_names(arrays, layers, before)
    change(arrays)
    with pytest.raises(InputError, match=said):
        from_reference_names(arrays, layers, module.state_dict())
    with pytest.raises(InputError, match="layer"):
        to_reference_names({"stem.conv1.weight": before["stem.conv1.weight"]}, layers)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    layers, state = [Layer("a", "ours")], {"ours.weight": torch.zeros(1)}
    np.savez(tmp_path / "other.npz", input=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", **{"w/a.weight": np.array([object()], dtype=object)})  # type: ignore[arg-type]
    np.save(tmp_path / "single.npy", np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "other.npz").read_bytes()[:60])
    (tmp_path / "empty.npz").write_bytes(b"")
    for path in (*tmp_path.iterdir(), tmp_path / "missing.npz", tmp_path):
        with pytest.raises(InputError, match=r"\A.*: .*expected") as caught:
            read_arrays(path, layers, state)
        assert str(caught.value).startswith(str(path))


def header(shape: tuple[int, ...], dtype: str = "<f4", version: tuple[int, int] = (1, 0)) -> bytes:
    """What an .npy file begins with."""
    stream = io.BytesIO()
    stream.write(np.lib.format.magic(*version))
    text = repr({"descr": dtype, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return stream.getvalue() + len(text).to_bytes(2 if version == (1, 0) else 4, "little") + text


def rewritten(path: Path, name: str, begin: bytes, zeros: int, method: int = zipfile.ZIP_DEFLATED) -> None:
    """Put a member in place of another of that name, or beside the others: so many MB of zeros behind how it begins."""
    with zipfile.ZipFile(path) as archive:
        stem = name.removesuffix(".npy")  # numpy reads members with and without the ending
        others = {member: archive.read(member) for member in archive.namelist() if member.removesuffix(".npy") != stem}
    with zipfile.ZipFile(path, "w", method) as archive:
        for member, content in others.items():
            archive.writestr(member, content)
        with archive.open(name, "w", force_zip64=True) as stream:
            stream.write(begin)
            for _ in range(zeros):
                stream.write(bytes(1 << 20))


BOMB = 200  # MB
HUGE = (BOMB << 18,)


@pytest.mark.parametrize(
    ("name", "begin", "said"),
    [
        ("w/stray.npy", header(HUGE), "1 are unknown, the first is 'stray'"),
        ("w/norm.weight.npy", header(HUGE), f"norm.weight: expected the shape [96], got [{HUGE[0]}]"),
        ("w/norm.weight.npy", header((96,), "<U100000"), "norm.weight: expected finite numbers, got <U100000"),
        ("w/norm.weight.npy", header((96,), "|O"), "norm.weight: expected finite numbers, got object"),
        ("w/norm.weight.npy", header((96,), version=(3, 0)), "norm.weight: expected an .npy file of version 1 or 2, got (3, 0)"),
        ("w/norm.weight.npy", b"", "norm.weight: expected an .npy file"),
        ("w/norm.weight.npy", header((96,), "x" * 60_000), "norm.weight: expected an .npy file"),
        ("w/norm.weight", header(HUGE), "norm.weight: expected the shape [96]"),
        ("w/a.relative_position_index.npy", header(HUGE), ""),  # follows from the architecture
        ("other.npy", header(HUGE), ""),
        ("w/norm.weight.npy", header((96,)), ""),  # what stands behind the array is no part of it
    ],
    ids=["unknown", "shape", "text", "object", "version", "no header", "long header", "bare name", "follows", "other", "behind"],
)
def test_what_does_not_fit_is_rejected_before_it_is_unpacked(name: str, begin: bytes, said: str, tmp_path: Path) -> None:
    module, layers, path = build(FUSED), reference_layers(FUSED), tmp_path / "w.npz"
    save(module.state_dict(), path, layers)
    rewritten(path, name, begin, BOMB)
    assert path.stat().st_size < 8 << 20
    tracemalloc.start()
    try:
        if said:
            with pytest.raises(InputError) as caught:
                load(module, path, layers)
            assert str(caught.value).startswith(f"{path}: ")
            assert said in str(caught.value)
        else:
            load(module, path, layers)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


def test_members_of_other_compressions_are_rejected(tmp_path: Path) -> None:
    """A decoder of LZMA allocates what the file says; numpy writes stored and deflated members alone."""
    module, layers, path = build(FUSED), reference_layers(FUSED), tmp_path / "w.npz"
    save(module.state_dict(), path, layers)
    rewritten(path, "w/norm.weight.npy", header((96,)), 1, zipfile.ZIP_LZMA)
    with pytest.raises(InputError, match="stored or deflated"):
        load(module, path, layers)


def test_what_was_saved_compressed_or_in_another_order_is_read(tmp_path: Path) -> None:
    module, layers = scramble(build(FUSED)), reference_layers(FUSED)
    arrays = to_reference_names(module.state_dict(), layers)
    stored = {f"w/{name}": np.asfortranarray(array.astype("float64")) for name, array in arrays.items()}
    np.savez_compressed(tmp_path / "w.npz", **stored)  # type: ignore[arg-type]
    found = read_arrays(tmp_path / "w.npz", layers, module.state_dict())
    assert found.keys() == arrays.keys()
    assert all((found[name] == array).all() for name, array in arrays.items())


# --- commands -----------------------------------------------------------------------------------------------------------------


def test_the_command_writes_what_the_commands_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours to the reference's files, and from there to a program: the same logits."""
    (tmp_path / "net.json").write_text(to_text(FUSED), encoding="utf-8")
    model = scramble(build(FUSED))
    weight_files.save(model.state_dict(), tmp_path / "w.safetensors")
    out = tmp_path / "theirs"
    with pytest.raises(SystemExit) as left:
        cli.main(
            [
                "export",
                str(tmp_path / "net.json"),
                "--weights",
                str(tmp_path / "w.safetensors"),
                "--to",
                "reference",
                "--out",
                str(out),
            ]
        )
    assert left.value.code == 0
    assert {path.name for path in out.iterdir()} == {"README.md", "architecture.json", "reference.json", "weights.npz"}
    assert capsys.readouterr().err == f"next: uninas cost {out / 'reference.json'}\n"  # and no warning
    subject = subject_of(str(out / "reference.json"), weights=out / "weights.npz")
    images = noise(2, 3, 32, 32)
    with torch.no_grad():
        assert distance(subject.model()(images), model.eval()(images)) < 1e-4
    export(subject, "torch", tmp_path / "program")
    assert (tmp_path / "program" / "model.pt2").is_file()
    # The same weights fit the architecture under our own format, too.
    subject = subject_of(str(tmp_path / "net.json"), weights=out / "weights.npz")
    with torch.no_grad():
        assert distance(subject.model()(images), model(images)) < 1e-4
    assert "w/NAME" in (out / "README.md").read_text(encoding="utf-8")


def test_weights_of_a_file_have_the_files_own_names(tmp_path: Path) -> None:
    """Which are others than those of what would be written: series in series, for one."""
    inner = {"class": "SequentialModule", "params": {"modules": [{"class": "Conv1", "params": {}}]}}
    block = {"subblock1": {"class": "SequentialModule", "params": {"modules": [inner]}}, "subblock2": {"class": "Conv3"}}
    document = {
        "img_size": 16,
        "num_classes": 2,
        "embed_dim": [8],
        "stem_width": [4, 8],
        "model_str": json.dumps([[block]]),
    }
    (tmp_path / "net.json").write_text(json.dumps(document), encoding="utf-8")
    network, layers = read_reference(document, "net.json")
    assert {layer.theirs for layer in layers} != {layer.theirs for layer in reference_layers(network)}
    module = scramble(build(network)).eval()
    save(module.state_dict(), tmp_path / "w.npz", layers)
    written = read_arrays(tmp_path / "w.npz", layers, module.state_dict())
    assert "stages.0.blocks.0.subblock1.sequential.0.sequential.0.conv.weight" in written
    images = noise(2, 3, 16, 16)
    with torch.no_grad():
        made = subject_of(str(tmp_path / "net.json"), weights=tmp_path / "w.npz").model()(images)
        assert distance(made, module(images)) < 1e-4


def test_fresh_weights_are_not_written_and_odd_maps_are_reported_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.json").write_text(to_text(tiny("RE", (36, 36))), encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        cli.main(["export", str(tmp_path / "net.json"), "--to", "reference", "--classes", "9", "--out", str(tmp_path / "out")])
    assert left.value.code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"README.md", "architecture.json", "reference.json"}
    assert json.loads((tmp_path / "out" / "reference.json").read_text(encoding="utf-8"))["num_classes"] == 9
    assert "warning: the reference implementation gives other logits: stage 2 halves 9x9" in capsys.readouterr().err
    assert reference.PREFIX == "w/"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["convnext_tiny"], "stem: the reference implementation expects"),
        (["coatnet", "--size", "64"], "--size"),
    ],
)
def test_the_command_rejects_in_one_line(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["export", *arguments, "--to", "reference", "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def with_member(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path) as old:
        members = {one: old.read(one) for one in old.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for one, data in (members | {name: content}).items():
            new.writestr(one, data)


@pytest.mark.parametrize(
    "header", [(1 << 26).to_bytes(4, "little") + b" " * (1 << 26), b"\xff\xff\xff\x7f", b"\x20\x4e\x00\x00" + b" " * 20000]
)
def test_a_header_that_claims_gigabytes_is_not_unpacked(header: bytes, tmp_path: Path) -> None:
    """Fourteen megabytes took six gigabytes of memory."""
    network = tiny("RE", (32, 32))
    module, layers = scramble(build(network)), reference_layers(network)
    save(module.state_dict(), tmp_path / "w.npz", layers)
    name = next(iter(read_arrays(tmp_path / "w.npz", layers, module.state_dict())))
    with_member(tmp_path / "w.npz", f"w/{name}.npy", b"\x93NUMPY\x02\x00" + header)
    assert (tmp_path / "w.npz").stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"expected an \.npy file, got something else"):
            read_arrays(tmp_path / "w.npz", layers, module.state_dict())
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
