"""The model card: a network's costs, scores, origin and usage."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from timm.models._hub import generate_readme

from downstream.export.source.folder import written_of
from downstream.models.timm_model import UniNASNet
from downstream.protocols import PROTOCOLS
from uninas.analysis.cost import Cost, cost
from uninas.files.writing import write_text
from uninas.runtime import installing

if TYPE_CHECKING:
    from downstream.subject import Subject

__all__ = ["write_card"]

_TASKS = {"mmdet": "object-detection", "mmseg": "image-segmentation"}
"""Format -> name of its task on the Hugging Face Hub, where that is not classification."""

_LIBRARIES = {"source": "timm", "reference": "uninas"}
"""Format -> library that opens it, where the format has not its name."""

_PROTOCOLS = {"mmdet": ("detect", 80), "mmseg": ("segment", 150)}
"""Format -> task of its protocol, and number of classes of the data."""

_USAGE = {
    "timm": """### Image classification
```python
import downstream  # of uninas-ray, see below: makes the architecture known to timm
import timm
{imports}

model = timm.create_model("local-dir:.", pretrained=True).eval()  # in this folder; or "hf-hub:OWNER/NAME"
transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
logits = model({image})
```

### Feature maps
```python
import downstream
import timm
import torch

model = timm.create_model("local-dir:.", pretrained=True, features_only=True).eval()
maps = model(torch.zeros(1, {shape}))  # strides {strides}
```

### The scripts of timm
`python -m downstream SCRIPT` runs train.py, validate.py or inference.py of timm's repository unchanged:
```
python -m downstream validate.py DATA --model local-dir:. --pretrained
```""",
    "mmdet": """```python
import downstream  # of uninas-ray, see below: before OpenMMLab, which may need its repair of torchvision
from mmengine.config import Config
from mmengine.runner import Runner

config = Config.fromfile("config.py")  # Mask R-CNN with this network as its backbone
config.work_dir = "runs/mask-rcnn"
Runner.from_cfg(config).train()  # on data/coco
```""",
    "mmseg": """```python
import downstream  # of uninas-ray, see below: before OpenMMLab, which may need its repair of torchvision
from mmengine.config import Config
from mmengine.runner import Runner

config = Config.fromfile("config.py")  # UperNet with this network as its backbone
config.work_dir = "runs/upernet"
Runner.from_cfg(config).train()  # on data/ade/ADEChallengeData2016
```""",
    "trained mmdet": """```python
import downstream  # of uninas-ray, see below: before OpenMMLab, which may need its repair of torchvision
from mmdet.apis import inference_detector, init_detector

model = init_detector("config.py", "model.pth", device="cpu")  # or "cuda"
found = inference_detector(model, "image.jpg")
```""",
    "trained mmseg": """```python
import downstream  # of uninas-ray, see below: before OpenMMLab, which may need its repair of torchvision
from mmseg.apis import inference_model, init_model

model = init_model("config.py", "model.pth", device="cpu")  # or "cuda"
found = inference_model(model, "image.jpg")
```""",
    "torch": """```python
import torch

run = torch.export.load("model.pt2").module()  # needs only torch
logits = run(torch.zeros(2, {shape}))  # any batch size
```""",
    "onnx": """```python
import numpy
import onnxruntime

session = onnxruntime.InferenceSession("model.onnx")
(logits,) = session.run(["logits"], {{"pictures": numpy.zeros((2, {shape}), "float32")}})  # any batch size
```""",
    "source": """`model.py` is the whole network in plain torch, to be read and changed; it needs nothing else.

### Image classification
```python
import torch

from model import {function}

network = {function}(pretrained=True).eval()
logits = network(torch.zeros(2, {shape}))  # any batch size
```

### In timm
```python
import model  # makes the network known to timm
import timm
import torch

network = timm.create_model("{function}", pretrained=True).eval()
logits = network(torch.zeros(2, {shape}))
```

### As a program
```python
import torch

from model import {function}

network = {function}(pretrained=True).eval()
scripted = torch.jit.script(network)
program = torch.export.export(network, (torch.zeros(2, {shape}),))
```""",
    "reference": """`reference.json` is a network of the UniNAS reference implementation (arXiv 2510.06035). To read it:

```
uninas cost reference.json
uninas evaluate reference.json --weights weights.npz --task classify --data imagenet
```

`weights.npz`, if present, contains one array per parameter under the names of the reference implementation, `w/NAME`.""",
}

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Input channels -> mode of Pillow that has so many."""

