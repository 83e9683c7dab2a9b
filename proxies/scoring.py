"""Several proxies on one network: names, seeds, repeats."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from .counts import aleph, flops, params
from .errors import ProxyFailure, ProxyUsageError
from .expressivity import expressivity, progressivity
from .jacov import jacov
from .seeds import repeat_seeds
from .shared import sharing
from .state import prepared
from .trainability import trainability
from .vkdnw import fisher_spectrum, vkdnw, vkdnw_single

__all__ = ["PROXIES", "Proxy", "score", "score_repeats"]

Proxy = Callable[..., float]

#: Every raw proxy: ``function(module, inputs, *, seed, **options) -> float``, higher is better, or ProxyFailure.
#: A function scores the weights that the module has; :func:`score` supplies fresh ones.
PROXIES: dict[str, Proxy] = {
    "params": params,
    "flops": flops,
    "aleph": aleph,
    "jacov": jacov,
    "expressivity": expressivity,
    "progressivity": progressivity,
    "trainability": trainability,
    "vkdnw": vkdnw,
    "vkdnw_single": vkdnw_single,
}

_OPTIONS_OF = {"vkdnw": fisher_spectrum, "vkdnw_single": fisher_spectrum}  # where **options go


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
) -> dict[str, float | ProxyFailure]:
    """Score one network by several proxies, each on freshly initialised weights and a fresh batch of noise.

    A value is a function of the seed and the network: it depends neither on the weights that the module has, which come back
    unharmed, nor on which other proxies are asked. Set torch to one thread per scorer for speed and repeatable sums.

    Args:
        module: any network; see :func:`scoring_layers` and :func:`block_outputs` for what it may offer.
        names: keys of :data:`PROXIES`.
        input_shape: shape of one sample, such as ``(3, 224, 224)``.
        batch: number of samples.
        seed: decides weights, inputs and every other draw.
        repeats: the result is the mean over this many seeds; the first is ``seed`` itself, the others derive from it.
        device: where to compute.
        dtype: floating type of the network's arithmetic.
        options: for a proxy's name, keyword arguments of its function.

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
    )
    result: dict[str, float | ProxyFailure] = {}
    for name, repeated in values.items():
        failure = next((value for value in repeated if isinstance(value, ProxyFailure)), None)
        numbers = [value for value in repeated if isinstance(value, float)]
        result[name] = failure if failure is not None else math.fsum(numbers) / len(numbers)
    return result


def score_repeats(
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
) -> dict[str, list[float | ProxyFailure]]:
    """The individual values that :func:`score` averages: for each name one per repeat. Their spread is the error bar."""
    chosen = {name: dict((options or {}).get(name, {})) for name in names}
    _check(chosen, options or {})
    result: dict[str, list[float | ProxyFailure]] = {name: [] for name in chosen}
    for repeat_seed in repeat_seeds(seed, repeats):
        # No proxy leaves a trace on the network, so weights drawn once are fresh for each of them.
        with (
            prepared(module, input_shape=input_shape, batch=batch, seed=repeat_seed, device=device, dtype=dtype) as inputs,
            sharing(),
        ):
            for name, keywords in chosen.items():
                result[name].append(_attempt(name, module, inputs, repeat_seed, keywords))
    return result


def _attempt(name: str, module: nn.Module, inputs: torch.Tensor, seed: int, options: dict[str, Any]) -> float | ProxyFailure:
    try:
        value = float(PROXIES[name](module, inputs, seed=seed, **options))
    except ProxyFailure as failure:
        return ProxyFailure(failure.reason, failure.detail)  # without the frames, and tensors, of its traceback
    if not math.isfinite(value):
        return ProxyFailure("non_finite", f"{name} came out as {value}")
    return value


def _check(chosen: Mapping[str, Mapping[str, Any]], options: Mapping[str, object]) -> None:
    unknown = sorted({*chosen, *options} - PROXIES.keys())
    if unknown:
        raise ProxyUsageError(f"unknown proxies {', '.join(unknown)}: expected some of {', '.join(PROXIES)}")
    for name, keywords in chosen.items():
        known = [
            parameter.name
            for parameter in inspect.signature(_OPTIONS_OF.get(name, PROXIES[name])).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name != "seed"
        ]
        wrong = sorted(keywords.keys() - set(known))
        if wrong:
            raise ProxyUsageError(f"proxy {name} has no option {', '.join(wrong)}: it has {', '.join(known) or 'none'}")
