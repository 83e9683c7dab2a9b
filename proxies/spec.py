"""What an entry of the table of proxies is: all that the framework knows of one proxy. Nothing here imports torch."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

__all__ = ["ENTROPIES", "FROM_BATCH", "GRADIENTS", "Proxy", "ProxySpec"]

Proxy = Callable[..., float]
"""``function(module, inputs, *, seed, **options) -> float``, or ProxyFailure."""

FROM_BATCH = ("seed", "targets", "second")
"""Keyword arguments that scoring supplies to the functions that take them; no option may set them."""

_NONE: frozenset[str] = frozenset()
GRADIENTS = frozenset({"gradients"})
"""Parts of the proxies that begin with the gradient of a loss."""
ENTROPIES = frozenset({"entropies"})
"""Parts of the proxies that begin with the feature entropies of the blocks."""


@dataclass(frozen=True)
class ProxySpec:
    """One proxy.

    Attributes:
        name: as configurations and commands write it.
        function: "module:attribute", imported when it is first needed; or the function itself. See `Proxy`.
        meaning: what it looks at, in a phrase that completes "Rank the networks by ...".
        family: the module of `proxies.scores` that defines it, "vkdnw", or "own".
        source: the paper that defines it.
        direction: whether a higher or a lower value of the function is better. The score of a "lower" one is minus its value, so
            that every score is better when it is higher.
        parts: what it reads of the shared training pass, see `proxies.measuring.training_pass.part`. Parts of proxies that are
            asked for together are measured together.
        shares: other work that is done once for all proxies that are asked for together and need it, each by a name of its own:
            for those who count what several cost together.
        real_input: whether it gets real images, where there are some: true of the proxies of a loss, and of those that compare
            how a network treats the samples of a batch, which their papers measure on data. (On NAS-Bench-201 at 16 pixels Jacov
            and NASWOT rank as published on images only.)
        options_of: "module:attribute" of the function that receives its options; None for its own.
        spectrum: the options of `proxies.fisher_spectrum` that make a Fisher spectrum its own; None where it reads none.
        samples: how many samples of the batch it gets in the benches of small networks; None for all. For those that take several
            passes, or one for each sample.
        least_classes: with how many outputs of a network it begins to have a value: a loss of one class is always 0.
        left_out: by whom it is not used unless it is asked for by name: "bench" (every bench), "timm" (the bench of timm's
            networks), "choose" (`uninas bench choose`).
        revision: how often its definition was changed since its first release. Scores are comparable where this is equal, so what
            stores scores stores it with them.
    """

    name: str
    function: str | Proxy
    meaning: str = "its score"
    family: str = "own"
    source: str = ""
    direction: Literal["higher", "lower"] = "higher"
    parts: frozenset[str] = _NONE
    shares: frozenset[str] = _NONE
    real_input: bool = False
    options_of: str | None = None
    spectrum: Mapping[str, Any] | None = None
    samples: int | None = None
    least_classes: int = 1
    left_out: frozenset[str] = _NONE
    revision: int = 0

    @cached_property
    def proxy(self) -> Proxy:
        """The function, imported."""
        return _imported(self.function)

    @cached_property
    def keywords(self) -> frozenset[str]:
        """Which of `FROM_BATCH` the function takes."""
        parameters = inspect.signature(self.proxy).parameters
        return frozenset(name for name in FROM_BATCH if name in parameters)

    @cached_property
    def options(self) -> tuple[str, ...] | None:
        """The names of its options; None where the function takes any."""
        receiver = self.proxy if self.options_of is None else _imported(self.options_of)
        parameters = list(inspect.signature(receiver).parameters.values())[2:]  # behind the module and its inputs
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return None
        return tuple(parameter.name for parameter in parameters if parameter.name not in FROM_BATCH)


def _imported(function: str | Proxy) -> Proxy:
    if not isinstance(function, str):
        return function
    module, _, attribute = function.partition(":")
    found: Proxy = getattr(importlib.import_module(module), attribute)
    return found
