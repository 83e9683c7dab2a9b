"""Why a record has no score, typed: from an outcome, from a line, and from the words of lines that had no type yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from search.workers.job import Cause, Outcome


def cause_of(reason: str) -> Cause:
    """Find the cause in a reason's words: for journals that were written before there was a typed one.

    What Python raised begins with the name of its type, a capitalised word; what proxies rejected, with the name of a proxy.
    """
    if "out of memory" in reason:
        return Cause.OUT_OF_MEMORY
    for cause in (Cause.DEADLINE, Cause.QUARANTINED):
        if reason.startswith(cause):
            return cause
    if "non-finite value" in reason:
        return Cause.NOT_FINITE
    return Cause.ERROR if re.match(r"[A-Z]\w*(:|$)", reason) else Cause.NO_SCORE


def of_outcome(outcome: Outcome) -> Cause | None:
    """Give the cause that an outcome names, or else that of its reason."""
    return outcome.cause if outcome.cause or outcome.reason is None else cause_of(outcome.reason)


def read(data: Mapping[str, Any]) -> Cause:
    """Read the cause of a line that has a reason."""
    if data["status"] in (Cause.OVER_BUDGET, Cause.STOPPED):
        return Cause(data["status"])
    written = data.get("cause")
    return cause_of(data["reason"]) if written is None else Cause(written)


def key_of(status: str, cause: Cause | None) -> dict[str, str]:
    """Give the cause of a failure; a status other than "failed" says it already."""
    return {} if status != "failed" or cause is None else {"cause": cause.value}
