"""What goes to a worker of a bench: one network, and every score that is wanted of it, each under a label of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from search.workers.pictures import PictureBatch


@dataclass(frozen=True)
class Setup:
    """How a network is built and what it is fed. The requests of one setup share their passes.

    Attributes:
        batch: samples a score is computed on.
        seed: initial weights, inputs and every other draw derive from it.
        repeats: initialisations that a score is averaged over.
        input_shape: (C, H, W) of one sample; None for the network's own.
        network: keyword arguments of the builder, such as a thin variant's channels.
        pictures: real input for the proxies that take one; None for noise.
    """

    batch: int = 64
    seed: int = 0
    repeats: int = 1
    input_shape: tuple[int, int, int] | None = None
    network: Mapping[str, Any] = field(default_factory=dict)
    pictures: PictureBatch | None = None

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Setup:
        """Read what `asdict` gave."""
        shape, pictures = data["input_shape"], data["pictures"]
        read = None if pictures is None else PictureBatch.from_dict(pictures)
        return Setup(**{**data, "input_shape": None if shape is None else tuple(shape), "pictures": read})


@dataclass(frozen=True)
class Request:
    """One score.

    Attributes:
        proxy: a key of `proxies.PROXIES`.
        options: keyword arguments of its function.
        setup: the name of the setup it is computed in.
        samples: how many of the setup's batch it gets; None for all.
        real: whether it gets the images, where there are some; None for what the proxy usually gets.
    """

    proxy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    setup: str = "standard"
    samples: int | None = None
    real: bool | None = None


@dataclass(frozen=True)
class Job:
    """One scoring. The outcome is a function of this alone, on one device model, torch build and precision.

    Attributes:
        index: the network's number in its benchmark.
        network: its name there, from which `source` builds it.
        source: a key of `search.bench.scoring.evaluate.NETWORKS`.
        classes: outputs of the network.
        input_shape: (C, H, W) of one sample, where a setup has no other.
        setups: by name.
        requests: by label; the outcome has a score for each.
        definition: what `source` builds it from, where that is not its name.
    """

    index: int
    network: str
    source: str
    classes: int
    input_shape: tuple[int, int, int]
    setups: Mapping[str, Setup]
    requests: Mapping[str, Request]
    definition: str | None = None

    @property
    def label(self) -> str:
        """Number and name."""
        return f"{self.index} ({self.network})"

    def as_dict(self) -> dict[str, Any]:
        """Give the job as JSON-able data."""
        return asdict(self)

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Job:
        """Read what `as_dict` gave."""
        return Job(
            **{
                **data,
                "input_shape": tuple(data["input_shape"]),
                "setups": {name: Setup.from_dict(setup) for name, setup in data["setups"].items()},
                "requests": {label: Request(**request) for label, request in data["requests"].items()},
            }
        )
