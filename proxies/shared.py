"""Work that several proxies need, done once.

Inside ``with sharing():`` a function marked :func:`shared` remembers its results by its arguments, the network and the batch
by identity. Outside it remembers nothing, so that a network that changed between two calls is never judged by old work.
The values are the same either way: a shared function is deterministic in its arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar

from .errors import ProxyFailure

__all__ = ["shared", "sharing"]

P = ParamSpec("P")
R = TypeVar("R")

_memory: ContextVar[dict[object, Any] | None] = ContextVar("proxies_shared", default=None)


@contextmanager
def sharing() -> Iterator[None]:
    """Remember the results of shared functions until the end of the block; the caller keeps weights and batch fixed."""
    token = _memory.set({})
    try:
        yield
    finally:
        _memory.reset(token)


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
        if key not in memory:
            try:
                # The arguments are kept beside the result: an identity must not be reused while it is a key.
                memory[key] = (function(*args, **kwargs), args, kwargs)
            except ProxyFailure as failure:
                memory[key] = ProxyFailure(failure.reason, failure.detail)  # without the frames of its traceback
        entry = memory[key]
        if isinstance(entry, ProxyFailure):
            raise ProxyFailure(entry.reason, entry.detail)
        result: R = entry[0]
        return result

    return remembered


def _key(value: object) -> object:
    return (type(value).__name__, repr(value) if isinstance(value, (int, float, str, bool, type(None))) else id(value))
