"""The whole file: what the network is and where it comes from, its classes, its functions, its place in timm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from downstream.export.source.copying import copied, imports
from downstream.export.source.network import Written
from downstream.export.source.pieces import files

__all__ = ["Origin", "file_of", "run"]


@dataclass(frozen=True)
class Origin:
    """What the head of a file says of a network.

    Attributes:
        name: what was exported.
        digest: of the architecture.
        params: number of parameters in the file.
        left_out: number of parameters of the architecture that are left out, since nothing that they make is read.
        macs: multiply-accumulate operations for one image.
        shape: (channels, height, width) of that image.
        classes: of the classifier.
        program: the program and its version.
        more: further lines, such as where the weights are from.
        config: timm's description of the input.
    """

    name: str
    digest: str
    params: int
    left_out: int
    macs: int
    shape: tuple[int, int, int]
    classes: int
    program: str
    more: Mapping[str, str]
    config: Mapping[str, Any]


def file_of(written: Written, origin: Origin) -> str:
    """Write the file.

    Args:
        written: the classes of the network.
        origin: what the head of the file says.
    """
    ending = _ENDING.format(
        name=written.name,
        network=written.network,
        classes=origin.classes,
        stages=tuple(range(written.stages)),
        config=_config(origin),
        read=files.read_weights.__name__,
    )
    head = "\n".join(['"""' + _plain(_about(written, origin)).strip(), '"""', ""])
    code = "\n\n\n".join([written.classes, *copied(ending), ending])
    return "\n".join([head, *imports(code), "", "", code])


def run(written: Written, path: Path) -> Any:
    """Run a written file as where there is no timm, so that nothing is made known to it; give its network with its weights."""
    code = path.read_text(encoding="utf-8").rpartition(_KNOWN_TO_TIMM)[0]
    names: dict[str, Any] = {"__name__": written.name, "__file__": str(path), "build_model_with_cfg": None}
    exec(compile(code, str(path), "exec"), names)  # our own text, of a moment ago
    return names[written.name](pretrained=True)


def _about(written: Written, origin: Origin) -> str:
    channels, height, width = origin.shape
    lines = [
        f"{origin.name}: {origin.params:,} parameters, {origin.macs:,} MACs for an image of {channels} x {height} x {width}.",
        "",
        f"It needs only torch, {_TORCH} or later; its weights are in model.safetensors beside it.",
        "",
        f"    from model import {written.name}",
        f"    network = {written.name}(pretrained=True).eval()",
        "",
        "Where timm is installed, importing this file makes the network known to it:",
        "",
        "    import model, timm",
        f'    network = timm.create_model("{written.name}", pretrained=True).eval()',
        "",
        f"Exported by {origin.program}.",
        f"Architecture: architecture.json, SHA-256 {origin.digest}",
        *(f"{key}: {value}" for key, value in origin.more.items()),
    ]
    if origin.left_out:
        lines.append(f"Left out: {origin.left_out:,} parameters of the architecture, since nothing reads what they make")
    return "\n".join(lines)


_MOST_SHOWN = 120

_TORCH = "2.7"
"""The oldest torch that this program knows, and that a file is tried with."""


def _plain(text: str) -> str:
    """Make any text safe within a docstring, in lines that are no longer than a line of code."""
    shown = re.sub(r"[^\x20-\x7e\n]", "?", text).replace("\\", "/").replace('"""', "'''")
    return "\n".join(line[:_MOST_SHOWN] for line in shown.split("\n"))


def _config(origin: Origin) -> str:
    return "\n".join(f'                "{key}": {_literal(value)},' for key, value in origin.config.items())


def _literal(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


_KNOWN_TO_TIMM = "try:\n    from timm.models import"
"""How the part of a file begins that makes the network known to timm."""

_ENDING = '''\
WEIGHTS = Path(__file__).with_name("model.safetensors")


def {name}(pretrained: bool = False, **options: Any) -> nn.Module:
    """Build the network, with `pretrained` with its weights; another num_classes leaves out those of the classifier."""
    if build_model_with_cfg is not None:
        features = {{"flatten_sequential": True, "out_indices": {stages}}}
        return build_model_with_cfg({network}, "{name}", pretrained, feature_cfg=features, **options)
    network = {network}(**options)
    if pretrained:
        weights = {read}(WEIGHTS)
        if network.num_classes != {classes}:
            weights |= {{name: value for name, value in network.state_dict().items() if name.startswith("head.")}}
            weights = {{name: weights[name] for name in network.state_dict()}}
        network.load_state_dict(weights)
    return network


try:
    from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
except (ImportError, RuntimeError):  # there is none, or its torchvision is for another torch
    build_model_with_cfg = None
else:
    default_cfgs = generate_default_cfgs(
        {{
            "{name}": {{
                "file": str(WEIGHTS),
{config}
            }}
        }}
    )
    register_model({name})
'''
