"""Zero-cost (training-free) proxies: numbers that say how good a network will be, from its structure and a few passes of noise.

    from proxies import score
    score(network, ["vkdnw", "flops"], input_shape=(3, 224, 224), batch=64, seed=0)

One network, several proxies:  score, score_repeats, PROXIES
A proxy of your own:           register; check_proxy of proxies.testing says whether it keeps the contract
Variants, images, timing:      measure (Request, Images -> Measurement), REAL_INPUT, REVISIONS
What is known of each proxy:   TABLE (name -> ProxySpec), without torch
How long an inference takes:   inference_seconds, pass_seconds, PRECISIONS
One network, by hand:          prepared (fresh weights and batch), initialise, input_batch, repeat_seeds
The whole Fisher spectrum:     fisher_spectrum -> FisherSpectrum
What counts as layer or block: scoring_layers, block_outputs (a module may offer methods of these names)
What cannot be scored:         ProxyFailure (a result), ProxyUsageError (the caller's mistake)

A proxy sees any ``torch.nn.Module`` and a batch, never an architecture. Names are imported when they are used: the names of the
proxies, and all that is known of them, can be had without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from proxies.errors import ProxyFailure, ProxyUsageError, out_of_memory
    from proxies.measuring.blocks import block_outputs
    from proxies.measuring.initialise import initialise
    from proxies.measuring.layers import scoring_layers
    from proxies.measuring.seeds import input_batch, repeat_seeds
    from proxies.measuring.state import prepared
    from proxies.measuring.timing import PRECISIONS, inference_seconds, pass_seconds
    from proxies.registry import PROXIES, REAL_INPUT, REVISIONS, register
    from proxies.scoring import Images, Measurement, Request, measure, score, score_repeats
    from proxies.table import TABLE, Proxy, ProxySpec
    from proxies.vkdnw.fisher import FisherSpectrum, fisher_spectrum

_HOMES = {
    "PRECISIONS": "proxies.measuring.timing",
    "PROXIES": "proxies.registry",
    "REAL_INPUT": "proxies.registry",
    "REVISIONS": "proxies.registry",
    "TABLE": "proxies.table",
    "FisherSpectrum": "proxies.vkdnw.fisher",
    "Images": "proxies.scoring",
    "Measurement": "proxies.scoring",
    "Proxy": "proxies.table",
    "ProxyFailure": "proxies.errors",
    "ProxySpec": "proxies.table",
    "ProxyUsageError": "proxies.errors",
    "Request": "proxies.scoring",
    "block_outputs": "proxies.measuring.blocks",
    "fisher_spectrum": "proxies.vkdnw.fisher",
    "inference_seconds": "proxies.measuring.timing",
    "initialise": "proxies.measuring.initialise",
    "input_batch": "proxies.measuring.seeds",
    "measure": "proxies.scoring",
    "out_of_memory": "proxies.errors",
    "pass_seconds": "proxies.measuring.timing",
    "prepared": "proxies.measuring.state",
    "register": "proxies.registry",
    "repeat_seeds": "proxies.measuring.seeds",
    "score": "proxies.scoring",
    "score_repeats": "proxies.scoring",
    "scoring_layers": "proxies.measuring.layers",
}

__all__ = [
    "PRECISIONS",
    "PROXIES",
    "REAL_INPUT",
    "REVISIONS",
    "TABLE",
    "FisherSpectrum",
    "Images",
    "Measurement",
    "Proxy",
    "ProxyFailure",
    "ProxySpec",
    "ProxyUsageError",
    "Request",
    "block_outputs",
    "fisher_spectrum",
    "inference_seconds",
    "initialise",
    "input_batch",
    "measure",
    "out_of_memory",
    "pass_seconds",
    "prepared",
    "register",
    "repeat_seeds",
    "score",
    "score_repeats",
    "scoring_layers",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'proxies' has no attribute '{name}'")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
