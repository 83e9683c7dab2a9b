"""Any architecture as a model of timm: `timm.create_model("uninas", arch=...)` after `import downstream`.

timm.create_model("uninas", arch="coatnet", num_classes=100, drop_path_rate=0.2)
timm.create_model("uninas", arch="runs/demo/best.json", features_only=True, out_indices=(1, 2, 3))
timm.create_model("uninas", arch="runs/found", pretrained=True)    the best weights of a training
timm.create_model("local-dir:exported", pretrained=True)           a folder that `uninas export --to timm` wrote
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from timm.models import PretrainedCfg, build_model_with_cfg
from torch import Tensor, nn

from downstream.models.adapting import adapted, first_conv
from downstream.models.backbone import Source, architecture_of, places, with_channels, with_size
from downstream.models.timm_isotropic import IsotropicNet
from downstream.models.timm_model import UniNASNet
from downstream.protocols import crop_share
from downstream.weights.trained import trained
from downstream.weights.weight_files import check, classes_of
from uninas.errors import InputError
from uninas.graph import Architecture

__all__ = ["NAME", "uninas"]

NAME = "uninas"
"""Name of the model in timm, under which `downstream.models.timm_entry` registers it."""

_WEIGHTS = ("url", "file", "state_dict", "hf_hub_id")
"""Entries of timm's configuration that name weights; the others then describe what those are of."""

_BACKBONE = "backbone."  # of a detector or a segmenter


def uninas(pretrained: bool = False, *, arch: Source | None = None, **options: Any) -> nn.Module:
    """Build any architecture as a model of timm.

    Args:
        pretrained: load the weights that the configuration names (an exported folder's, `pretrained_cfg_overlay=dict(file=...)`),
            else the best ones of the training whose folder `arch` is.
        arch: an architecture or its document, name of a preset, or path (architecture file, run folder, reference's JSON).
        options: of `UniNASNet`, and timm's own: features_only, out_indices, feature_cls, pretrained_cfg, ...

    Raises:
        InputError: no such architecture, one that cannot be built with these options, or no weights of it.
    """
    if arch is None:
        raise InputError("uninas: expected arch=..., a preset (resnet, efficientnet, vit, coatnet) or a file; got none")
    architecture = architecture_of(arch)
    options["pretrained_cfg_overlay"] = overlay = _configuration(architecture, arch, options, pretrained)
    features = bool(options.get("features_only", False))
    feature_cfg = _features(architecture, options)
    weights_of = partial(_weights, architecture=_built_before(architecture, options, overlay), features=features)
    return build_model_with_cfg(
        IsotropicNet if len(architecture.stages) == 1 else UniNASNet,
        NAME,
        pretrained,
        architecture=architecture,
        feature_cfg=feature_cfg,
        pretrained_filter_fn=weights_of,
        **options,
    )


def _configuration(architecture: Architecture, arch: Source, options: dict[str, Any], pretrained: bool) -> dict[str, Any]:
    """Describe the weights, or without any the model, for timm: what its configuration does not say yet."""
    overlay = dict(options.pop("pretrained_cfg_overlay", None) or {})
    given = options.get("pretrained_cfg")
    if isinstance(given, PretrainedCfg):
        given = options["pretrained_cfg"] = given.to_dict()
    said = dict(given) if isinstance(given, Mapping) else {}
    if any(said.get(name) for name in _WEIGHTS):  # of an exported folder, which describes them
        return overlay
    default = PretrainedCfg().to_dict()
    said = {name: value for name, value in said.items() if value != default.get(name)}  # timm's scripts pass all, as registered
    classes = options.get("num_classes", 1000)
    if any(overlay.get(name) for name in _WEIGHTS):
        file = overlay.get("file")
        if file is not None and Path(file).is_file():
            classes = classes_of(file) or classes
        about = _about(architecture, classes)
    elif pretrained:
        about = _about(architecture, classes) | _training(architecture, arch, options)
    else:
        size = options.get("img_size")
        model = with_channels(architecture, options.get("in_chans", 3))
        about = _about(model if size is None else with_size(model, size), classes)
    return {**{name: value for name, value in about.items() if name not in said}, **overlay}


