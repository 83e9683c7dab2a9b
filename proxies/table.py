"""The table of zero-cost (training-free) proxies: all that the framework knows of each, in one place.

A new proxy is one entry in `TABLE` here and one function in a file of `proxies.scores`. Nothing here imports torch, so that
configurations are checked and names completed without it. A function is named as "module:attribute" and imported when it is
called.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

__all__ = ["FROM_BATCH", "TABLE", "Proxy", "ProxySpec"]

Proxy = Callable[..., float]
"""``function(module, inputs, *, seed, **options) -> float``, or ProxyFailure."""

FROM_BATCH = ("seed", "targets", "second")
"""Keyword arguments that scoring supplies to the functions that take them; no option may set them."""

_NONE: frozenset[str] = frozenset()
_GRADIENTS = frozenset({"gradients"})
_ENTROPIES = frozenset({"entropies"})


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


_SNR, _LOG = "how large and how even", "in logarithms"
_LAYERS = "whether its layers have"

_SPECS = (
    # what is counted
    ProxySpec("params", "proxies.scores.counts:params", "its number of weights", "counts"),
    ProxySpec("flops", "proxies.scores.counts:flops", "its multiply-accumulates on one input", "counts"),
    ProxySpec("aleph", "proxies.scores.counts:aleph", "its number of convolutions and linear layers", "counts"),
    # gradients of a loss, and the saliency of weights
    ProxySpec(
        "grad_norm",
        "proxies.scores.saliency:grad_norm",
        "the length of its gradient",
        "saliency",
        "Abdelfattah et al., ICLR 2021",
        parts=_GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "snip",
        "proxies.scores.saliency:snip",
        "how much the loss hangs on its weights",
        "saliency",
        "Lee et al., ICLR 2019",
        parts=_GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "grasp",
        "proxies.scores.saliency:grasp",
        "how its weights change the flow of the gradient",
        "saliency",
        "Wang et al., ICLR 2020",
        real_input=True,
        samples=16,
        least_classes=2,
    ),
    ProxySpec(
        "synflow",
        "proxies.scores.synflow:synflow",
        "how much passes through the magnitudes of its weights from input to output",
        "synflow",
        "Tanaka et al., NeurIPS 2020",
    ),
    ProxySpec(
        "synflow_log",
        "proxies.scores.synflow:synflow_log",
        "how much passes through the magnitudes of its weights from input to output, as a logarithm",
        "synflow",
        "Tanaka et al., NeurIPS 2020",
    ),
    # how samples are told apart
    ProxySpec(
        "jacov",
        "proxies.scores.jacov:jacov",
        "how differently it reacts to changes of different inputs",
        "jacov",
        "Abdelfattah et al., ICLR 2021",
        parts=frozenset({"input_gradient"}),
        real_input=True,
    ),
    ProxySpec(
        "naswot",
        "proxies.scores.naswot:naswot",
        "how differently its rectifiers switch for different inputs",
        "naswot",
        "Mellor et al., ICML 2021",
        parts=frozenset({"codes"}),
        real_input=True,
    ),
    ProxySpec(
        "zen",
        "proxies.scores.zen:zen",
        "how far its features move with the input",
        "zen",
        "Lin et al., ICCV 2021",
        samples=16,
    ),
    ProxySpec(
        "zico",
        "proxies.scores.zico:zico",
        "how steady its gradients are from batch to batch",
        "zico",
        "Li et al., ICLR 2023",
        parts=_GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "gradsign",
        "proxies.scores.gradsign:gradsign",
        "how far the gradients of single samples agree in sign",
        "gradsign",
        "Zhang and Jia, ICLR 2022",
        real_input=True,
        samples=32,
        revision=1,  # the gradients of attention to one token are 0, and no longer what its kernels round that to
        least_classes=2,
    ),
    # TE-NAS
    ProxySpec(
        "ntk_condition",
        "proxies.scores.ntk:ntk_condition",
        "how evenly it can learn in all directions at the start",
        "ntk",
        "Chen et al., ICLR 2021",
        real_input=True,
        samples=16,
    ),
    ProxySpec(
        "linear_regions",
        "proxies.scores.naswot:linear_regions",
        "the number of linear pieces it cuts its input into",
        "naswot",
        "Chen et al., ICLR 2021",
        left_out=frozenset({"timm", "choose"}),  # it needs a thin copy of the network, which not every network has
    ),
    # AZ-NAS
    ProxySpec(
        "expressivity",
        "proxies.scores.aznas:expressivity",
        "how evenly the features of its blocks use their channels",
        "aznas",
        "Lee and Ham, CVPR 2024",
        parts=_ENTROPIES,
    ),
    ProxySpec(
        "progressivity",
        "proxies.scores.aznas:progressivity",
        "how much more its features spread from block to block",
        "aznas",
        "Lee and Ham, CVPR 2024",
        parts=_ENTROPIES,
    ),
    ProxySpec(
        "trainability",
        "proxies.scores.aznas:trainability",
        "how well gradients keep their size on the way back through its blocks",
        "aznas",
        "Lee and Ham, CVPR 2024",
        parts=frozenset({"isolations"}),
    ),
    # the Fisher spectrum
    ProxySpec(
        "vkdnw",
        "proxies.vkdnw:vkdnw",
        "how evenly the Fisher information is spread over its weights",
        "vkdnw",
        "Tybl and Neumann, CVPR 2025",
        options_of="proxies.vkdnw.fisher:fisher_spectrum",
        spectrum={},
        least_classes=2,
    ),
    ProxySpec(
        "vkdnw_single",
        "proxies.vkdnw:vkdnw_single",
        "its number of layers and, among equals, how evenly the Fisher information is spread over its weights",
        "vkdnw",
        "Tybl and Neumann, CVPR 2025",
        options_of="proxies.vkdnw.fisher:fisher_spectrum",
        spectrum={},
        left_out=frozenset({"bench"}),  # the objective vkdnw_single orders by (aleph, vkdnw) in the same way
        least_classes=2,
    ),
    ProxySpec(
        "vkdnw_norms",
        "proxies.vkdnw:vkdnw_norms",
        "how evenly the Fisher information is spread over its weights, norms and biases",
        "vkdnw",
        "Tybl and Neumann, CVPR 2025",
        options_of="proxies.vkdnw.fisher:fisher_spectrum",
        spectrum={"tensors": "all", "weights": 10_000},
        left_out=frozenset({"bench"}),  # a variant that costs as much as vkdnw
        least_classes=2,
    ),
    # T-CET
    ProxySpec(
        "ssnr_synflow",
        "proxies.scores.compressibility:ssnr_synflow",
        f"{_SNR} synaptic flow is within its layers",
        "compressibility",
        "Xiang et al., AutoML 2023",
    ),
    ProxySpec(
        "ssnr_synflow_log",
        "proxies.scores.compressibility:ssnr_synflow_log",
        f"{_SNR} synaptic flow is within its layers, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
    ),
    ProxySpec(
        "ssnr_snip",
        "proxies.scores.compressibility:ssnr_snip",
        f"{_SNR} the weights' effect on the loss is within its layers",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=_GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "ssnr_snip_log",
        "proxies.scores.compressibility:ssnr_snip_log",
        f"{_SNR} the weights' effect on the loss is within its layers, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=_GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "ssnr_grasp",
        "proxies.scores.compressibility:ssnr_grasp",
        f"{_SNR} the weights' effect on the gradient is within its layers",
        "compressibility",
        "Xiang et al., AutoML 2023",
        real_input=True,
        samples=16,
        least_classes=2,
    ),
    ProxySpec(
        "ssnr_grasp_log",
        "proxies.scores.compressibility:ssnr_grasp_log",
        f"{_SNR} the weights' effect on the gradient is within its layers, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        real_input=True,
        samples=16,
        least_classes=2,
    ),
    ProxySpec(
        "lnwot",
        "proxies.scores.compressibility:lnwot",
        "how differently the units of each layer switch for different inputs",
        "compressibility",
        "Xiang et al., AutoML 2023",
        real_input=True,
    ),
    ProxySpec(
        "t_cet_synflow",
        "proxies.scores.compressibility:t_cet_synflow",
        f"{_LAYERS} large, even synaptic flow and tell inputs apart",
        "compressibility",
        "Xiang et al., AutoML 2023",
        real_input=True,
    ),
    ProxySpec(
        "t_cet_synflow_log",
        "proxies.scores.compressibility:t_cet_synflow_log",
        f"{_LAYERS} large, even synaptic flow and tell inputs apart, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        real_input=True,
    ),
    ProxySpec(
        "t_cet_snip",
        "proxies.scores.compressibility:t_cet_snip",
        f"{_LAYERS} weights that matter evenly to the loss and tell inputs apart",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=_GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "t_cet_snip_log",
        "proxies.scores.compressibility:t_cet_snip_log",
        f"{_LAYERS} weights that matter evenly to the loss and tell inputs apart, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=_GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
)

TABLE: Mapping[str, ProxySpec] = {spec.name: spec for spec in _SPECS}
"""Every proxy of this package by name. `proxies.registry` adds a user's own and those of installed packages."""
