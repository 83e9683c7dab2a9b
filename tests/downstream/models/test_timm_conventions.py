"""timm's own tests of models, run on ours.

The list of checks is that of tests/test_models.py and tests/test_model_input.py of timm (huggingface/pytorch-image-models,
Apache-2.0); the code is ours. What of it cannot apply, and why:

- the tests of NaFlex models and Gemma: other interfaces to images (batches of patches of many sizes), which ours do not have;
- at least three feature levels: a network has one for each stage, of which DeiT and networks of a search may have one;
- a gradient for every parameter: stored forms may hold norms and operations that end in nothing, as the presets do; the gradient
  reaches all that `uninas cost` counts as trainable (`test_timm_model.py`), and here every parameter of the published networks;
- pretrained weights of the zoo: nothing is downloaded; `test_timm_weights.py` has those that we write;
- scripting and tracing by torch.fx, forward and backward: in `test_timm_model.py`.
"""

from __future__ import annotations

import copy
import math
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import downstream  # noqa: F401 registers the model
from downstream.models.timm_model import UniNASNet
from tests.amounts import slow
from tests.uninas.examples import graph_of, small, tiny, walked
from tests.uninas.running import noise, scramble
from uninas import Architecture, InputError, canonicalise
from uninas.networks.convnext import convnext
from uninas.networks.hybrids import poolformer_s12
from uninas.networks.transformers import deit, swin

import timm  # isort: skip  after the repair of torchvision
from timm.data import resolve_data_config, resolve_model_data_config  # isort: skip
from timm.layers import convert_splitbn_model, convert_sync_batchnorm, get_channel_dim, get_spatial_dim  # isort: skip
from timm.models import checkpoint_seq, get_model_args, get_model_input_config, resolve_model_input_args, save_for_hf  # isort: skip
from timm.models._features import FeatureGetterNet  # isort: skip
from timm.optim import create_optimizer_v2  # isort: skip
from timm.utils import ModelEmaV3, freeze, unfreeze  # isort: skip

SIZE = (64, 64)
FOLDS = graph_of(
    "%1 = space_to_depth(factor=4) %0", "%2 = conv(kernel=1, ratio=1/2) %1", "%3 = conv(kernel=3, stride=2) %2", "return %3"
)
"""A stem whose first convolution reads tiles of the image."""

POOLS = poolformer_s12(classes=7, input_size=SIZE)
NETWORKS: dict[str, Architecture] = {
    "resnet": small("resnet"),
    "coatnet": small("coatnet"),
    "deit": deit(width=64, depth=3, classes=7, input_size=SIZE),
    "swin": swin(widths=(32, 64), depths=(1, 1), classes=7, input_size=SIZE),
    "poolformer": POOLS.replace(stages=tuple([stage.with_blocks(stage.blocks[:1]) for stage in POOLS.stages[:2]])),
    "convnext": convnext(widths=(8, 16, 24), depths=(1, 1, 1), classes=7, input_size=SIZE),
    "a stem that folds": tiny("RT").replace(stem=FOLDS, input_size=SIZE),
    "found": canonicalise(walked(tiny("RET"), random.Random(9), 40)),
}
PUBLISHED = ("deit", "swin", "poolformer", "convnext")
QUICK = ("coatnet", "deit", "a stem that folds", "found")  # convolutions, attention and tokens; all others are slow
every_network = pytest.mark.parametrize("name", [name if name in QUICK else slow(name) for name in NETWORKS])


def model_of(name: str, **options: Any) -> Any:
    return timm.create_model("uninas", arch=NETWORKS[name], **options)


def image(model: Any, batch: int = 1) -> torch.Tensor:
    return noise(batch, *get_model_input_config(model)["input_size"])


@every_network
def test_forward_and_the_default_configuration(name: str) -> None:
    model = model_of(name).eval()
    config, names = model.default_cfg, model.state_dict()
    assert model.default_cfg is model.pretrained_cfg
    assert (model.num_classes, config["num_classes"]) == (1000, 1000)
    features = model.forward_features(image(model))
    assert features.shape == (1, model.num_features, *config["pool_size"])
    assert model.forward_head(features, pre_logits=True).shape == (1, model.head_hidden_size)
    logits = model(image(model))
    assert logits.shape == (1, 1000)
    assert bool(torch.isfinite(logits).all())
    assert config["classifier"] + ".weight" in names
    first = (config["first_conv"],) if isinstance(config["first_conv"], str) else config["first_conv"] or ()
    assert all(f"{place}.weight" in names for place in first)
    assert (first == ()) == (name == "a stem that folds")
    assert resolve_data_config(model=model)["input_size"] == (3, *NETWORKS[name].input_size)
    assert resolve_model_data_config(model)["mean"] == config["mean"]


