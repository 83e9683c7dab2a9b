"""Training-free proxies: numbers that say how good a network will be, from its structure and a few passes of noise.

    from proxies import score
    score(network, ["vkdnw", "flops"], input_shape=(3, 224, 224), batch=64, seed=0)

One network, several proxies:  score, score_repeats, PROXIES
Variants, pictures, timing:    measure (Request, Images -> Measurement), REAL_INPUT, REVISIONS
How long an inference takes:   inference_seconds, pass_seconds, PRECISIONS
One network, by hand:          prepared (fresh weights and batch), initialise, input_batch, repeat_seeds
The whole Fisher spectrum:     fisher_spectrum -> FisherSpectrum
What counts as layer or block: scoring_layers, block_outputs (a module may offer methods of these names)
What cannot be scored:         ProxyFailure (a result), ProxyUsageError (the caller's mistake)

A proxy sees any ``torch.nn.Module`` and a batch, never an architecture.
"""

from proxies.errors import ProxyFailure, ProxyUsageError, out_of_memory
from proxies.measuring.blocks import block_outputs
from proxies.measuring.initialise import initialise
from proxies.measuring.layers import scoring_layers
from proxies.measuring.seeds import input_batch, repeat_seeds
from proxies.measuring.state import prepared
from proxies.measuring.timing import PRECISIONS, inference_seconds, pass_seconds
from proxies.scoring import PROXIES, REAL_INPUT, REVISIONS, Images, Measurement, Proxy, Request, measure, score, score_repeats
from proxies.vkdnw import FisherSpectrum, fisher_spectrum

__all__ = [
    "PRECISIONS",
    "PROXIES",
    "REAL_INPUT",
    "REVISIONS",
    "FisherSpectrum",
    "Images",
    "Measurement",
    "Proxy",
    "ProxyFailure",
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
    "repeat_seeds",
    "score",
    "score_repeats",
    "scoring_layers",
]
