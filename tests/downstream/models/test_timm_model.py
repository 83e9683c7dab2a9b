"""Any architecture as a model of timm: what timm's own model tests check, and that it is the network we scored."""

from __future__ import annotations

import copy
import io
import pickle
import random
from typing import Any

import pytest
import torch
import torch.fx
from torch import nn

import downstream  # registers the model
from downstream.models.timm_model import POOLS, UniNASNet
from tests.amounts import slow
from tests.uninas.examples import small, tiny, walked
from tests.uninas.running import distance, noise, scramble
from uninas import Architecture, InputError, canonicalise, cost, preset
from uninas.compile.module import build
from uninas.networks.convnext import convnext
from uninas.networks.mobile import mobilenetv3_large
from uninas.networks.transformers import deit, pvt_v2_b1, swin
from uninas.spaces import nasbench201
from uninas.text import to_document, to_text

import timm  # isort: skip  after the repair of torchvision
from timm.models import group_parameters  # isort: skip
from timm.optim import param_groups_layer_decay  # isort: skip

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|nor_conv_3x3~2|"

NETWORKS: dict[str, Architecture] = {
    **{name: small(name) for name in ("resnet", "efficientnet", "vit", "coatnet")},
    **{f"walk {seed}": walked(small(), random.Random(seed), 60) for seed in range(6)},
    "found": canonicalise(walked(tiny("RET"), random.Random(9), 40)),
    "cell": nasbench201.architecture(CELL, classes=7, channels=8, cells=1),
    "patches": convnext(widths=(8, 16, 24, 32), depths=(1, 1, 2, 1), classes=7, input_size=(64, 64)),
    "windows": swin(widths=(32, 64), depths=(2, 2), classes=7, input_size=(64, 64)),
    "coarse keys": pvt_v2_b1(classes=7, input_size=(64, 64)),
    "a class token": deit(width=64, depth=2, classes=7, input_size=(64, 64)),
    "a head that pools": mobilenetv3_large(classes=7, input_size=(64, 64)),
}
MORE_WALKS = tuple(f"walk {seed}" for seed in range(1, 6))
every_network = pytest.mark.parametrize("name", [slow(name) if name in MORE_WALKS else name for name in NETWORKS])

TRACED = ("walk 0", "windows", "a class token")  # convolutions, attention in windows, and tokens; all others are slow
every_traced = pytest.mark.parametrize("name", [name if name in TRACED else slow(name) for name in NETWORKS])


def model_of(name: str, **options: Any) -> UniNASNet:
    made = timm.create_model("uninas", arch=NETWORKS[name], **{"num_classes": 7, **options})
    scramble(made)
    return made


def image(name: str, batch: int = 2, **options: Any) -> torch.Tensor:
    return noise(batch, 3, *NETWORKS[name].input_size, **options)


def test_timm_knows_it() -> None:
    assert timm.is_model("uninas")
    assert timm.list_models("uninas") == ["uninas"]
    assert downstream.UniNASNet is UniNASNet


@every_network
def test_it_is_the_network_that_was_scored(name: str) -> None:
    model = model_of(name).eval()
    network = build(NETWORKS[name], classes=7).eval()
    network.load_state_dict(model.state_dict())  # strict: the names are the same
    assert torch.equal(model(image(name)), network(image(name)))
    assert sum(p.numel() for p in model.parameters()) == cost(NETWORKS[name].replace(classes=7)).params


@every_network
def test_backward_reaches_every_live_parameter(name: str) -> None:
    model = model_of(name, num_classes=42).train()
    outputs = model(image(name))
    assert outputs.shape == (2, 42)
    assert bool(torch.isfinite(outputs).all())
    outputs.square().mean().backward()
    reached = sum(p.numel() for p in model.parameters() if p.grad is not None)
    assert reached >= cost(NETWORKS[name].replace(classes=42)).trainable_params