@every_network
def test_without_a_classifier(name: str) -> None:
    """By `reset_classifier` and from the start; with and without pooling."""
    inputs = noise(1, 3, *NETWORKS[name].input_size)
    later, pooled, bare = model_of(name), model_of(name, num_classes=0), model_of(name, num_classes=0, global_pool="")
    later.reset_classifier(0)
    assert later.num_classes == pooled.num_classes == 0
    for model in (later, pooled):
        assert model.eval()(inputs).shape == (1, model.num_features)
    later.reset_classifier(0, "")
    for model in (later, bare):
        assert model.eval()(inputs).shape == (1, model.num_features, *model.default_cfg["pool_size"])
    assert isinstance(later.get_classifier(), nn.Identity)
    later.reset_classifier(9, "fastmax")
    assert later(inputs).shape == (1, 9)
    assert isinstance(later.get_classifier(), nn.Linear)


@pytest.mark.parametrize("name", PUBLISHED)
def test_backward_reaches_every_parameter(name: str) -> None:
    model = model_of(name, num_classes=42).train()
    outputs = model(image(model, batch=2))
    outputs.mean().backward()
    assert outputs.shape == (2, 42)
    assert [key for key, parameter in model.named_parameters() if parameter.grad is None] == []


@every_network
@pytest.mark.parametrize("kind", [None, "getter", "list", "dict", "hook", "fx"])
def test_features_by_each_of_timms_extractors(name: str, kind: str | None) -> None:
    options = {} if kind is None else {"feature_cls": FeatureGetterNet if kind == "getter" else kind}
    if name == "deit" and kind not in (None, "getter"):
        with pytest.raises(InputError, match=f"feature_cls: expected getter, .* class tokens, .*; got {kind}"):
            model_of(name, features_only=True, **options)
        return
    model = model_of(name, features_only=True, **options).eval()
    inputs = noise(2, 3, *NETWORKS[name].input_size)
    found = model(inputs)
    maps = list(found.values()) if isinstance(found, dict) else list(found)
    assert len(maps) == len(model.feature_info) == len(NETWORKS[name].stages)
    for made, channels, stride in zip(maps, model.feature_info.channels(), model.feature_info.reduction(), strict=True):
        assert made.shape == (2, channels, *(math.ceil(side / stride) for side in inputs.shape[2:]))
    assert model.in_chans == 3
    assert not {"num_classes", "classifier", "global_pool"} & model.pretrained_cfg.keys()


