"""Several proxies on one network: names, seeds, repeats, real images, shared work."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Required, TypedDict, Unpack

import torch
from torch import Tensor, nn

from proxies.errors import ProxyFailure, ProxyUsageError, as_failure
from proxies.measuring.seeds import repeat_seeds
from proxies.measuring.shared import Announced, apart, sharing
from proxies.measuring.state import lent, prepared
from proxies.registry import PROXIES, REAL_INPUT, REVISIONS, find, names, spec
from proxies.table import FROM_BATCH, TABLE, Proxy, ProxySpec
from proxies.vkdnw.fisher import fisher_spectrum

__all__ = ["PROXIES", "REAL_INPUT", "REVISIONS", "Images", "Measurement", "Proxy", "Request", "measure", "score", "score_repeats"]


def score(
    module: nn.Module,
    names: Sequence[str],
    *,
    input_shape: Sequence[int],
    batch: int = 64,
    seed: int = 0,
    repeats: int = 1,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    images: Images | None = None,
) -> dict[str, float | ProxyFailure]:
    """Score one network by several proxies, each on freshly initialised weights and a fresh batch of noise.

    A value is a function of the seed and the network: it depends neither on the weights that the module has, which are
    restored, nor on which other proxies are asked. Set torch to one thread per scorer for speed and repeatable sums.

    Args:
        module: any network; see :func:`scoring_layers` and :func:`block_outputs` for what it may offer.
        names: keys of :data:`proxies.PROXIES`.
        input_shape: shape of one sample, such as ``(3, 224, 224)``.
        batch: number of samples.
        seed: decides weights, inputs and every other draw.
        repeats: the result is the mean over this many seeds; the first is ``seed`` itself, the others derive from it.
        device: where to compute.
        dtype: floating type of the network's arithmetic.
        options: for a proxy's name, keyword arguments of its function.
        images: real images for the proxies of :data:`REAL_INPUT`; None for noise and random labels.

    Returns:
        For each name, in the order asked, the mean value, or the failure; one failed repeat fails the proxy.

    Raises:
        ProxyUsageError: an unknown proxy or option, or an argument out of range.
    """
    values = score_repeats(
        module,
        names,
        input_shape=input_shape,
        batch=batch,
        seed=seed,
        repeats=repeats,
        device=device,
        dtype=dtype,
        options=options,
        images=images,
    )
    return {name: mean(repeated) for name, repeated in values.items()}


def mean(repeated: Sequence[float | ProxyFailure]) -> float | ProxyFailure:
    """The mean of a proxy's values over repeats; one failed repeat fails the proxy."""
    failure = next((value for value in repeated if isinstance(value, ProxyFailure)), None)
    numbers = [value for value in repeated if isinstance(value, float)]
    return failure if failure is not None else math.fsum(numbers) / len(numbers)


class Setting(TypedDict, total=False):
    """The keyword arguments of :func:`score`."""

    input_shape: Required[Sequence[int]]
    batch: int
    seed: int
    repeats: int
    device: str | torch.device
    dtype: torch.dtype
    options: Mapping[str, Mapping[str, Any]] | None
    images: Images | None


def score_repeats(module: nn.Module, names: Sequence[str], **setting: Unpack[Setting]) -> dict[str, list[float | ProxyFailure]]:
    """Give the single values that :func:`score`, which takes the same arguments, averages: for each name one per repeat.

    Their spread is the error bar.
    """
    options = setting.pop("options", None) or {}
    _check_names({*names, *options})
    requests = {name: Request(name, dict(options.get(name, {}))) for name in names}
    return measure(module, requests, **setting).values  # type: ignore[misc]  # all of them but options


@dataclass(frozen=True)
class Request:
    """One number wanted of a network.

    Attributes:
        proxy: a key of :data:`PROXIES`.
        options: keyword arguments of its function.
        samples: how many of the batch's samples it gets, from the first on; None for all.
        real: whether it gets real images where there are some; None for the default: those of :data:`REAL_INPUT` do.
    """

    proxy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    samples: int | None = None
    real: bool | None = None


@dataclass(frozen=True)
class Images:
    """Real images with their classes, at least as many as the batch; twice as many where ZiCo is asked for.

    Attributes:
        inputs: float32, shape ``(images, channels, height, width)``, normalised as for training.
        targets: int64, shape ``(images,)``.
    """

    inputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Measurement:
    """What :func:`measure` found, by label.

    Attributes:
        values: one value, or failure, for each repeat.
        seconds: CPU-seconds of this process, all repeats together. Work that several labels share is the first one's.
        details: what else a proxy saw in the last repeat: ``deciles``, the nine numbers behind VKDNW, ascending.
    """

    values: dict[str, list[float | ProxyFailure]]
    seconds: dict[str, float]
    details: dict[str, dict[str, Any]]


def measure(
    module: nn.Module,
    requests: Mapping[str, Request],
    *,
    input_shape: Sequence[int],
    batch: int = 64,
    seed: int = 0,
    repeats: int = 1,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    images: Images | None = None,
) -> Measurement:
    """Compute several numbers of one network, with shared work done once; see :func:`score` for the plain case.

    Args:
        requests: what is wanted, by a label of the caller's choice.
        images: real images, the same for each repeat; the other arguments are those of :func:`score`.

    Raises:
        ProxyUsageError: an unknown proxy or option, an argument out of range, too few images.
    """
    _check(requests, images, batch, tuple(input_shape))
    found = Measurement({label: [] for label in requests}, dict.fromkeys(requests, 0.0), {})
    for repeat_seed in repeat_seeds(seed, repeats):
        # No proxy leaves a trace on the network, so weights drawn once are fresh for each of them.
        with prepared(module, input_shape=input_shape, batch=batch, seed=repeat_seed, device=device, dtype=dtype) as noise:
            batches = _Batches(noise, images, batch)
            with sharing(batches.announced(requests.values())):
                for label, request in requests.items():
                    clock = time.process_time()
                    proxy = spec(request.proxy)
                    inputs, keywords = batches.of(request)
                    keywords = {**keywords, **request.options, "seed": repeat_seed}
                    value = _attempt(proxy, module, inputs, keywords)
                    found.values[label].append(value)
                    if proxy.spectrum is not None and isinstance(value, float):  # known by now: what is equal is computed once
                        spectrum = fisher_spectrum(module, inputs, **{**proxy.spectrum, **keywords})
                        found.details[label] = {"deciles": list(spectrum.deciles)}
                    found.seconds[label] += time.process_time() - clock
    return found