def _about(architecture: Architecture, classes: int) -> dict[str, Any]:
    """Describe a model, or what weights are of, for timm's data configuration and tools."""
    return {
        "input_size": (architecture.in_channels, *architecture.input_size),
        "pool_size": _pooled_size(architecture, architecture.input_size),
        "crop_pct": crop_share(architecture.input_size),
        "num_classes": classes,
        "first_conv": first_conv(architecture.stem),
    }


def _training(architecture: Architecture, arch: Source, options: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the weights of a training. Raises InputError where `arch` is not one, or not one of a classifier."""
    found = trained(_folder(Path(arch))) if isinstance(arch, str | Path) else None
    if found is None:
        raise InputError(
            "pretrained: expected weights: arch=FOLDER of a training (uninas train), local-dir:FOLDER of an export, or "
            f"pretrained_cfg_overlay=dict(file=...); got arch={arch if isinstance(arch, str | Path) else type(arch).__name__}, "
            "which has none"
        )
    about: dict[str, Any] = {
        "file": str(found.file),
        "input_size": (architecture.in_channels, *found.size),
        "pool_size": _pooled_size(architecture, found.size),
        "crop_pct": crop_share(found.size),
    }
    if found.task != "classify":
        if not options.get("features_only"):
            raise InputError(
                f"pretrained: expected a classifier; {arch} is the training of a model to {found.task}: features_only=True takes "
                "its backbone"
            )
        return about
    classes = found.classes or ()
    return {**about, "num_classes": len(classes), "label_names": classes}


def _folder(path: Path) -> Path:
    return path.parent if path.name == "architecture.json" else path


def _features(architecture: Architecture, options: dict[str, Any]) -> dict[str, Any]:
    """Say how timm takes features: the options of its own feature extractors."""
    chosen = {"feature_cls": "getter", "flatten_sequential": True, **(options.pop("feature_cfg", None) or {})}
    if not options.get("features_only"):
        return chosen
    for name in ("out_indices", "feature_cls"):
        if name in options:
            chosen[name] = options.pop(name)
    chosen["out_indices"] = tuple(places(len(architecture.stages), chosen.get("out_indices")))
    kind = chosen["feature_cls"].lower() if isinstance(chosen["feature_cls"], str) else chosen["feature_cls"].__name__
    if any(stage.tokens for stage in architecture.stages) and kind not in ("getter", "FeatureGetterNet"):
        raise InputError(
            "feature_cls: expected getter, because the maps of this network hold class tokens, which only that takes out; got "
            f"{kind}"
        )
    return chosen


def _built_before(architecture: Architecture, options: Mapping[str, Any], overlay: Mapping[str, Any]) -> Architecture:
    """Give the architecture of the weights: with the input channels and the reference size for which those are."""
    said = {**(options.get("pretrained_cfg") or {}), **overlay} if not isinstance(options.get("pretrained_cfg"), str) else overlay
    channels = (said.get("input_size") or (architecture.in_channels,))[0]
    before = with_channels(architecture, int(channels))
    size = (options.get("pretrained_model_args") or {}).get("img_size")
    return before if size is None else with_size(before, size)


def _weights(tensors: Mapping[str, Tensor], model: nn.Module, *, architecture: Architecture, features: bool) -> dict[str, Tensor]:
    """Fit weights to a model, for timm, which then adapts the first convolution and the classifier.

    Raises:
        InputError: they are of another architecture, or cannot be adapted.
    """
    assert isinstance(model, UniNASNet)
    inside = {name.removeprefix(_BACKBONE): value for name, value in tensors.items() if name.startswith(_BACKBONE)}
    wanted = model.state_dict()
    found = adapted(inside or tensors, wanted, source=architecture, target=model.architecture)
    adapts = model._traits["first_conv"] or ()
    left = {f"{name}.weight" for name in ([adapts] if isinstance(adapts, str) else adapts)}
    behind = ("head.", "norm.") if features else ("head.",)
    fixed = [{k: v for k, v in of.items() if not k.startswith(behind) and k not in left} for of in (found, wanted)]
    check(*fixed, where="pretrained")
    return found


def _pooled_size(architecture: Architecture, size: tuple[int, int]) -> tuple[int, int]:
    """Give the height and width of the map that is pooled, which the head may have made smaller, or pooled already."""
    last = architecture.flows(size)[-1]
    place = last.place
    if architecture.head is not None:
        made = last.types(architecture.head)[architecture.head.output]
        if made.pooled:
            return 1, 1
        place = place.strided(made.stride)
    return place.height, place.width
