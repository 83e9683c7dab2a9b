"""Write the file of a network and its weights into a folder, and give the network that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from downstream.export.source.file import Origin, file_of, run
from downstream.export.source.filling import filled_from
from downstream.export.source.network import Written, written
from downstream.models.timm_model import UniNASNet
from downstream.protocols import crop_share
from downstream.subject import Subject
from downstream.weights import weight_files
from uninas.analysis.cost import cost
from uninas.files.writing import write_text
from uninas.runtime.version import version

__all__ = ["write_source", "written_of"]


def written_of(subject: Subject) -> Written:
    """Write the classes of a network; `Written.name` is that of the model in timm."""
    return written(subject.architecture, subject.name, subject.classes)


def write_source(model: UniNASNet, subject: Subject, out: Path) -> Callable[[Tensor], Tensor]:
    """Write model.py and model.safetensors.

    Args:
        model: the network, with its weights.
        subject: where it comes from.
        out: folder.

    Returns:
        The network that the file builds with its weights, in evaluation mode.
    """
    made = written_of(subject)
    weights = filled_from(model.state_dict(), made.filled)
    write_text(out / "model.py", file_of(made, _origin(model, subject, made)))
    weight_files.save(weights, out / "model.safetensors", {"format": "pt"})
    found: Callable[[Tensor], Tensor] = run(made, out / "model.py").eval()
    return found


def _origin(model: UniNASNet, subject: Subject, made: Written) -> Origin:
    parameters = dict(model.named_parameters())
    count = sum(one.numel() for one in filled_from(parameters, made.filled).values())
    config = model.pretrained_cfg
    more = {"Weights": "initial, not trained" if subject.weights is None else subject.weights.name}
    if subject.training is not None:
        more |= dict(subject.training)
    return Origin(
        name=subject.name,
        digest=subject.architecture.digest,
        params=count,
        left_out=sum(one.numel() for one in parameters.values()) - count,
        macs=cost(subject.architecture.replace(classes=subject.classes), size=subject.size).macs,
        shape=(model.in_chans, *subject.size),
        classes=subject.classes,
        program=f"UniNAS on Ray (uninas-ray {version()})",
        more=more | _searched(subject.metadata),
        config={
            "num_classes": subject.classes,
            "input_size": (model.in_chans, *subject.size),
            "interpolation": "bicubic",
            "crop_pct": crop_share(subject.size),
            "mean": tuple(config["mean"]),
            "std": tuple(config["std"]),
            "classifier": "head",
        },
    )


def _searched(metadata: Mapping[str, object]) -> dict[str, str]:
    names = {"objective": "Objective of the search", "index": "Candidate", "place": "Rank in the search"}
    return {name: str(metadata[key]) for key, name in names.items() if key in metadata}
