"""The table of zero-cost proxies, continued: those of 2023 and later. See `proxies.table`."""

from __future__ import annotations

from proxies.spec import ProxySpec

__all__ = ["RECENT"]

_GRADIENTS_AND_PATTERNS = frozenset({"gradients", "layer_patterns"})

RECENT = (
    # the weight matrices alone, no values
    ProxySpec(
        "nsc",
        "proxies.scores.capacity:nsc",
        "how much volume its weight matrices span before any training",
        "capacity",
        "arXiv 2609.23087, 2026",
        shares=frozenset({"matrices"}),
    ),
    ProxySpec(
        "entropy",
        "proxies.scores.capacity:entropy",
        "how much information its last feature map may hold",
        "capacity",
        "Shen et al., CVPR 2023",
        shares=frozenset({"matrices"}),
    ),
    # how evenly a layer uses its channels
    ProxySpec(
        "meco",
        "proxies.scores.collinearity:meco",
        "how far the channels of its feature maps are from being copies of each other",
        "collinearity",
        "Jiang et al., NeurIPS 2023",
        shares=frozenset({"circle"}),
    ),
    ProxySpec(
        "meco_opt",
        "proxies.scores.collinearity:meco_opt",
        "how far eight channels of each of its feature maps are from being copies of each other",
        "collinearity",
        "Jiang et al., NeurIPS 2023",
        shares=frozenset({"circle"}),
    ),
    ProxySpec(
        "dextr",
        "proxies.scores.collinearity:dextr",
        "how independent its channels are and how much its output bends",
        "collinearity",
        "Asthana et al., TMLR 2025",
        shares=frozenset({"circle"}),
    ),
    ProxySpec(
        "near",
        "proxies.scores.dimension:near",
        "how many directions its layers use, before and after their activation functions",
        "dimension",
        "Husistein et al., ICLR 2025",
        parts=frozenset({"ranks"}),
    ),
    ProxySpec(
        "participation",
        "proxies.scores.dimension:participation",
        "how many directions the results of its layers spread over",
        "dimension",
        "Zhou et al., CVPR 2026",
        parts=frozenset({"participations"}),
    ),
    ProxySpec(
        "intrain",
        "proxies.scores.dimension:intrain",
        "how many directions its layers spread over and how evenly its gradients spread over the weights",
        "dimension",
        "Zhou et al., CVPR 2026",
        parts=frozenset({"participations", "gradients"}),
        real_input=True,
        least_classes=2,
    ),
    # how its units switch
    ProxySpec(
        "swap",
        "proxies.scores.patterns:swap",
        "in how many different ways its units switch over the samples of a batch",
        "patterns",
        "Peng et al., ICLR 2024",
        parts=frozenset({"patterns"}),
        real_input=True,
    ),
    ProxySpec(
        "lswag",
        "proxies.scores.patterns:lswag",
        "whether its layers have steady gradients and units that switch in different ways",
        "patterns",
        "Casarin et al., CVPR 2025",
        parts=_GRADIENTS_AND_PATTERNS,
        shares=frozenset({"second_batch"}),
        real_input=True,
        least_classes=2,
    ),
)
