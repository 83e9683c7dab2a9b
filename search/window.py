"""How large a window keeps so many workers busy: the rule, as warnings to who chose another."""

from __future__ import annotations

__all__ = ["window_warnings"]

STRAGGLER = 10  # a window of fewer a worker lets a candidate of so many times the mean time hold the others up
MANY_WORKERS = 32  # fewer seldom meet a straggler


def window_warnings(workers: int, window: int, order: str, evaluations: int, *, learns: bool = True) -> list[str]:
    """Say what a window does to so many workers and evaluations that its user may not want.

    W asks in ask order take at least as long as the longest of W candidates, since an ask behind them waits for it: so n workers
    are kept busy where W >= n x longest / mean (docs/benchmarks/simulator.md).
    """
    warnings = []
    said = f"warning: {workers} workers, but a window of {window}"
    cure = f"raise window to workers x longest / mean time, or set order=completion and window={workers}"
    if workers > window:
        found = f"{said}: more than {window} are never busy"
        warnings.append(f"{found}, in ask order far fewer: {cure}" if order == "ask" else f"{found}: raise window to {workers}")
    elif order == "ask" and workers >= MANY_WORKERS and window < STRAGGLER * workers:
        warnings.append(f"{said} in ask order: all wait for a candidate of {window / workers:.1f} times the mean time: {cure}")
    if learns and 1 < evaluations <= window:
        warnings.append(f"warning: a window of {window} and {evaluations} evaluations: none is asked after a result was seen")
    return warnings