@pytest.mark.parametrize("kind", ["getter", "list", slow("hook"), slow("fx")])
@pytest.mark.parametrize(
    ("indices", "expected"), [(-1, [3]), (-3, [1]), (2, [2, 3]), ((0, -1), [0, 3]), ([1], [1]), ((0, 1, 2, 3), [0, 1, 2, 3])]
)
def test_which_features(kind: str, indices: Any, expected: list[int]) -> None:
    whole = model_of("coatnet").eval()
    model = model_of("coatnet", features_only=True, out_indices=indices, feature_cls=kind).eval()
    inner = {"getter": lambda: model.model, "fx": lambda: model.graph_module}.get(kind, lambda: model)()
    state = {key.replace("stages.", "stages_") if kind in ("list", "hook") else key: v for key, v in whole.state_dict().items()}
    inner.load_state_dict({key: state[key] for key in inner.state_dict()})
    every = whole.forward_intermediates(image(whole), intermediates_only=True)
    assert [model.feature_info.info[place]["index"] for place in model.feature_info.out_indices] == expected
    assert all(map(torch.equal, model(image(whole)), [every[place] for place in expected]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The TorchScript type system")  # it is on its way out
@pytest.mark.parametrize("name", [slow("resnet"), "a stem that folds"])
def test_scripted_features(name: str) -> None:
    model = model_of(name, features_only=True, feature_cfg={"feature_cls": "fx"}).eval()
    inputs = noise(1, 3, *NETWORKS[name].input_size)
    assert all(map(torch.equal, torch.jit.script(model)(inputs), model(inputs)))


@every_network
@pytest.mark.parametrize("output_fmt", ["NCHW", "NHWC", "NCL", "NLC"])
def test_intermediates(name: str, output_fmt: str) -> None:
    model = model_of(name).eval()
    inputs = image(model)
    info = timm.models.FeatureInfo(model.feature_info, len(model.feature_info))
    features, found = model.forward_intermediates(inputs, output_fmt=output_fmt)
    assert len(found) == len(model.feature_info)
    for made, channels, stride in zip(found, info.channels(), info.reduction(), strict=True):
        sides = [math.ceil(side / stride) for side in inputs.shape[2:]]
        spatial = [made.shape[dim] for dim in get_spatial_dim(output_fmt)]
        assert spatial == (sides if len(output_fmt) == 4 else [math.prod(sides)])
        assert made.shape[get_channel_dim(output_fmt)] == channels
    assert torch.equal(features, model.forward_features(inputs))
    model.set_grad_checkpointing()
    assert torch.allclose(model.forward_intermediates(inputs)[0], features, rtol=1e-4, atol=1e-5)
    early = model.forward_intermediates(inputs, [0], stop_early=True, intermediates_only=True, output_fmt=output_fmt)
    assert torch.equal(early[0], found[0])


def test_intermediates_in_other_forms() -> None:
    model = model_of("deit").eval()
    inputs = image(model, batch=2)
    ((made, tokens),) = model.forward_intermediates(inputs, return_prefix_tokens=True, norm=True, intermediates_only=True)
    assert (made.shape, tokens.shape) == ((2, 64, 4, 4), (2, 1, 64))
    assert torch.equal(tokens[:, 0], model.forward_head(model.forward_features(inputs), pre_logits=True))
    named = model.forward_intermediates(inputs, return_prefix_tokens=True, output_dict=True)
    assert named.keys() == {"image_intermediates", "image_intermediates_prefix", "image_features"}
    plain = model_of("resnet").eval().forward_intermediates(inputs, return_prefix_tokens=True, output_dict=True, indices=2)
    assert plain.keys() == {"image_intermediates", "image_features"}
    assert len(plain["image_intermediates"]) == 2
    (normed,) = model_of("deit", features_only=True, feature_cfg={"norm": True}).eval()(inputs)
    assert normed.shape == (2, 64, 4, 4)
    assert torch.allclose(normed.mean(1), torch.zeros(2, 4, 4), atol=1e-5)  # as a LayerNorm leaves its channels at the start
    with pytest.raises(InputError, match="output_fmt: expected one of NCHW, NHWC, NCL, NLC; got NHC"):
        model.forward_intermediates(inputs, output_fmt="NHC")


@every_network
def test_pruned_to_the_first_stage(name: str) -> None:
    model = model_of(name).eval()
    inputs = image(model)
    (expected,) = model.forward_intermediates(inputs, [0], intermediates_only=True)
    last = len(NETWORKS[name].stages) - 1
    assert model.prune_intermediate_layers([0], prune_norm=True) == [0]
    assert (len(model.stages), model.num_classes) == (1, 0)
    assert isinstance(model.norm, nn.Identity)
    features, (found,) = model.forward_intermediates(inputs, [0])
    assert torch.equal(found, expected)
    if name != "deit":  # whose features are a sequence
        assert torch.equal(features, expected)
        assert model(inputs).shape == (1, model.feature_info[0]["num_chs"], *expected.shape[2:]), last


def test_blocks_of_a_vision_transformer() -> None:
    """The interface of DINO; networks of several stages do not have it, as in timm."""
    model = model_of("deit").eval()
    scramble(model)
    inputs = image(model, batch=2)
    assert [tuple(one.shape) for one in model.get_intermediate_layers(inputs, n=2)] == [(2, 16, 64)] * 2
    every = model.get_intermediate_layers(inputs, n=range(3), reshape=True)
    assert torch.equal(every[-1], model.forward_intermediates(inputs, intermediates_only=True)[0])
    assert torch.equal(model.get_intermediate_layers(inputs, n=[1], reshape=True)[0], every[1])
    ((last, token),) = model.get_intermediate_layers(inputs, norm=True, return_prefix_tokens=True)
    assert torch.equal(token[:, 0], model.forward_head(model.forward_features(inputs), pre_logits=True))
    assert not torch.equal(last, model.get_intermediate_layers(inputs)[0])
    assert not hasattr(model_of("coatnet"), "get_intermediate_layers")


# --- sizes and channels -----------------------------------------------------------------------------------------------------


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


# --- names, pools, and what a training does --------------------------------------------------------------------------------


def test_a_class_token_is_pooled_by_its_name() -> None:
    model = model_of("deit", global_pool="token").eval()
    assert torch.equal(model(image(model)), copy.deepcopy(model)(image(model)))
    model.reset_classifier(3, "token")
    assert model(image(model)).shape == (1, 3)
    with pytest.raises(InputError, match=r"global_pool: expected one of 'avg', .*; got 'token'"):
        model_of("coatnet", global_pool="token")
    with pytest.raises(InputError, match=r"global_pool: expected one of 'avg', .*'token'; got 'map'"):
        model_of("deit", global_pool="map")


@every_network
def test_an_exported_folder_stands_alone(name: str, tmp_path: Path) -> None:
    """timm writes the arguments of a model: the architecture, not the path of the file that it came from."""
    from uninas.text import to_text

    file = tmp_path / "net.json"
    file.write_text(to_text(NETWORKS[name]))
    model = timm.create_model("uninas", arch=str(file), num_classes=7, drop_path_rate=0.0)
    file.unlink()
    model.reset_classifier(5, "max")
    save_for_hf(model.eval(), tmp_path / "out")
    again = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert torch.equal(again(image(model)), model(image(model)))
    assert str(tmp_path) not in (tmp_path / "out" / "config.json").read_text()
    assert get_model_args(again)["global_pool"] == "max"


@pytest.mark.parametrize("name", ["resnet", "coatnet", "deit"])
def test_parts_can_be_frozen(name: str) -> None:
    model = model_of(name).train()
    freeze(model, ["stem", "stages.0"])
    still = {key for key, parameter in model.named_parameters() if not parameter.requires_grad}
    assert still == {key for key, _ in model.named_parameters() if key.startswith(("stem.", "stages.0."))}
    model(image(model, batch=2)).sum().backward()
    assert all(parameter.grad is None for key, parameter in model.named_parameters() if key in still)
    assert model.head.weight.grad is not None
    unfreeze(model, ["stem", "stages.0"])
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert type(model_of(name).stem) is type(model.stem)


@pytest.mark.parametrize("name", ["resnet", "coatnet", "deit", "found"])
def test_a_step_with_layer_decay_and_averaged_weights(name: str) -> None:
    model = model_of(name, num_classes=5, drop_path_rate=0.1, drop_rate=0.1).train()
    optimiser = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.75)
    scales = {group["lr_scale"] for group in optimiser.param_groups}
    assert len(scales) > 2
    assert max(scales) == 1.0
    average = ModelEmaV3(model, decay=0.5)
    before = copy.deepcopy(model.state_dict())
    model(image(model, batch=2)).square().mean().backward()
    optimiser.step()
    average.update(model)
    head, kept = model.head.weight, average.module.head.weight
    assert torch.allclose(kept, 0.5 * before["head.weight"] + 0.5 * head)


@pytest.mark.parametrize("name", ["coatnet", "swin"])
def test_stages_are_a_sequence_that_timm_checkpoints(name: str) -> None:
    model = model_of(name).train()
    stem = model.stem(image(model, batch=2)).detach().requires_grad_()
    outputs = [checkpoint_seq(model.stages, stem), model.stages(stem)]
    assert torch.allclose(*outputs, atol=1e-6)
    outputs[0].sum().backward()
    assert stem.grad is not None


@pytest.mark.parametrize("ending", ["safetensors", "pth.tar"])
def test_checkpoints_of_timm(ending: str, tmp_path: Path) -> None:
    import safetensors.torch

    model = model_of("found", num_classes=7).eval()
    scramble(model)
    path = tmp_path / f"model.{ending}"
    state = {key: value.clone() for key, value in model.state_dict().items()}
    if ending == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3}, path)
    again = model_of("found", num_classes=7, checkpoint_path=str(path)).eval()
    other = model_of("found", num_classes=7).eval()
    timm.models.load_checkpoint(other, str(path))
    models = [again, other]
    if ending != "safetensors":
        models.append(model_of("found", num_classes=7).eval())
        assert timm.models.resume_checkpoint(models[-1], str(path), log_info=False) == 3
    for loaded in models:
        assert torch.equal(loaded(image(model)), model(image(model)))


@pytest.mark.parametrize("convert", [convert_sync_batchnorm, partial(convert_splitbn_model, num_splits=2)])
def test_batch_norms_of_other_kinds(convert: Any) -> None:
    """Take the places of ours, and are what runs."""
    model = convert(model_of("coatnet", num_classes=7)).eval()
    norms = {name for name, module in model_of("coatnet").named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert len(norms) > 1
    assert all(type(model.get_submodule(name)) is not nn.BatchNorm2d for name in norms)
    with torch.no_grad():
        model.stem.norm.weight.zero_()
    seen: list[torch.Tensor] = []
    model.stem.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(image(model, batch=2))
    assert not seen[0].any()


def test_hooks_on_a_stage_see_its_map() -> None:
    """Also when blocks are checkpointed."""
    model = model_of("coatnet").train()
    model.set_grad_checkpointing()
    seen: list[torch.Size] = []
    model.stages[1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    assert isinstance(model, UniNASNet)
    model(image(model, batch=2)).sum().backward()
    assert seen == [torch.Size((2, 64, 8, 8))]
