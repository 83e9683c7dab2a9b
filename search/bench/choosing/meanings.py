"""A rank product in words: what each of its components looks at, as `proxies.table` says."""

from __future__ import annotations

from collections.abc import Sequence

from proxies.registry import find

_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times", 5: "five times"}


def explained(components: Sequence[str]) -> str:
    """Explain the rank product of these components in two sentences."""
    specs = [(name, find(name)) for name in components]
    phrases = [f"by {'its score' if spec is None else spec.meaning} (`{name}`)" for name, spec in specs]
    listed = phrases[0] if len(phrases) == 1 else f"{'; '.join(phrases[:-1])}; and {phrases[-1]}"
    first = f"Rank the networks {_TIMES.get(len(components), f'{len(components)} times')}, the worst first: {listed}."
    if len(components) == 1:
        return f"{first} That rank is a network's value."
    return (
        f"{first} A network's value is the product of the {len(components)} ranks, so that only one high in all of them is high."
    )
