"""The two ways in which scoring ends without a number."""

from __future__ import annotations

__all__ = ["ProxyFailure", "ProxyUsageError"]


class ProxyFailure(ValueError):
    """A network that a proxy cannot score: a result to record, never a number to invent.

    Attributes:
        reason: a short stable word for journals and counters, such as ``too_few_weights``.
        detail: one sentence for a person: what was expected, what came, and where.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)  # both in args: the exception travels through pickle unharmed
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class ProxyUsageError(ValueError):
    """A caller's mistake: an unknown proxy or option, or an argument out of range."""
