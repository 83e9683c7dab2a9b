"""The two ways in which scoring ends without a number, and what becomes of any other exception."""

from __future__ import annotations

__all__ = ["ProxyFailure", "ProxyUsageError", "as_failure", "out_of_memory"]


class ProxyFailure(ValueError):
    """A network that a proxy cannot score: a result to record, never a number to invent.

    Attributes:
        reason: a short stable word for journals and counters, such as ``too_few_weights``.
        detail: one sentence for a person: what was expected, what was found, and where.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)  # both in args: the exception survives pickling
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class ProxyUsageError(ValueError):
    """A caller's mistake: an unknown proxy or option, or an argument out of range."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: Python's, a device's, or the host's, for which torch has no more than a RuntimeError."""
    import torch  # here: a configuration is checked, and its mistakes are reported, without it

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ("allocate memory", "out of memory"))


def as_failure(error: Exception) -> ProxyFailure:
    """Turn what ended one score into its failure, without the frames, and tensors, of a traceback.

    An exception that is no :class:`ProxyFailure` gets the reason ``raised``: an operation that cannot be differentiated twice,
    say, ends GraSP and not the other scores of the network.

    Raises:
        ProxyUsageError: ``error`` is one.
        Exception: ``error`` itself where memory ran out, see :func:`out_of_memory`; the caller may have a smaller batch.
    """
    if isinstance(error, ProxyUsageError) or out_of_memory(error):
        raise error
    if isinstance(error, ProxyFailure):
        return ProxyFailure(error.reason, error.detail)
    first = str(error).strip().partition("\n")[0]
    return ProxyFailure("raised", f"{type(error).__name__}: {first[:200]}")
