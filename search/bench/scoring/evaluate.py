"""Score one network of a benchmark by every proxy that is asked for. Runs in the worker."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

import proxies
import uninas
import uninas.compile
from search.bench.scoring.job import Job, Setup
from search.workers import pictures
from search.workers.counted import COUNTS, counted, only_counts
from search.workers.evaluate import guarded, prepare
from search.workers.job import Outcome, outcome_of
from uninas.spaces import SPACES, architecture_of, nasbench201

__all__ = ["NETWORKS", "Job", "evaluate", "prepare"]


def _cell(name: str, *, classes: int, input_shape: tuple[int, int, int], **network: Any) -> uninas.Architecture:
    channels, *size = input_shape
    return nasbench201.architecture(name, classes=classes, in_channels=channels, input_size=(size[0], size[1]), **network)


def _nasbench201(name: str, *, classes: int, input_shape: tuple[int, int, int], **network: Any) -> nn.Module:
    return uninas.compile.build(_cell(name, classes=classes, input_shape=input_shape, **network))


def _point(name: str, *, classes: int, input_shape: tuple[int, int, int]) -> uninas.Architecture:
    space, _, text = name.partition(":")
    _, height, width = input_shape
    return architecture_of(SPACES[space], text, classes, (height, width))


def _written(text: str, *, classes: int, input_shape: tuple[int, int, int]) -> uninas.Architecture:
    _, height, width = input_shape
    return replace(uninas.parse(text), classes=classes, input_size=(height, width))


def _built(
    architecture: Callable[..., uninas.Architecture], name: str, *, classes: int, input_shape: tuple[int, int, int]
) -> nn.Module:
    return uninas.compile.build(architecture(name, classes=classes, input_shape=input_shape))


def _timm(name: str, *, classes: int, input_shape: tuple[int, int, int], **network: Any) -> nn.Module:
    from search.bench.scoring.timm_networks import build

    return build(name, classes=classes, input_shape=input_shape, **network)


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "nasbench201": _nasbench201,
    "timm": _timm,
    "space": partial(_built, _point),
    "architecture": partial(_built, _written),
}
"""Source -> builder(definition, *, classes, input_shape, **network) -> module with logits (B, classes).

The definition of a network is its name there: a cell, timm's name, SPACE:TEXT; of `architecture` it is the text of its file.
"""


ARCHITECTURES: dict[str, Callable[..., uninas.Architecture]] = {
    "nasbench201": _cell,
    "space": _point,
    "architecture": _written,
}
"""The same of sources whose networks are architectures: what is counted of these is counted without a module."""


def evaluate(job: Job, device: str = "cpu") -> Outcome:
    """Build and score one network. Whatever Python raises becomes a failure with its reason.

    Returns:
        `scores` and `details` by label. `seconds`: CPU-seconds by label, and wall time of the stages "build" and "score".
    """
    counts = job.source in ARCHITECTURES and only_counts([wanted.proxy for wanted in job.requests.values()])
    return guarded(_count if counts else _score, job, device, builds=not counts)


def _count(job: Job, device: str, seconds: dict[str, float]) -> Outcome:
    """Count without a network; what the labels of a setup share is the first one's, as of scores."""
    scores: dict[str, float] = {}
    details: dict[str, Mapping[str, Any]] = {}
    costs: dict[str, Mapping[str, float]] = {}
    clock = time.perf_counter()
    for label, wanted in job.requests.items():
        spent, setup = time.process_time(), job.setups[wanted.setup]
        if wanted.setup not in costs:
            shape = setup.input_shape or job.input_shape
            architecture = ARCHITECTURES[job.source](
                job.definition or job.network, classes=job.classes, input_shape=shape, **setup.network
            )
            costs[wanted.setup] = counted(architecture, COUNTS, size=(shape[1], shape[2]), classes=job.classes)
        scores[label] = costs[wanted.setup][wanted.proxy]
        if setup.repeats > 1:
            details[label] = {"repeats": [scores[label]] * setup.repeats}
        seconds[label] = time.process_time() - spent
    seconds.update(build=0.0, score=time.perf_counter() - clock)
    return outcome_of(scores, seconds, details)


def _score(job: Job, device: str, seconds: dict[str, float]) -> Outcome:
    values: dict[str, float | Mapping[str, str]] = {}
    details: dict[str, Mapping[str, Any]] = {}
    seconds.update(build=0.0, score=0.0)
    for name, setup in job.setups.items():
        requests = {
            label: proxies.Request(wanted.proxy, dict(wanted.options), wanted.samples, wanted.real)
            for label, wanted in job.requests.items()
            if wanted.setup == name
        }
        if not requests:
            continue
        shape = setup.input_shape or job.input_shape
        clock = time.perf_counter()
        module = NETWORKS[job.source](job.definition or job.network, classes=job.classes, input_shape=shape, **setup.network)
        seconds["build"] += time.perf_counter() - clock
        clock = time.perf_counter()
        measurement = proxies.measure(
            module,
            requests,
            input_shape=shape,
            batch=setup.batch,
            seed=setup.seed,
            repeats=setup.repeats,
            device=device,
            images=_images(setup),
        )
        seconds["score"] += time.perf_counter() - clock
        values |= {label: _mean(repeated) for label, repeated in measurement.values.items()}
        details |= {label: dict(found) for label, found in measurement.details.items() if found}
        if setup.repeats > 1:
            for label, repeated in measurement.values.items():
                details[label] = {**details.get(label, {}), "repeats": [_plain(value) for value in repeated]}
        seconds |= measurement.seconds
    return outcome_of({label: values[label] for label in job.requests}, seconds, details)


def _images(setup: Setup) -> proxies.Images | None:
    if setup.pictures is None:
        return None
    inputs, targets = pictures.read_batch(setup.pictures)
    return proxies.Images(torch.tensor(inputs), torch.tensor(targets))


def _mean(repeated: Sequence[float | proxies.ProxyFailure]) -> float | Mapping[str, str]:
    """Average over initialisations; one failure is the failure of all."""
    plain = [_plain(value) for value in repeated]
    failure = next((value for value in plain if isinstance(value, Mapping)), None)
    return failure or math.fsum(value for value in plain if isinstance(value, float)) / len(plain)


def _plain(value: float | proxies.ProxyFailure) -> float | Mapping[str, str]:
    return {"failed": str(value)} if isinstance(value, proxies.ProxyFailure) else float(value)
