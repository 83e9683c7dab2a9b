"""The table of zero-cost (training-free) proxies: all that the framework knows of each.

A new proxy is one entry of a table, here or, of the proxies since 2023, in `proxies.recent`, and one function in a file of
`proxies.scores`. Nothing here imports torch, so that configurations are checked and names completed without it. A function is
named as "module:attribute" and imported when it is called.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxies.recent import RECENT
from proxies.spec import ENTROPIES, FROM_BATCH, GRADIENTS, Proxy, ProxySpec

__all__ = ["FROM_BATCH", "TABLE", "Proxy", "ProxySpec"]

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
        parts=GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "snip",
        "proxies.scores.saliency:snip",
        "how much the loss hangs on its weights",
        "saliency",
        "Lee et al., ICLR 2019",
        parts=GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "grasp",
        "proxies.scores.saliency:grasp",
        "how its weights change the flow of the gradient",
        "saliency",
        "Wang et al., ICLR 2020",
        shares=frozenset({"hessian"}),
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
        shares=frozenset({"synflow"}),
    ),
    ProxySpec(
        "synflow_log",
        "proxies.scores.synflow:synflow_log",
        "how much passes through the magnitudes of its weights from input to output, as a logarithm",
        "synflow",
        "Tanaka et al., NeurIPS 2020",
        shares=frozenset({"synflow"}),
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
        parts=GRADIENTS,
        shares=frozenset({"second_batch"}),
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
        parts=ENTROPIES,
    ),
    ProxySpec(
        "progressivity",
        "proxies.scores.aznas:progressivity",
        "how much more its features spread from block to block",
        "aznas",
        "Lee and Ham, CVPR 2024",
        parts=ENTROPIES,
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
        shares=frozenset({"spectrum"}),
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
        shares=frozenset({"spectrum"}),
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
        shares=frozenset({"synflow"}),
    ),
    ProxySpec(
        "ssnr_synflow_log",
        "proxies.scores.compressibility:ssnr_synflow_log",
        f"{_SNR} synaptic flow is within its layers, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        shares=frozenset({"synflow"}),
    ),
    ProxySpec(
        "ssnr_snip",
        "proxies.scores.compressibility:ssnr_snip",
        f"{_SNR} the weights' effect on the loss is within its layers",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "ssnr_snip_log",
        "proxies.scores.compressibility:ssnr_snip_log",
        f"{_SNR} the weights' effect on the loss is within its layers, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=GRADIENTS,
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "ssnr_grasp",
        "proxies.scores.compressibility:ssnr_grasp",
        f"{_SNR} the weights' effect on the gradient is within its layers",
        "compressibility",
        "Xiang et al., AutoML 2023",
        shares=frozenset({"hessian"}),
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
        shares=frozenset({"hessian"}),
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
        shares=frozenset({"determinants"}),
        real_input=True,
    ),
    ProxySpec(
        "t_cet_synflow",
        "proxies.scores.compressibility:t_cet_synflow",
        f"{_LAYERS} large, even synaptic flow and tell inputs apart",
        "compressibility",
        "Xiang et al., AutoML 2023",
        shares=frozenset({"synflow", "determinants"}),
        real_input=True,
    ),
    ProxySpec(
        "t_cet_synflow_log",
        "proxies.scores.compressibility:t_cet_synflow_log",
        f"{_LAYERS} large, even synaptic flow and tell inputs apart, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        shares=frozenset({"synflow", "determinants"}),
        real_input=True,
    ),
    ProxySpec(
        "t_cet_snip",
        "proxies.scores.compressibility:t_cet_snip",
        f"{_LAYERS} weights that matter evenly to the loss and tell inputs apart",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=GRADIENTS,
        shares=frozenset({"determinants"}),
        real_input=True,
        least_classes=2,
    ),
    ProxySpec(
        "t_cet_snip_log",
        "proxies.scores.compressibility:t_cet_snip_log",
        f"{_LAYERS} weights that matter evenly to the loss and tell inputs apart, {_LOG}",
        "compressibility",
        "Xiang et al., AutoML 2023",
        parts=GRADIENTS,
        shares=frozenset({"determinants"}),
        real_input=True,
        least_classes=2,
    ),
)

TABLE: Mapping[str, ProxySpec] = {spec.name: spec for spec in (*_SPECS, *RECENT)}
"""Every proxy of this package by name. `proxies.registry` adds a user's own and those of installed packages."""
