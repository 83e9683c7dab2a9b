"""Which mode of differentiation gives the Jacobian: multiply-accumulates are counted before one is chosen.

Let T be the products of one forward pass, C the number of logits, D the width before the last linear layer.

- Reverse mode: one forward pass, then a backward pass for every row, each about as expensive as the forward pass without the
  first layer (only gradients of activations flow). Rows: C - 1, since the softmax does not feel a common shift of the logits and
  differences to one logit are enough; or D, from the features, where that is fewer.
- Forward mode: for each chunk of K consecutive chosen layers one plain pass, and K tangents through all that comes after the
  chunk's first layer, weighted by FORWARD_COST. K is what the memory allows.

The score is the same in both modes.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxies.errors import ProxyUsageError
from proxies.vkdnw.survey import Survey

__all__ = ["ModePlan", "plan_mode"]

# Copies of the largest tangent that exist at once, as measured on ResNet-50: input and result of an operation, a shortcut,
# and what batch normalisation's derivative makes on the way.
LIVE_COPIES = 6

# A multiply-accumulate in forward mode against one in a backward pass, as measured on one core: 1.5 on ResNet-50, up to 5 on
# networks of 16 channels, where everything but the products counts.
FORWARD_COST = 2


@dataclass(frozen=True)
class ModePlan:
    """A mode of differentiation, with its cost in multiply-accumulates per sample.

    Attributes:
        mode: ``reverse`` or ``forward``.
        rows: backward passes in reverse mode (0 in forward mode).
        from_features: reverse mode starts at the features before the last linear layer.
        chunks: positions of chosen weights that are differentiated together in forward mode.
        reverse_macs: what reverse mode costs.
        forward_macs: what forward mode costs, weighted.
    """

    mode: str
    rows: int
    from_features: bool
    chunks: tuple[tuple[int, ...], ...]
    reverse_macs: int
    forward_macs: int


def plan_mode(survey: Survey, mode: str, *, element_bytes: int, samples: int, memory: int, probes: int | None) -> ModePlan:
    """Count both modes and choose the cheaper, or take the one asked for.

    Args:
        survey: the network's forward pass.
        mode: ``auto``, ``reverse`` or ``forward``.
        element_bytes: bytes of one number of the network's floating type.
        samples: samples of one micro-batch.
        memory: bytes that live tangents may take in forward mode; it takes at least one layer at a time.
        probes: rows of random signs instead of all rows; they need reverse mode.

    Raises:
        ProxyUsageError: an unknown mode, or probes in forward mode.
    """
    if mode not in ("auto", "reverse", "forward"):
        raise ProxyUsageError(f"mode: expected 'auto', 'reverse' or 'forward', got {mode!r}")
    if probes is not None and mode == "forward":
        raise ProxyUsageError("probes are cotangents: expected mode 'reverse' or 'auto', got 'forward'")
    called = sorted((order, place) for place, order in enumerate(survey.first_call) if order is not None)
    order = [place for _, place in called]
    from_features = probes is None and survey.features is not None and survey.features < survey.classes - 1
    rows = survey.classes - 1
    if probes is not None:
        rows = probes
    elif from_features:
        rows = survey.features or 0
    back = survey.total_macs - (survey.macs_in[order[0]] if order else 0)
    reverse_macs = survey.total_macs + rows * back

    chunks: list[tuple[int, ...]] = []
    position = 0
    forward_macs = 0
    while position < len(order):
        first = order[position]
        tangent = LIVE_COPIES * element_bytes * samples * survey.largest_after[first]
        chunk = tuple(order[position : position + max(1, memory // max(1, tangent))])
        chunks.append(chunk)
        forward_macs += survey.total_macs + FORWARD_COST * len(chunk) * survey.macs_after[first]
        position += len(chunk)
    if mode == "auto":
        mode = "reverse" if probes is not None or reverse_macs <= forward_macs else "forward"
    return ModePlan(mode, rows if mode == "reverse" else 0, from_features, tuple(chunks), reverse_macs, forward_macs)
