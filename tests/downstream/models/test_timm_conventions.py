"""timm's own tests of models, run on ours.

The list of checks is that of tests/test_models.py and tests/test_model_input.py of timm (huggingface/pytorch-image-models,
Apache-2.0); the code is ours. What of it cannot apply, and why:

- the tests of NaFlex models and Gemma: other interfaces to images (batches of patches of many sizes), which ours do not have;
- at least three feature levels: a network has one for each stage, of which DeiT and networks of a search may have one;
- a gradient for every parameter: stored forms may hold norms and operations that end in nothing, as the presets do; the gradient
  reaches all that `uninas cost` counts as trainable (`test_timm_model.py`), and here every parameter of the published networks;
- pretrained weights of the zoo: nothing is downloaded; `test_timm_weights.py` has those that we write;
- scripting and tracing by torch.fx, forward and backward: in `test_timm_model.py`;
- sizes and channels of the input: in `test_timm_inputs.py`.
"""

from __future__ import annotations

import copy
import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from downstream.models.timm_model import UniNASNet
from tests.amounts import slow
from tests.downstream.timm_networks import NETWORKS, every_network, image, model_of
from tests.uninas.running import noise, scramble
from uninas import InputError

import timm  # isort: skip  after the repair of torchvision
from timm.data import resolve_data_config, resolve_model_data_config  # isort: skip
from timm.layers import convert_splitbn_model, convert_sync_batchnorm, get_channel_dim, get_spatial_dim  # isort: skip
from timm.models import checkpoint_seq, get_model_args, save_for_hf  # isort: skip
from timm.models._features import FeatureGetterNet  # isort: skip
from timm.optim import create_optimizer_v2  # isort: skip
from timm.utils import ModelEmaV3, freeze, unfreeze  # isort: skip

PUBLISHED = ("deit", "swin", "poolformer", "convnext")


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