@every_network
def test_configuration_says_what_the_model_is(name: str) -> None:
    model = model_of(name).eval()
    config, names = model.pretrained_cfg, model.state_dict().keys()
    inputs = noise(1, *config["input_size"])
    made = model.forward_features(inputs)
    assert made.shape == (1, model.num_features, *config["pool_size"])
    assert config["classifier"] + ".weight" in names
    assert model.get_classifier() is model.head
    if config["first_conv"] is not None:
        assert model.get_submodule(config["first_conv"]).weight.shape[1] == 3
    assert torch.equal(model.forward_head(made, pre_logits=True), made.mean((2, 3)))
    model.reset_classifier(0)
    assert model(inputs).shape == (1, model.num_features)
    model.reset_classifier(0, "")
    assert torch.equal(model(inputs), made)
    model.reset_classifier(5, "max")
    assert model(inputs).shape == (1, 5)
    assert model.num_classes == 5


@pytest.mark.parametrize("pool", POOLS)
def test_pools(pool: str) -> None:
    model = model_of("coatnet", global_pool=pool, num_classes=7 if pool else 0).eval()
    made = model.forward_features(image("coatnet"))
    mean, largest = made.mean((2, 3)), made.amax((2, 3))
    pooled = {"avg": mean, "max": largest, "avgmax": 0.5 * (mean + largest), "catavgmax": torch.cat([mean, largest], 1), "": made}
    name = {"fast": "avg"}.get(pool, pool.removeprefix("fast"))
    assert torch.allclose(model.forward_head(made, pre_logits=True), pooled[name])
    if pool:
        assert model(image("coatnet")).shape == (2, 7)


@every_network
@pytest.mark.parametrize("size", [None, (51, 37)])
def test_features(name: str, size: tuple[int, int] | None) -> None:
    architecture = NETWORKS[name]
    inputs = noise(2, 3, *(size or architecture.input_size))
    whole = model_of(name).eval()
    stages = len(architecture.stages)
    features = timm.create_model("uninas", arch=architecture, features_only=True).eval()
    missing, foreign = features.model.load_state_dict(whole.state_dict(), strict=False)
    assert not missing
    assert all(key.startswith(("norm", "head")) for key in foreign)
    maps = features(inputs)
    flows = architecture.flows(size)[1:]
    assert [tuple(made.shape[1:]) for made in maps] == [(f.channels, f.place.height, f.place.width) for f in flows]
    assert features.feature_info.channels() == [f.channels for f in flows]
    sides = [-(-inputs.shape[2] // stride) for stride in features.feature_info.reduction()]
    assert sides == [made.shape[2] for made in maps]  # rounded up
    final, found = whole.forward_intermediates(inputs)
    assert all(map(torch.equal, maps, found))
    assert torch.equal(final, whole.forward_features(inputs))
    (normed,) = whole.forward_intermediates(inputs, -1, norm=True, intermediates_only=True)
    assert normed.shape == maps[-1].shape  # of a head that pools, what it begins with if that is a norm
    if final.shape == normed.shape:
        assert torch.equal(normed, final)
    assert torch.equal(whole.forward_intermediates(inputs, stages, norm=True)[1][-1], normed)
    early = whole.forward_intermediates(inputs, [0], stop_early=True, intermediates_only=True)
    assert torch.equal(early[0], maps[0])


@pytest.mark.parametrize("size", [(240, 240), (100, 75), (33, 1000)])
def test_reductions_are_the_strides_at_any_reference_size(size: tuple[int, int]) -> None:
    features = timm.create_model("uninas", arch=small("coatnet", size), features_only=True)
    assert features.feature_info.reduction() == [4, 8, 16, 32]


def test_features_of_some_stages_keep_no_others() -> None:
    features = timm.create_model("uninas", arch=NETWORKS["coatnet"], features_only=True, out_indices=(0, 2))
    assert features.feature_info.channels() == [32, 64]
    assert len(features.model.stages) == 3
    assert [tuple(made.shape[1:]) for made in features(image("coatnet"))] == [(32, 16, 16), (64, 4, 4)]
    last = timm.create_model("uninas", arch=NETWORKS["coatnet"], features_only=True, out_indices=(-1,))
    assert last.feature_info.channels() == [96]


@every_network
def test_parameters_fall_into_layers_and_tables_do_not_decay(name: str) -> None:
    model = model_of(name)
    layers = group_parameters(model, model.group_matcher(), reverse=True)
    assert set(layers) == {key for key, _ in model.named_parameters()}
    ordered = [layers[key] for key, _ in model.named_parameters() if not key.startswith("head")]
    assert ordered == sorted(ordered)
    assert len(set(group_parameters(model, model.group_matcher(coarse=True), reverse=True).values())) <= 2 + len(model.stages) + 2
    groups = param_groups_layer_decay(model, weight_decay=0.05, no_weight_decay_list=model.no_weight_decay(), layer_decay=0.9)
    decaying = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert {id(p) for key, p in model.named_parameters() if p.dim() >= 2 and not key.endswith("table")} == decaying


@pytest.mark.parametrize("name", ["coatnet", "found", "cell"])
def test_checkpointing_changes_nothing_but_memory(name: str) -> None:
    plain = model_of(name, drop_path_rate=0.5 if name != "cell" else 0.0).train()
    frugal = copy.deepcopy(plain)
    frugal.set_grad_checkpointing()
    found = []
    for model in (plain, frugal):
        torch.manual_seed(3)
        loss = model(image(name)).square().sum()
        loss.backward()
        found.append([loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None), *model.buffers()])
    assert len(found[0]) == len(found[1])
    assert all(map(torch.equal, *found))


def test_stochastic_depth() -> None:
    model = model_of("coatnet", drop_path_rate=0.3)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for stage in model.stages for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.075, 0.15, 0.225, 0.3])
    inputs = image("coatnet")
    assert torch.equal(model.eval()(inputs), model_of("coatnet").eval()(inputs))
    always = model_of("coatnet", drop_path_rate=0.999).train()  # the last block's two paths are as good as gone
    torch.manual_seed(0)
    before = always.stages[:-1]
    assert len(before) == 3
    passed = always.stages[-1].blocks[0]
    given = noise(2, 64, 4, 4)
    assert torch.equal(passed(given), passed.shortcut(given))
    with pytest.warns(UserWarning, match="no residual paths"):
        model_of("cell", drop_path_rate=0.1)


