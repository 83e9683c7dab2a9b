"""Public modules that have moved: their old names keep working for one version, with a warning.

Files that people and earlier versions wrote name them: a search space of one's own, OpenMMLab's `custom_imports`, scripts.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED: dict[str, tuple[str, ...]] = {
    "uninas.presets": ("uninas.networks.presets", "uninas.networks.catalogue"),
    "uninas.zoo": ("uninas.networks.zoo",),
    "uninas.zoo.parts": ("uninas.networks.pieces",),
    "uninas.families": ("uninas.analysis.family",),
    "uninas.meaning": ("uninas.analysis.degenerate",),
    "proxies.torchvision_repair": ("uninas.runtime.torchvision_repair",),
    "search.driver": ("search.engine.driver",),
    "search.schema": ("search.config.schema",),
    "search.metrics": ("search.ranking.correlation",),
    "search.objective": ("search.ranking.objective",),
    "search.candidate": ("search.algorithms.candidate",),
    "search.space": ("search.spaces.graph_space", "search.spaces.from_config"),
    "search.tune_searcher": ("search.distributed.tune_searcher",),
    "search.ray_pool": ("search.distributed.ray_pool",),
    "downstream.mm_backbone": ("downstream.models.mm_backbone",),
    "downstream.mm_roi": ("downstream.models.mm_roi",),
    "downstream.timm_model": ("downstream.models.timm_model", "downstream.models.timm_factory"),
    "downstream.backbone": ("downstream.models.backbone",),
}
"""Old name -> the modules that hold its names now. Removed with version 0.3."""


class _Finder(MetaPathFinder, Loader):
    """Finds an old name, and makes a module of it that looks its attributes up where they are now."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self, is_package=True) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        homes = MOVED[module.__name__]
        warnings.warn(f"{module.__name__} has moved: import {' or '.join(homes)}", DeprecationWarning, stacklevel=2)
        found = [importlib.import_module(home) for home in homes]

        def attribute(name: str) -> Any:
            for home in found:
                if hasattr(home, name):
                    return getattr(home, name)
            raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'; it has moved to {' and '.join(homes)}")

        module.__doc__ = f"Moved to {' and '.join(homes)}."
        module.__getattr__ = attribute  # type: ignore[method-assign]


def install() -> None:
    """Let old names be found, after everything that there is."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