_INSTALL = "\n\nUniNAS on Ray (uninas-ray) is installed from a checkout or a wheel file: "
_INSTALLS = {
    "timm": f"{_INSTALL}`{installing.COMMAND}`.",
    "reference": f"{_INSTALL}`{installing.COMMAND}`.",
    "mmdet": f"{_INSTALL}`{installing.with_extra('mm')}`, where its guide on training says how mmcv is built.",
    "mmseg": f"{_INSTALL}`{installing.with_extra('mm')}`, where its guide on training says how mmcv is built.",
}
"""What follows the usage by format; torch, onnx and source need nothing of this package."""


def write_card(model: UniNASNet, subject: Subject, to: str, out: Path) -> None:
    """Write README.md in the layout of timm's models on the Hugging Face Hub."""
    height, width = subject.size
    details: dict[str, Any] = {
        **(_dense(subject, to) if to in _PROTOCOLS else _classifier(subject)),
        "Weights": "initial, not trained" if subject.weights is None else subject.weights.name,
        "Architecture": {"Digest": subject.architecture.digest, "File": "architecture.json"},
    }
    if subject.training is not None:
        details["Training"] = dict(subject.training)
    details |= _origin(subject.metadata)
    details["Made by"] = f"uninas-ray {_version('uninas-ray')}, torch {_version('torch')}, timm {_version('timm')}"
    whole = to in _PROTOCOLS and subject.openmmlab is not None and subject.weights is not None
    pictured = model.in_chans in _MODES
    opened = f'Image.open("image.jpg").convert("{_MODES.get(model.in_chans, "")}")'
    example = _USAGE[f"trained {to}" if whole else to].format(
        shape=f"{model.in_chans}, {height}, {width}",
        imports="from PIL import Image" if pictured else "import torch",
        image=f"transform({opened}).unsqueeze(0)" if pictured else f"torch.zeros(1, {model.in_chans}, {height}, {width})",
        function=written_of(subject).name if to == "source" else "",
        strides=", ".join(str(info["reduction"]) for info in model.feature_info),
    )
    card = {
        "description": "A network of the UniNAS space, exported by UniNAS on Ray.",
        "details": details,
        "usage": example + _INSTALLS.get(to, ""),
        "library_name": _LIBRARIES.get(to, to),
        "license": "unknown",  # the owner of the weights decides
        "tags": [
            _TASKS.get(to, "image-classification"),
            "neural-architecture-search",
            *(["timm"] if to in ("timm", "source") else []),
        ],
    }
    write_text(out / "README.md", generate_readme(card, subject.name, _TASKS.get(to, "image-classification")))


def _classifier(subject: Subject) -> dict[str, Any]:
    found = cost(subject.architecture.replace(classes=subject.classes), size=subject.size)
    return {
        "Model Type": "Image classification / feature backbone",
        "Model Stats": {**_counts(found), "Image size": _pixels(subject.size), "Classes": str(subject.classes)},
    }


def _dense(subject: Subject, to: str) -> dict[str, Any]:
    """Describe a detector or a segmenter: the costs are those of the backbone, without the heads."""
    task, usual = _PROTOCOLS[to]
    protocol, openmmlab = PROTOCOLS[task], subject.openmmlab
    size = protocol.size if openmmlab is None else openmmlab.size
    classes = usual if openmmlab is None or openmmlab.classes is None else len(openmmlab.classes)
    return {
        "Model Type": f"{protocol.head} with this network as its backbone",
        "Stats of the backbone": {**_counts(cost(subject.architecture, size, 0)), "Image size": _pixels(size)},
        "Classes": str(classes),
    }


def _counts(found: Cost) -> dict[str, str]:
    return {
        "Params (M)": f"{found.params / 1e6:.3g}",
        "GMACs": f"{found.macs / 1e9:.3g}",
        "Activations (MB, float32)": f"{found.activation_bytes / 1e6:.3g}",
        "Convolutions and linear layers": str(found.layers),
    }


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _origin(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the origin that the search wrote into the architecture's file."""
    found: dict[str, Any] = {}
    mean, spread = metadata.get("mean"), metadata.get("spread")
    if isinstance(mean, dict):
        spread = spread if isinstance(spread, dict) else {}
        found["Scores (mean over held-out seeds)"] = {
            name: f"{value:.5g}" + (f" ± {spread[name]:.2g}" if name in spread else "") for name, value in mean.items()
        }
    names = {"objective": "objective", "index": "candidate", "place": "rank in the search"}
    origin = {names[key]: str(metadata[key]) for key in names if key in metadata}
    return {**found, **({"Search": origin} if origin else {})}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
