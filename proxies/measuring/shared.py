"""Work that several proxies need, done once.

Inside ``with sharing():`` a function marked :func:`shared` remembers its results by its arguments, the network and the batch
by identity. Outside it remembers nothing, so that a network that changed between two calls is never judged by old work.
The values are the same either way: a shared function is deterministic in its arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from torch import Tensor

from proxies.errors import ProxyFailure

__all__ = ["Announced", "announced", "apart", "collected", "shared", "sharing"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Announced:
    """What will be asked of a batch.

    Attributes:
        parts: names of the parts of one pass, see :func:`collected`.
        targets: the classes of its samples, for the parts that see labels; None where they are random.
    """

    parts: frozenset[str] = frozenset()
    targets: Tensor | None = None


@dataclass
class _Memory:
    """What is remembered, and what was announced of each batch, by its identity."""

    results: dict[object, Any] = field(default_factory=dict)
    batches: Mapping[int, Announced] = field(default_factory=dict)


_memory: ContextVar[_Memory | None] = ContextVar("proxies_shared", default=None)


@contextmanager
def sharing(batches: Mapping[int, Announced] | None = None) -> Iterator[None]:
    """Remember the results of shared functions until the end of the block; the caller keeps weights and batch fixed.

    Args:
        batches: for the identity of a batch, what will be asked of it, so that one pass measures it all.
    """
    token = _memory.set(_Memory(batches=dict(batches or {})))
    try:
        yield
    finally:
        _memory.reset(token)


@contextmanager
def apart() -> Iterator[None]:
    """Remember nothing until the end of the block: inside, a network may be changed between two calls."""
    token = _memory.set(None)
    try:
        yield
    finally:
        _memory.reset(token)


def announced(inputs: Tensor) -> Announced:
    """What was announced of a batch; nothing outside of :func:`sharing`."""
    memory = _memory.get()
    return Announced() if memory is None else memory.batches.get(id(inputs), Announced())


def shared(function: Callable[P, R]) -> Callable[P, R]:
    """Make a deterministic function of (module, inputs, hashable options) compute once inside :func:`sharing`.

    A typed failure is remembered like a value: both proxies that need the work then fail for the same reason.
    """

    @functools.wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        memory = _memory.get()
        if memory is None:
            return function(*args, **kwargs)
        key = (function, tuple(map(_key, args)), tuple(sorted((name, _key(value)) for name, value in kwargs.items())))
        if key not in memory.results:
            try:
                # The arguments are kept beside the result: an identity must not be reused while it is a key.
                memory.results[key] = (function(*args, **kwargs), args, kwargs)
            except ProxyFailure as failure:
                memory.results[key] = ProxyFailure(failure.reason, failure.detail)  # without the frames of its traceback
        entry = memory.results[key]
        if isinstance(entry, ProxyFailure):
            raise ProxyFailure(entry.reason, entry.detail)
        result: R = entry[0]
        return result

    return remembered


def collected(
    measure: Callable[..., dict[str, object]], part: str, module: object, inputs: Tensor, **keywords: object
) -> dict[str, object]:
    """One part of a pass that measures several at once: ``measure(parts, module, inputs, **keywords) -> {part: outcome}``.

    Inside :func:`sharing` the first call measures all the parts that were announced for this batch, later calls find theirs;
    outside each call measures its own part. An outcome may be a ProxyFailure; one that ``measure`` raises is of all its parts.
    """
    memory = _memory.get()
    if memory is None:
        return measure(frozenset({part}), module, inputs, **keywords)
    key = (measure, id(module), id(inputs), tuple(sorted((name, _key(value)) for name, value in keywords.items())))
    outcomes, *_ = memory.results.setdefault(key, ({}, module, inputs, keywords))
    if part not in outcomes:
        wanted = announced(inputs).parts - outcomes.keys() | {part}
        try:
            outcomes.update(measure(wanted, module, inputs, **keywords))
        except ProxyFailure as failure:
            outcomes.update(dict.fromkeys(wanted, ProxyFailure(failure.reason, failure.detail)))
    found: dict[str, object] = outcomes
    return found


def _key(value: object) -> object:
    return (type(value).__name__, repr(value) if isinstance(value, (int, float, str, bool, type(None))) else id(value))
