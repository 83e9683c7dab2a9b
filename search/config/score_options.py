"""Which options a configuration hands to each raw score of its objective."""

from __future__ import annotations

from typing import Any

from search.config.schema import ProxyConfig
from search.ranking.objective import SPECTRA, Objective

SPECTRAL = ("smoothing", "micro_batch", "probes")
"""Keys of `proxies` that every score of a Fisher spectrum is given, where they are set."""


def options_of(proxies: ProxyConfig, objective: Objective) -> dict[str, dict[str, Any]]:
    """Give the options of each score that has some: those of the Fisher spectrum, then its own of `proxies.options`."""
    spectral = {name: value for name in SPECTRAL if (value := getattr(proxies, name)) is not None}
    found = {name: dict(spectral) for name in objective.proxies if name in SPECTRA}
    for name, options in proxies.options.items():
        found[name] = {**found.get(name, {}), **options}
    return found