class _Batches:
    """The batches that the requests of one repeat share: noise or images, whole or their first samples."""

    def __init__(self, noise: Tensor, images: Images | None, batch: int) -> None:
        self._noise, self._batch = noise, batch
        self._images = None
        if images is not None:
            inputs = torch.empty_like(noise[:1]).expand(len(images.inputs), *noise.shape[1:])
            inputs = torch.empty_like(inputs, memory_format=_format(noise)).copy_(images.inputs)
            targets = images.targets.to(noise.device)
            # What was made in inference mode cannot be differentiated by.
            self._images = Images(inputs, targets.clone() if targets.is_inference() else targets)
        self._made: dict[tuple[bool, int], tuple[Tensor, dict[str, Any]]] = {}

    def of(self, request: Request) -> tuple[Tensor, dict[str, Any]]:
        """Inputs, and the labels for a proxy that knows them."""
        inputs, labels = self._for(request)
        wanted = spec(request.proxy).keywords
        return inputs, {name: value for name, value in labels.items() if name in wanted}

    def announced(self, requests: Iterable[Request]) -> dict[int, Announced]:
        """For the identity of each batch, what the requests will ask of it."""
        found: dict[int, Announced] = {}
        for request in requests:
            inputs, labels = self._for(request)
            before = found.get(id(inputs), Announced())
            found[id(inputs)] = Announced(before.parts | spec(request.proxy).parts, labels.get("targets"))
        return found

    def _for(self, request: Request) -> tuple[Tensor, dict[str, Any]]:
        usual = spec(request.proxy).real_input
        real = self._images is not None and (usual if request.real is None else request.real)
        samples = self._batch if request.samples is None else min(request.samples, self._batch)
        key = (real, samples)
        if key not in self._made:
            self._made[key] = self._make(real, samples)
        return self._made[key]

    def _make(self, real: bool, samples: int) -> tuple[Tensor, dict[str, Any]]:
        if not real:
            return self._noise[:samples], {}
        assert self._images is not None
        inputs, targets = self._images.inputs, self._images.targets
        labels: dict[str, Any] = {"targets": targets[:samples]}
        if len(inputs) >= self._batch + samples:
            there = slice(self._batch, self._batch + samples)
            labels["second"] = (inputs[there], targets[there])
        return inputs[:samples], labels


def _format(tensor: Tensor) -> torch.memory_format:
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _attempt(proxy: ProxySpec, module: nn.Module, inputs: Tensor, keywords: dict[str, Any]) -> float | ProxyFailure:
    try:
        value = call(proxy, module, inputs, keywords)
    except Exception as error:
        return as_failure(error)
    if not math.isfinite(value):
        return ProxyFailure("non_finite", f"{proxy.name} is {value}")
    return value


def call(proxy: ProxySpec, module: nn.Module, inputs: Tensor, keywords: dict[str, Any]) -> float:
    """Call a proxy on the weights that the network has.

    A function that is not this package's gets a network that it may change, and no more of `seed` than it takes.
    """
    if proxy is TABLE.get(proxy.name):
        return float(proxy.proxy(module, inputs, **keywords))
    if "seed" not in proxy.keywords:
        keywords = {name: value for name, value in keywords.items() if name != "seed"}
    with apart(), lent(module, seed=keywords.get("seed", 0)):
        found: Any = proxy.proxy(module, inputs.clone(), **keywords)
        value = float(found.detach() if isinstance(found, Tensor) else found)
    return -value if proxy.direction == "lower" else value


def _check_names(wanted: set[str]) -> None:
    unknown = sorted(name for name in wanted if find(name) is None)
    if unknown:
        raise ProxyUsageError(f"unknown proxies {', '.join(unknown)}: expected some of {', '.join(names())}")


def _check(requests: Mapping[str, Request], images: Images | None, batch: int, input_shape: tuple[int, ...]) -> None:
    _check_names({request.proxy for request in requests.values()})
    for request in requests.values():
        name, known = request.proxy, spec(request.proxy).options
        given = request.options.keys()
        wrong = sorted(given & set(FROM_BATCH) if known is None else given - set(known))
        if wrong:
            raise ProxyUsageError(f"proxy {name} has no option {', '.join(wrong)}: it has {', '.join(known or ()) or 'none'}")
        if request.samples is not None and request.samples < 1:
            raise ProxyUsageError(f"proxy {name}: expected samples of at least 1, got {request.samples}")
    if images is not None:
        count, targets = len(images.inputs), tuple(images.targets.shape)
        if count < batch or targets != (count,):
            raise ProxyUsageError(
                f"images: expected at least {batch} images, each with a class, got {count} and classes {targets}"
            )
        if tuple(images.inputs.shape[1:]) != input_shape:
            raise ProxyUsageError(f"images: expected images of {input_shape}, got {tuple(images.inputs.shape[1:])}")
