"""The exported file: plain torch that lints, the same text each time, known to timm, scriptable, exportable."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from downstream.export.source.copying import IMPORTS, copied
from downstream.export.source.folder import written_of
from downstream.export.source.pieces import attention, files, layers, maps
from downstream.subject import Subject
from downstream.weights import weight_files
from tests.amounts import amount, slow
from tests.downstream.export.source.exported import drawn, folder_of, imported, published
from tests.uninas.examples import small, tiny
from tests.uninas.running import distance, noise
from uninas import Architecture, cost, preset
from uninas.graph import Block, GraphBuilder, Stage
from uninas.networks.presets import PRESETS, mlp_block, zero
from uninas.ops import op

ROOT = Path(__file__).parents[4]
RUFF = Path(sys.executable).with_name("ruff")


def named(architecture: Architecture, name: str = "found") -> Subject:
    """A network without weights."""
    return Subject(name, architecture, architecture.classes, architecture.input_size, None, None, 0, {})


def test_the_file_needs_torch_alone_and_lints(tmp_path: Path) -> None:
    networks = {"coatnet": small("coatnet"), **{f"d{seed}": drawn(seed) for seed in range(amount(8))}}
    files = []
    for name, architecture in networks.items():
        _, out = folder_of(architecture, tmp_path / name, name)
        files.append(str(out / "model.py"))
        tree = ast.parse((out / "model.py").read_text())
        roots = {
            (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]  # type: ignore[union-attr]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert roots - set(sys.stdlib_module_names) == {"torch", "timm"}
    for options in (["--isolated"], ["--config", str(ROOT / "pyproject.toml")]):
        done = subprocess.run(
            [str(RUFF), "check", "--no-cache", *options, *files], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


def test_the_same_network_gives_the_same_text(tmp_path: Path) -> None:
    texts = {(folder_of(small("vit"), tmp_path / folder)[1] / "model.py").read_text() for folder in ("one", "other")}
    assert len(texts) == 1


def test_the_head_of_the_file_says_what_it_is(tmp_path: Path) -> None:
    chosen, out = folder_of(small("coatnet"), tmp_path)
    about = ast.get_docstring(ast.parse((out / "model.py").read_text()))
    assert about is not None
    module = imported(out, "exported_head")
    count = sum(one.numel() for one in module.Found().parameters())
    found = cost(chosen.architecture)
    assert about.startswith(f"found: {count:,} parameters, {found.macs:,} MACs for an image of 3 x 64 x 64.\n")
    left_out = int(re.findall(r"Left out: ([\d,]+)", about)[0].replace(",", ""))
    assert count + left_out == found.params
    assert chosen.architecture.digest in about
    assert "Weights: weights.safetensors" in about
    assert "Objective of the search: vkdnw_agg" in about


def test_equal_blocks_are_one_class_in_a_loop() -> None:
    text = written_of(named(preset("coatnet"), "coatnet")).classes
    assert text.count("class MBConv(nn.Module)") == text.count("class Attention(nn.Module)") == 1
    assert "*[MBConvBlock(192) for _ in range(2)]," in text
    assert "*[AttentionMLPBlock(384, (14, 14)) for _ in range(4)]," in text


def test_the_guide_shows_a_real_file() -> None:
    guide = (ROOT / "docs" / "guides" / "train.md").read_text().partition("### A network to take away")[2].partition("\n## ")[0]
    text = written_of(named(preset("coatnet"), "coatnet")).classes
    shown = re.findall(r"```(?:python|text)\n(.*?)```", guide, re.DOTALL)
    assert len(shown) == 2
    assert all(part in text for part in shown)


def test_two_blocks_that_alternate_are_one_loop() -> None:
    text = written_of(named(preset("swin_tiny_patch4_window7_224"))).classes
    assert re.search(r"\*\[block for _ in range\(3\) for block in \(\w+\(384\), \w+\(384\)\)\],", text)


def test_what_adds_zeros_is_left_out() -> None:
    """Of blocks with a zero sub-block no trace but the other one; of blocks that are nothing else none."""
    stages = (Stage(32, (Block((mlp_block(), zero())), Block((zero(), zero())))),)
    text = written_of(named(Architecture(stages, 5, (32, 32), (8, 16)))).classes
    assert "def zeros" not in text
    assert "norm2" not in text.partition("class Stem")[2]


def test_equal_branches_are_one_grouped_convolution() -> None:
    builder = GraphBuilder()
    halves = [builder.add(op("slice", index=index, count=2), 0) for index in range(2)]
    joined = builder.add(op("concat"), *[builder.add(op("conv", kernel=3), half) for half in halves])
    stages = (Stage(32, (Block((builder.build(joined), None)),)),)
    made = written_of(named(Architecture(stages, 5, (32, 32), (8, 16))))
    assert "nn.Conv2d(32, 32, 3, padding=1, groups=2)" in made.classes
    (sources,) = [sources for name, sources in made.filled.items() if name.endswith(".conv")]
    assert [source.rpartition(".")[2] for source in sources] == ["conv_kernel_3_0", "conv_kernel_3_1"]


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("coatnet", "uninas_coatnet"),
        ("Best Of", r"uninas_best_of_[0-9a-f]{8}"),
        ("x" * 60, "uninas_x{40}_[0-9a-f]{8}"),
        ('"""\\\n', "uninas_[0-9a-f]{8}"),
        ("linear", "uninas_linear"),
        ("tensor", "uninas_tensor"),
        ("none", "uninas_none"),
        ("value_error", "uninas_value_error"),
        ("2net", "uninas_2net"),
    ],
)
def test_any_name_gives_a_function_and_a_class(name: str, function: str) -> None:
    made = written_of(named(tiny("E"), name))
    assert re.fullmatch(function, made.name)
    assert made.network.isidentifier()
    compile(made.classes, "model.py", "exec")