def test_a_device_and_a_precision() -> None:
    """As timm's own models take them, and as its teachers are built."""
    model = timm.create_model("uninas", arch=small("coatnet"), num_classes=4, device="cpu", dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model(torch.zeros(1, 3, 64, 64, dtype=torch.bfloat16)).dtype == torch.bfloat16
    empty = timm.create_model("uninas", arch=small("resnet"), num_classes=4, device=torch.device("meta"))
    assert all(parameter.is_meta for parameter in empty.parameters())


def test_other_inputs_and_dropout() -> None:
    model = model_of("coatnet", in_chans=5, drop_rate=0.5).eval()
    assert model.pretrained_cfg["input_size"] == (5, 64, 64)
    assert model(noise(2, 5, 64, 64)).shape == (2, 7)
    assert model.head_drop.p == 0.5
    assert model(noise(1, 5, 33, 90)).shape == (1, 7)


@pytest.mark.parametrize("form", ["name", "document", "file"])
def test_where_an_architecture_comes_from(form: str, tmp_path: Any) -> None:
    import json

    path = tmp_path / "net.json"
    path.write_text(to_text(NETWORKS["found"]))
    source = {"name": "resnet", "document": json.loads(path.read_text()), "file": str(path)}[form]
    model = timm.create_model("uninas", arch=source)
    assert model.architecture.digest == (preset("resnet") if form == "name" else NETWORKS["found"]).digest


@every_network
def test_a_folder_as_timm_writes_it_gives_the_model_back(name: str, tmp_path: Any) -> None:

    from timm.models import save_for_hf

    model = model_of(name, global_pool="max").eval()
    document = to_document(NETWORKS[name])
    save_for_hf(model, str(tmp_path), model_args={"arch": document}, safe_serialization=True)
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(model(image(name)), again(image(name)))
    other = timm.create_model(f"local-dir:{tmp_path}", pretrained=True, num_classes=3, in_chans=3)
    assert other.head.weight.shape[0] == 3
    assert torch.equal(
        other.stem.state_dict()[next(iter(other.stem.state_dict()))], model.stem.state_dict()[next(iter(model.stem.state_dict()))]
    )


@every_traced
def test_exports(name: str) -> None:
    model, inputs = model_of(name).eval(), image(name)
    expected = model(inputs)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (inputs,), dynamic_shapes=({0: batch},))
    assert distance(program.module()(inputs), expected) < 1e-5
    three = noise(3, 3, *NETWORKS[name].input_size, seed=4)
    assert distance(program.module()(three), model(three)) < 1e-5


