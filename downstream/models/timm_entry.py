"""The entry of the model in timm's registry, which `import downstream` registers without importing timm or torch."""

from __future__ import annotations

from typing import Any

__all__ = ["register", "uninas"]

default_cfgs: dict[str, Any] = {}
"""Read by timm's `register_model`, of the module of the function that it registers."""


def register() -> None:
    """Make the model known to timm."""
    from timm.models import generate_default_cfgs, register_model

    default_cfgs.update(generate_default_cfgs({uninas.__name__: {"classifier": "head", "first_conv": "stem.conv1"}}))
    register_model(uninas)


def uninas(pretrained: bool = False, **options: Any) -> Any:
    """Build any architecture as a model of timm, see `downstream.models.timm_factory.uninas`."""
    from downstream.models import timm_factory

    return timm_factory.uninas(pretrained, **options)