def test_every_piece_stands_on_its_own() -> None:
    """What a piece names is copied with it, or imported."""
    for module in (attention, files, layers, maps):
        for piece in [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]:
            code = "\n\n\n".join(copied(piece))
            done = subprocess.run(
                [str(RUFF), "check", "--isolated", "--no-cache", "--select", "F821", "-"],
                input="\n".join([*IMPORTS.values(), code]),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout


def test_timm_knows_the_network(tmp_path: Path) -> None:
    chosen, out = folder_of(small("coatnet"), tmp_path, "known")
    imported(out, "exported_known")
    model = timm.create_model("uninas_known", pretrained=True).eval()
    images = noise(2, 3, 64, 64)
    assert torch.equal(model(images), chosen.model()(images))
    assert timm.data.resolve_model_data_config(model)["input_size"] == (3, 64, 64)
    tuned = timm.create_model("uninas_known", pretrained=True, num_classes=3, in_chans=3, drop_rate=0.1)
    assert tuned(images).shape == (2, 3)
    assert torch.equal(tuned.stem.conv1.weight, model.stem.conv1.weight)
    maps = timm.create_model("uninas_known", pretrained=True, features_only=True).eval()(images)
    assert [tuple(one.shape[1:]) for one in maps] == [(32, 16, 16), (64, 8, 8), (64, 4, 4), (96, 2, 2)]
    with pytest.raises(ValueError, match="in_chans: expected 3, got 1"):
        timm.create_model("uninas_known", in_chans=1)


def test_without_timm_another_classifier_keeps_the_rest(tmp_path: Path) -> None:
    _, out = folder_of(tiny("E", (32, 32)), tmp_path, "plain")
    module = imported(out, "exported_plain")
    module.build_model_with_cfg = None  # as where there is no timm
    network = module.uninas_plain(pretrained=True, num_classes=3)
    weights = weight_files.read_tensors(out / "model.safetensors")
    assert network.head.weight.shape[0] == 3
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items() if not name.startswith("head."))


def programs_of(architecture: Architecture, folder: Path, name: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Give the logits of an exported network, and of its programs: by TorchScript, and by torch.export with an open batch."""
    _, out = folder_of(architecture, folder, name)
    network = getattr(imported(out, f"exported_{name}"), f"uninas_{name}")(pretrained=True).eval()
    images = noise(5, architecture.in_channels, *architecture.input_size)
    with torch.no_grad():
        program = torch.export.export(network, (images[:2],), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)).module()
        return network(images), torch.jit.script(network)(images), program(images)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_scripted_and_exported(name: str, tmp_path: Path) -> None:
    expected, scripted, exported = programs_of(published(name), tmp_path, name)
    assert torch.equal(scripted, expected)
    assert distance(exported, expected) < 1e-5  # attention's output may lie otherwise, and so be added in another order


@pytest.mark.parametrize("letters", ["E", slow("T")])
def test_small_networks_are_scripted_and_exported(letters: str, tmp_path: Path) -> None:
    expected, scripted, exported = programs_of(tiny(letters, (32, 32)), tmp_path, f"tiny_{letters.lower()}")
    assert torch.equal(scripted, expected)
    assert distance(exported, expected) < 1e-5
