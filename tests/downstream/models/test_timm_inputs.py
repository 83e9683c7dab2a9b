"""timm's own tests of a model's input, run on ours: other sizes, channels and strides, and weights that are fitted to them.

The list of checks is that of tests/test_model_input.py of timm (huggingface/pytorch-image-models, Apache-2.0); the code is ours.
Left out is what only models of one fixed size have: ours run at any.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.amounts import slow
from tests.downstream.timm_networks import NETWORKS, every_network, image, model_of
from tests.uninas.examples import graph_of, tiny
from tests.uninas.running import noise, scramble
from uninas import InputError

import timm  # isort: skip  after the repair of torchvision
from timm.models import get_model_input_config, resolve_model_input_args, save_for_hf  # isort: skip


@every_network
@pytest.mark.parametrize("size", [slow(96), (48, 80)])
def test_another_input_size(name: str, size: Any, tmp_path: Path) -> None:
    """At the new size the same is computed as before at that size; the model and a folder of it remember the size."""
    sides = (size, size) if isinstance(size, int) else size
    model = model_of(name, num_classes=7).eval()
    scramble(model)
    inputs = noise(1, 3, *sides)
    before = model(inputs)
    source = copy.deepcopy(model.pretrained_cfg)
    model.set_input_size(size)
    assert torch.equal(model(inputs), before)
    assert model.pretrained_cfg == source
    assert get_model_input_config(model)["input_size"] == (3, *sides)
    assert model_of(name, img_size=size, num_classes=7).state_dict().keys() == model.state_dict().keys()
    save_for_hf(model, tmp_path)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(again(inputs), before)
    assert get_model_input_config(again)["input_size"] == (3, *sides)
    shapes = {key: value.shape for key, value in model_of(name, img_size=size, num_classes=7).state_dict().items()}
    assert shapes == {key: value.shape for key, value in again.state_dict().items()}


@pytest.mark.parametrize("name", ["coatnet", "deit", "swin"])
def test_weights_are_fitted_to_another_size(name: str, tmp_path: Path) -> None:
    model = model_of(name, num_classes=7).eval()
    scramble(model)
    save_for_hf(model, tmp_path)
    other = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, img_size=(96, 48)).eval()
    inputs = noise(1, 3, 96, 48)
    assert torch.equal(other(inputs), model(inputs))
    assert other.architecture.input_size == (96, 48)


def test_layers_over_pixels_have_one_size(tmp_path: Path) -> None:
    mixed = tiny("E").stages[0].with_blocks((tiny("E").stages[0].blocks[0].with_subblocks((graph_of(
        "%1 = token_linear %0", "return %1"), None)),))  # fmt: skip
    architecture = tiny("E").replace(stages=(mixed,))
    model = timm.create_model("uninas", arch=architecture, num_classes=7)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=r"img_size: expected the size for which .* token_linear layers .*; got 96x96"):
        model.set_input_size(96)
    assert model.architecture.input_size == (40, 40)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert timm.create_model("uninas", arch=architecture, img_size=96)(noise(1, 3, 96, 96)).shape == (1, 1000)
    save_for_hf(model, tmp_path)
    with pytest.raises(InputError, match=r"pretrained: expected weights of this architecture; 2 of another shape"):
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True, img_size=96)


@every_network
@pytest.mark.parametrize("channels", [1, 5])
def test_other_input_channels_and_their_weights(name: str, channels: int, tmp_path: Path) -> None:
    """Weights are adapted as timm does: summed for one channel, else repeated and scaled, so that equal channels count alike."""
    model = model_of(name, num_classes=7).eval()
    scramble(model)
    save_for_hf(model, tmp_path)
    fresh = model_of(name, in_chans=channels).eval()
    assert fresh(image(fresh)).shape == (1, 1000)
    assert get_model_input_config(fresh)["input_size"][0] == fresh.in_chans == channels
    other = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=channels).eval()
    assert other.pretrained_cfg["input_size"][0] == 3  # of the weights
    grey = noise(1, 1, *NETWORKS[name].input_size)
    equal = other(grey.expand(-1, channels, -1, -1))
    if channels == 1:
        assert torch.allclose(equal, model(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)
    else:  # images whose channels are as the weights repeat them: each counts as often as it is repeated, times 3 / 5
        colours = noise(1, 3, *NETWORKS[name].input_size)
        shares = torch.tensor([2, 2, 1]) * 3 / 5
        repeated = colours[:, [place % 3 for place in range(channels)]]
        assert torch.allclose(other(repeated), model(colours * shares.view(1, 3, 1, 1)), atol=1e-4, rtol=1e-4)
    bare = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=channels, num_classes=0).eval()
    assert torch.equal(other.head(bare(grey.expand(-1, channels, -1, -1))), equal)
    features = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=channels, features_only=True).eval()
    assert len(features(grey.expand(-1, channels, -1, -1))) == len(NETWORKS[name].stages)
    again = tmp_path / "again"
    save_for_hf(other, again)
    back = timm.create_model(f"local-dir:{again}", pretrained=True).eval()
    assert torch.equal(back(grey.expand(-1, channels, -1, -1)), equal)
    assert timm.create_model(f"local-dir:{again}", pretrained=True, in_chans=2).in_chans == 2


def test_a_norm_of_the_image_cannot_be_adapted(tmp_path: Path) -> None:
    stem = graph_of("%1 = batch_norm %0", "%2 = conv(kernel=3, ratio=16/3, stride=2) %1", "return %2")
    architecture = tiny("R").replace(stem=stem)
    save_for_hf(timm.create_model("uninas", arch=architecture, num_classes=7), tmp_path)
    assert timm.create_model(f"local-dir:{tmp_path}", in_chans=1)(noise(1, 1, 40, 40)).shape == (1, 7)
    with pytest.raises(InputError, match=r"in_chans: expected 3, those of the weights, because stem\.batch_norm_0 .*; got 1"):
        timm.create_model(f"local-dir:{tmp_path}", pretrained=True, in_chans=1)


def test_a_stem_that_takes_a_third_of_the_channels_needs_three_thirds() -> None:
    third = graph_of("%1 = slice(index=1, count=3) %0", "%2 = conv(kernel=3, ratio=16, stride=2) %1", "return %2")
    architecture = tiny("R").replace(stem=third)
    assert timm.create_model("uninas", arch=architecture, in_chans=6)(noise(1, 6, 40, 40)).shape == (1, 1000)
    with pytest.raises(InputError, match=r"^in_chans: expected 3, or what the stem can read; got 4; slice"):
        timm.create_model("uninas", arch=architecture, in_chans=4)


def test_the_strides_are_the_architectures() -> None:
    assert model_of("coatnet", output_stride=32).feature_info[-1]["reduction"] == 32
    with pytest.raises(InputError, match=r"output_stride: expected 32, .*; got 16: take the maps of earlier stages"):
        model_of("coatnet", output_stride=16)


def test_what_timms_scripts_ask_for() -> None:
    """train.py, validate.py and inference.py resolve a model's arguments first, and pass the registered configuration."""
    arguments = resolve_model_input_args("uninas", {"in_chans": 4}, arch=NETWORKS["deit"], num_classes=7, bn_momentum=None)
    model = timm.create_model(**arguments, pretrained=False).eval()
    assert model.pretrained_cfg["input_size"] == (4, 64, 64)  # not the 224 pixels of a registered configuration
    assert model.pretrained_cfg["pool_size"] == (1, 1)
    assert model(noise(1, 4, 64, 64)).shape == (1, 7)
    chosen = resolve_model_input_args(
        "uninas", {}, arch="resnet", pretrained_cfg_overlay={"input_size": (3, 96, 96), "mean": (0.5, 0.5, 0.5)}
    )
    config = timm.create_model(**chosen).pretrained_cfg
    assert (config["input_size"], config["mean"]) == ((3, 96, 96), (0.5, 0.5, 0.5))
