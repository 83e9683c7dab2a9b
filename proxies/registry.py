"""Which proxies there are: those of the table, a user's own, and those of installed packages.

    @proxies.register("mine")
    def mine(network, batch): ...

An installed package offers a proxy as an entry point of the group `uninas.proxies`, whose name is the proxy's and whose value is
its function (or a `ProxySpec`). It is imported when that proxy is asked for, and not before.

Nothing here imports torch.
"""

from __future__ import annotations

import functools
import importlib.metadata
import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Literal, TypeVar

from proxies.errors import ProxyUsageError
from proxies.table import TABLE, Proxy, ProxySpec

__all__ = [
    "GROUP",
    "PROXIES",
    "REAL_INPUT",
    "REVISIONS",
    "find",
    "installed",
    "names",
    "register",
    "registered",
    "spec",
    "spec_of",
]

GROUP = "uninas.proxies"
"""The group of entry points."""

_own: dict[str, ProxySpec] = {}
_loaded: dict[str, ProxySpec] = {}  # of installed packages, once asked for

F = TypeVar("F", bound=Callable[..., Any])  # of a float, or of a tensor of one number


def register(
    name: str,
    *,
    meaning: str = "its score",
    source: str = "",
    direction: Literal["higher", "lower"] = "higher",
    real_input: bool | None = None,
    samples: int | None = None,
    revision: int = 0,
) -> Callable[[F], F]:
    """Make a function of a network and a batch a proxy of that name, in this process.

    The function is called as ``function(network, batch)`` and gives one number. It may take the keyword arguments ``seed`` (an
    int), ``targets`` (classes of real samples, int64; None for noise) and any options of its own. Its network has fresh weights,
    is in training mode with nothing dropped, and its parameters ask for gradients; whatever the function does to weights,
    buffers, gradients and modes is undone afterwards. An exception, NaN or infinity is a failed score, with its reason.

    A search needs the function in each of its workers: put it into a file and name that in `proxies.file` of the configuration.

    Args:
        name: letters, digits and underscores, and not the name of a proxy of this package.
        meaning: what it looks at, in a phrase that completes "Rank the networks by ...".
        source: where it is defined.
        direction: "lower" where a lower value is better; the score is then minus the value.
        real_input: whether it gets real images where there are some; None: if it takes ``targets``.
        samples: how many samples it gets in the benches of small networks; None for all.
        revision: raise it whenever the definition changes, so that old scores are not mixed with new ones.

    Returns:
        A decorator that gives the function back as it is. A second registration of a name replaces the first.

    Raises:
        ProxyUsageError: the name is taken or malformed, or the direction is unknown.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ProxyUsageError(f"proxies.register: expected a name of letters, digits and underscores, got {name!r}")
    if name in TABLE:
        raise ProxyUsageError(f"proxies.register: expected a new name, got {name!r}, a proxy of this package")
    if direction not in ("higher", "lower"):
        raise ProxyUsageError(f"proxies.register: {name}: expected direction 'higher' or 'lower', got {direction!r}")

    def add(function: F) -> F:
        _own[name] = spec_of(
            name,
            function,
            meaning=meaning,
            source=source,
            direction=direction,
            real_input=real_input,
            samples=samples,
            revision=revision,
        )
        return function

    return add


def spec_of(name: str, function: Proxy, *, real_input: bool | None = None, **more: object) -> ProxySpec:
    """Describe a function that is not this package's; the arguments are those of `register`."""
    made = ProxySpec(name, function, real_input=False if real_input is None else real_input, **more)  # type: ignore[arg-type]
    if real_input is None and "targets" in made.keywords:
        return ProxySpec(name, function, real_input=True, **more)  # type: ignore[arg-type]
    return made


def registered() -> tuple[str, ...]:
    """The names that were registered in this process, in their order."""
    return tuple(_own)


def installed() -> frozenset[str]:
    """The names that installed packages offer; none of them is imported."""
    return frozenset(_installed())


def names() -> tuple[str, ...]:
    """The names of all proxies: the table's, those registered here, those of installed packages. None of the last is imported."""
    return tuple(dict.fromkeys((*TABLE, *_own, *_installed())))


def find(name: str) -> ProxySpec | None:
    """The proxy of that name; None where there is none.

    Raises:
        ProxyUsageError: an installed package offers it, and its entry point cannot be loaded.
    """
    found = TABLE.get(name) or _own.get(name) or _loaded.get(name)
    if found is None and name in _installed():
        found = _loaded[name] = _load(_installed()[name])
    return found


def spec(name: str) -> ProxySpec:
    """The proxy of that name.

    Raises:
        ProxyUsageError: there is none, or its entry point cannot be loaded.
    """
    found = find(name)
    if found is None:
        raise ProxyUsageError(f"unknown proxies {name}: expected some of {', '.join(names())}")
    return found


@functools.cache
def _installed() -> Mapping[str, importlib.metadata.EntryPoint]:
    """What installed packages offer, read once in a process."""
    offered = importlib.metadata.entry_points(group=GROUP)
    return {point.name: point for point in offered if point.name not in TABLE}


def _load(point: importlib.metadata.EntryPoint) -> ProxySpec:
    try:
        found = point.load()
    except Exception as error:  # whatever a foreign package raises on import
        said = " ".join(str(error).split())
        raise ProxyUsageError(
            f"proxy {point.name}: expected the entry point {GROUP} of {_package(point)} to load {point.value}, "
            f"got {type(error).__name__}: {said}"
        ) from None
    if point.name in _own:  # its module registers it with all that `register` may say
        return _own[point.name]
    if isinstance(found, ProxySpec):
        return found
    if not callable(found):
        raise ProxyUsageError(
            f"proxy {point.name}: expected the entry point {GROUP} of {_package(point)} to name a function, "
            f"got {type(found).__name__} {point.value}"
        )
    return spec_of(point.name, found)


def _package(point: importlib.metadata.EntryPoint) -> str:
    return "an installed package" if point.dist is None else str(point.dist.name)


class _Functions(Mapping[str, Proxy]):
    def __getitem__(self, name: str) -> Proxy:
        found = find(name)
        if found is None:
            raise KeyError(name)
        return found.proxy

    def __contains__(self, name: object) -> bool:
        return name in TABLE or name in names()

    def __iter__(self) -> Iterator[str]:
        return iter(names())

    def __len__(self) -> int:
        return len(names())

    def __repr__(self) -> str:
        return f"<proxies: {', '.join(self)}>"


class _Revisions(Mapping[str, int]):
    def __getitem__(self, name: str) -> int:
        found = find(name)
        if found is None or not found.revision:
            raise KeyError(name)
        return found.revision

    def __iter__(self) -> Iterator[str]:
        return (name for name in (*TABLE, *_own) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _RealInput(Set[str]):
    def __contains__(self, name: object) -> bool:
        found = find(name) if isinstance(name, str) else None
        return found is not None and found.real_input

    def __iter__(self) -> Iterator[str]:
        return (name for name in (*TABLE, *_own) if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


PROXIES: Mapping[str, Proxy] = _Functions()
"""Every proxy's function by name, imported when it is looked up."""

REAL_INPUT: Set[str] = _RealInput()
"""The proxies that get real images where there are some, see `ProxySpec.real_input`."""

REVISIONS: Mapping[str, int] = _Revisions()
"""How often a proxy's definition was changed since its first release; 0 where nothing is said, see `ProxySpec.revision`."""