@every_traced
@pytest.mark.parametrize("training", [False, True])
def test_symbolic_tracing(name: str, training: bool) -> None:
    """Forward, backward and running statistics; at sizes and batches that the trace has not seen."""
    model = model_of(name).train(training)
    traced = torch.fx.symbolic_trace(copy.deepcopy(model))
    for inputs in (image(name), noise(3, 3, 77, 51)):
        found = []
        for one in (model, traced):
            one.zero_grad()
            torch.manual_seed(3)
            outputs = one(inputs)
            outputs.square().sum().backward()
            grads = {key: parameter.grad for key, parameter in one.named_parameters() if parameter.grad is not None}
            found.append({"": outputs.detach(), **grads, **dict(one.named_buffers())})
        assert found[0].keys() == found[1].keys()
        assert all(distance(found[1][key].double(), value.double()) < 1e-5 for key, value in found[0].items())


@every_traced
def test_node_names_of_timms_own_tracer(name: str) -> None:
    from timm.models import get_notrace_functions, get_notrace_modules
    from torchvision.models.feature_extraction import create_feature_extractor, get_graph_node_names

    kept_whole = {"leaf_modules": get_notrace_modules(), "autowrap_functions": get_notrace_functions()}
    options = {**kept_whole, "param_shapes_constant": True}
    model, inputs = model_of(name).eval(), image(name)
    _, names = get_graph_node_names(model, tracer_kwargs=options)
    features = create_feature_extractor(model, {names[-1]: "end"}, tracer_kwargs=options)
    assert torch.equal(features(inputs)["end"], model(inputs))


@every_traced
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The TorchScript type system")  # it is on its way out
def test_scripting(name: str) -> None:
    model = model_of(name).eval()
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(model), buffer)
    buffer.seek(0)
    scripted = torch.jit.load(buffer)
    for inputs in (image(name), noise(3, 3, 77, 51)):
        assert torch.equal(scripted(inputs), model(inputs))


@every_network
def test_another_process_can_have_it(name: str) -> None:
    model = model_of(name).eval()
    again = pickle.loads(pickle.dumps(model))
    assert torch.equal(again(image(name)), model(image(name)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")  # tracing is on its way out
def test_tracing() -> None:
    model, inputs = model_of("found").eval(), image("found")
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(model, inputs), buffer)
    buffer.seek(0)
    assert distance(torch.jit.load(buffer)(inputs), model(inputs)) < 1e-5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected arch="),
        ({"arch": "resnot"}, "expected a preset"),
        ({"arch": {"format": "x"}}, 'expected "format"'),
        ({"arch": "resnet", "global_pool": "sum"}, "global_pool: expected one of"),
        ({"arch": "resnet", "global_pool": ""}, "expected a pooling before a classifier"),
        ({"arch": NETWORKS["cell"], "in_chans": 0}, "in_chans: expected at least 1; got 0"),
        ({"arch": "resnet", "drop_path_rate": 1.0}, "drop_path_rate: expected"),
        ({"arch": "resnet", "features_only": True, "out_indices": (0, 4)}, "out_indices: expected some of the 4 stages"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        timm.create_model("uninas", **options)


def test_a_synchronised_norm_takes_the_place_of_ours() -> None:
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model_of("coatnet")).eval()
    assert torch.allclose(model(image("coatnet")), model_of("coatnet").eval()(image("coatnet")), atol=1e-5)
